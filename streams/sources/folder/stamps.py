"""When a picture was taken: as its name says, else when its file was last written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from pipeline.moment import Clock

# Directives of `strptime` with the digits that they stand for, and what one unit of the finest is worth.
_DIGITS: Mapping[str, str] = {
    "Y": r"\d{4}",
    "y": r"\d{2}",
    "j": r"\d{3}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "f": r"\d{1,6}",
}
_UNITS_NS = (("f", 1_000_000), ("S", 10**9), ("M", 60 * 10**9), ("H", 3600 * 10**9), ("", 86400 * 10**9))
_FILE_UNIT_NS = 10_000_000  # file systems note times in steps of up to 10 ms (the kernel's ticks)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A time.

    Attributes:
        time_ns: UTC, ns since 1970-01-01.
        clock: whose it is: the camera's, if it stood in the name.
        unit_ns: what it is rounded to.
    """

    time_ns: int
    clock: Clock
    unit_ns: int

    @property
    def uncertainty_ns(self) -> int | None:
        """Half width of the interval it is known to; None for files, whose writing may have taken long."""
        return self.unit_ns if self.clock is Clock.CAMERA else None


class Stamps:
    """Tells the times of files.

    Args:
        pattern: of the time in a name, as `strptime` has it, e.g. "%Y%m%d_%H%M%S"; None for files' own times.
        zone: of the times in names.

    Raises:
        ValueError: if the pattern holds another directive, or no whole date.
    """

    def __init__(self, pattern: str | None, zone: tzinfo) -> None:
        self._pattern = pattern
        self._zone = zone
        if pattern is None:
            return
        parts = re.split(r"%(.)", pattern)
        directives = parts[1::2]
        for sign in directives:
            if sign not in _DIGITS:
                raise ValueError(
                    f"%{sign} is not known; known: {', '.join('%' + known for known in _DIGITS)}"
                )
        if not ({"Y", "y"} & set(directives) and ("j" in directives or {"m", "d"} <= set(directives))):
            raise ValueError("a whole date is needed, e.g. %Y%m%d_%H%M%S")
        self._search = re.compile(
            "".join(_DIGITS[part] if index % 2 else re.escape(part) for index, part in enumerate(parts))
        )
        self._unit_ns = next(unit for sign, unit in _UNITS_NS if not sign or sign in directives)

    def of(self, path: Path, written_ns: int) -> Stamp:
        """Return the time of a file; a name without one leaves the time at which it was written.

        Args:
            path: of the file.
            written_ns: its modification time, ns.
        """
        if self._pattern is not None and (found := self._search.search(path.name)):
            try:
                local = datetime.strptime(found[0], self._pattern).replace(tzinfo=self._zone)
            except ValueError:  # digits that are no date
                return Stamp(written_ns, Clock.ARRIVAL, _FILE_UNIT_NS)
            return Stamp(round(local.timestamp() * 1e6) * 1000, Clock.CAMERA, self._unit_ns)
        return Stamp(written_ns, Clock.ARRIVAL, _FILE_UNIT_NS)

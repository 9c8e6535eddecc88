"""A table for each day: grows by whole intervals, and is taken back where an interval goes on."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from pipeline.errors import SinkError
from streams.sinks.counts.layout import COLUMNS, Row, csv_text, write_parquet
from streams.sinks.textfile import writing

logger = logging.getLogger(__name__)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_HEADER = csv_text([COLUMNS])
_MOST_WAITING = 4 << 20
"""Characters of rows that wait while the disk takes none: of 20 lines, in minutes, some ten hours."""


class DayFiles:
    """The tables of one stream: `DATE.csv`, by the local date on which intervals begin.

    Args:
        folder: where they lie; made with the first rows.
        keep_days: so many are kept, the latest ones.
        parquet: whether each gets a Parquet file as well, when its day is over and at the end.

    Attributes:
        lost: rows that were left out, as the disk took none for too long.
    """

    def __init__(self, folder: Path, *, keep_days: int, parquet: bool) -> None:
        self.folder = folder
        self._keep_days = keep_days
        self._parquet = parquet
        self._stale = set(self._without_parquet()) if parquet else set()
        self._waiting: deque[tuple[str, str]] = deque()
        self.lost = 0

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows, each to the table of its day, after those that wait; all of a day's by one write.

        Raises:
            SinkError: if they cannot be stored; then they wait, the newest of them.
        """
        place = COLUMNS.index("start")
        for day, group in groupby(rows, lambda row: str(row[place])[:10]):
            self._waiting.append((day, csv_text(group)))
        self.flush()

    def flush(self) -> None:
        """Write the rows that wait. Raises SinkError if they cannot be stored."""
        try:
            for day in dict.fromkeys(day for day, _ in self._waiting):
                self._add(day, "".join(text for of, text in self._waiting if of == day))
                self._waiting = deque(one for one in self._waiting if one[0] != day)
        except SinkError:
            while sum(len(text) for _, text in self._waiting) > _MOST_WAITING:
                self.lost += self._waiting.popleft()[1].count("\n")
            raise

    def give_up(self, rows: Iterable[Row]) -> None:
        """Count what waits as lost, and further rows."""
        self.lost += sum(1 for _ in rows) + sum(text.count("\n") for _, text in self._waiting)
        self._waiting.clear()

    def _add(self, day: str, text: str) -> None:
        """Append to the table of a day: all of it, or nothing."""
        path = self._path(day)
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            had = path.stat().st_size if path.exists() else 0
            left = memoryview((_HEADER * (not had) + text).encode())
            with path.open("ab", buffering=0) as file:
                try:
                    while left:
                        left = left[file.write(left) :]
                except OSError:
                    with suppress(OSError):
                        file.truncate(had)
                    raise
        self._stale.add(day)
        if not had:
            self._drop_old()

    def sizes(self, days: Iterable[str]) -> dict[str, int]:
        """Return the bytes that the tables of these days have, 0 where there is none."""
        return {day: path.stat().st_size if (path := self._path(day)).exists() else 0 for day in set(days)}

    def take_back(self, sizes: Mapping[str, int], is_open: Callable[[int, str], bool]) -> None:
        """Cut off what was appended since the tables had these sizes, if it is all of open intervals.

        Anything else stays: somebody may have edited the table.

        Args:
            sizes: by day, see `sizes`.
            is_open: whether an interval, by length (s) and start (UTC), will be written again.
        """
        for day, size in sizes.items():
            path = self._path(day)
            if not path.exists() or path.stat().st_size <= size:
                continue
            with writing(path), path.open("rb+") as file:
                file.seek(size)
                tail = file.read().decode("utf-8", "replace")
                whole, _, torn = tail.rpartition("\n")
                if _all_open(whole, is_open):
                    file.truncate(size)
                    self._stale.add(day)
                elif torn:
                    file.truncate(size + len(f"{whole}\n".encode()))
                    logger.warning("%s: its last line was not whole, and is cut off", path)
            if not size and not path.stat().st_size:
                path.unlink()

    def settle(self, before: str | None) -> None:
        """Write the Parquet files of the days before this one, or of all (None), that have new rows."""
        for day in sorted(day for day in self._stale if before is None or day < before):
            if self._parquet and self._path(day).exists():
                write_parquet(self._path(day))
            self._stale.discard(day)

    def _without_parquet(self) -> Iterator[str]:
        """Yield the days whose Parquet file is missing or older than the table: a crash came before it."""
        for path in self._tables():
            other = path.with_suffix(".parquet")
            if not other.exists() or other.stat().st_mtime_ns < path.stat().st_mtime_ns:
                yield path.stem

    def _tables(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.csv") if _DAY.fullmatch(path.stem))

    def _path(self, day: str) -> Path:
        return self.folder / f"{day}.csv"

    def _drop_old(self) -> None:
        """Remove the tables of the earliest days beyond those that are kept."""
        for table in self._tables()[: -self._keep_days]:
            self._stale.discard(table.stem)
            for path in (table, table.with_suffix(".parquet")):
                with writing(path):
                    path.unlink(missing_ok=True)


def _all_open(text: str, is_open: Callable[[int, str], bool]) -> bool:
    """Return whether each whole line is of an interval that is open, or the header."""
    length, start = COLUMNS.index("bin_s"), COLUMNS.index("start_utc")
    for row in csv.reader(io.StringIO(text)):
        if tuple(row) == COLUMNS:
            continue
        if (
            len(row) != len(COLUMNS)
            or not row[length].isdecimal()
            or not is_open(int(row[length]), row[start])
        ):
            return False
    return True

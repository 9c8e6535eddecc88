"""The open intervals of a live stream as a file, so that a restart goes on with them."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streams.sinks.counts.bins import Bin, Key, StreamBins, Tally
from streams.sinks.counts.calendar import Interval
from streams.sinks.textfile import writing

logger = logging.getLogger(__name__)

_Count = Annotated[int, Field(ge=0)]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: Key
    label: str | None
    count: _Count = 0
    speeds: dict[int, _Count] = {}


class _OpenBin(BaseModel):
    model_config = ConfigDict(extra="forbid")

    length_s: Annotated[int, Field(gt=0)]
    start_s: int
    end_s: int
    observed_ns: _Count
    suspended_ns: _Count
    seen: bool
    counting: bool
    rows: list[_Row]


class Memory(BaseModel):
    """What a live stream's tables need to go on.

    Attributes:
        sizes: bytes of each day's table, without the rows of open intervals.
        watched: what has a row in every interval.
        bins: the open intervals.
    """

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=1)] = 1
    sizes: dict[str, _Count] = {}
    watched: list[Key] = []
    bins: list[_OpenBin] = []

    @classmethod
    def of(cls, bins: StreamBins, sizes: dict[str, int]) -> Memory:
        """Return what is to be remembered of these intervals."""
        return cls(
            sizes=sizes,
            watched=list(bins.watched),
            bins=[
                _OpenBin(
                    length_s=one.length_s,
                    start_s=one.interval.start_s,
                    end_s=one.interval.end_s,
                    observed_ns=one.observed_ns,
                    suspended_ns=one.suspended_ns,
                    seen=one.seen,
                    counting=one.counting,
                    rows=[row for key, classes in one.tallies.items() for row in _rows(key, classes)],
                )
                for one in bins.open
            ],
        )

    def restored(self) -> list[Bin]:
        """Return the intervals as they were."""
        return [_bin(one) for one in self.bins]

    def write(self, path: Path) -> None:
        """Replace the file. Raises SinkError when it cannot be written."""
        beside = path.with_name(f"{path.name}.new")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(self.model_dump_json() + "\n", encoding="utf-8")
            beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> Memory:
        """Return what the file remembers; nothing where there is none, or (with a warning) a damaged one."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            logger.warning(
                "%s: cannot be read (%s); intervals that were open begin anew, in rows of their own",
                path,
                reason,
            )
            return cls()


def _rows(key: Key, classes: dict[str, Tally]) -> list[_Row]:
    if not classes:
        return [_Row(key=key, label=None)]
    return [
        _Row(key=key, label=label, count=one.count, speeds=dict(one.speeds)) for label, one in classes.items()
    ]


def _bin(kept: _OpenBin) -> Bin:
    made = Bin(
        kept.length_s,
        Interval(kept.start_s, kept.end_s),
        0.0,
        kept.observed_ns,
        kept.suspended_ns,
        kept.seen,
        kept.counting,
    )
    for row in kept.rows:
        classes = made.tallies.setdefault(row.key, {})
        if row.label is not None:
            classes[row.label] = Tally(row.count, Counter(row.speeds))
    return made

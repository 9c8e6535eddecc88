"""A table for each day: grows by whole intervals, and is taken back where an interval goes on."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from streams.sinks.counts.layout import COLUMNS, Row, csv_text, write_parquet
from streams.sinks.textfile import writing

logger = logging.getLogger(__name__)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_HEADER = csv_text([COLUMNS])


class DayFiles:
    """The tables of one stream: `DATE.csv`, by the local date on which intervals begin.

    Args:
        folder: where they lie; made with the first rows.
        keep_days: so many are kept, the latest ones.
        parquet: whether each gets a Parquet file as well, when its day is over and at the end.
    """

    def __init__(self, folder: Path, *, keep_days: int, parquet: bool) -> None:
        self.folder = folder
        self._keep_days = keep_days
        self._parquet = parquet
        self._stale = set(self._without_parquet()) if parquet else set()

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows, each to the table of its day; all of a day's by one write.

        Raises:
            SinkError: if they cannot be stored.
        """
        by_day: dict[str, list[Row]] = {}
        place = COLUMNS.index("start")
        for row in rows:
            by_day.setdefault(str(row[place])[:10], []).append(row)
        for day, group in by_day.items():
            path = self._path(day)
            with writing(path):
                self.folder.mkdir(parents=True, exist_ok=True)
                is_new = not path.exists()
                with path.open("a", encoding="utf-8", newline="") as file:
                    file.write((_HEADER if is_new else "") + csv_text(group))
            self._stale.add(day)
            if is_new:
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
        done = {day for day in self._stale if before is None or day < before}
        self._stale -= done
        for day in sorted(done) if self._parquet else ():
            if self._path(day).exists():
                write_parquet(self._path(day))

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

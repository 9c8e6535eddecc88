"""Keeps the trajectories of one stream on the disk: written piece by piece, put together, and let go of."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.errors import SinkError
from stages.count.history.files import Piece, piece_path, pieces_of
from stages.count.history.row import Row, schema, table_of, write_options

GROUP_ROWS = 16_384
"""Rows of one row group: what a reader takes at once, about 3 MB."""

_TOGETHER = 16
"""So many pieces of about one size become one: no day has more than some dozens of files."""

_DAY_NS = 86_400 * 10**9


class Store:
    """The files of one stream. Used by one thread at a time, and by one process.

    A file is complete when its name ends in `.parquet`: it is written beside and renamed, after its bytes
    have reached the disk. Whatever is killed at whatever moment, a reader finds each row once.

    Args:
        folder: of the stream.
        series: "live" goes on where it stopped; any other one, the run of a recording, begins anew.
        metadata: of the files, as text.
        keep_days: days that end before so many days are let go of; None keeps all.
        keep_mb: the oldest files are let go of while all of them take more than this.
    """

    def __init__(
        self,
        folder: Path,
        series: str,
        metadata: Mapping[str, str],
        *,
        keep_days: int | None,
        keep_mb: float,
    ) -> None:
        self._folder = folder
        self._series = series
        self._metadata = dict(metadata)
        self._keep_days = keep_days
        self._keep_bytes = keep_mb * 1e6
        self._pieces: list[Piece] = []
        self._sizes: dict[Path, int] = {}
        self._next = 0

    def open(self) -> None:
        """Find what is there, and clear away what a crash has left.

        Raises:
            SinkError: if the folder cannot be made or read.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._pieces, leftovers = pieces_of(self._folder)
            if self._series != "live":
                leftovers += [piece.path for piece in self._pieces if piece.series == self._series]
                self._pieces = [piece for piece in self._pieces if piece.series != self._series]
            for path in leftovers:
                path.unlink()
            self._sizes = {piece.path: piece.path.stat().st_size for piece in self._pieces}
        except OSError as error:
            raise _refused(self._folder, error) from error
        ours = [piece.last for piece in self._pieces if piece.series == self._series]
        self._next = max(ours, default=-1) + 1

    @property
    def bytes(self) -> int:
        """How much the files take."""
        return sum(self._sizes.values())

    def write(self, rows: Sequence[Row]) -> None:
        """Put rows on the disk, then put small files together and let go of what is too old or too much.

        Raises:
            SinkError: if that cannot be done; the rows are not on the disk then.
        """
        if not rows:
            return
        by_day: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_day[_day(row.end_ns)].append(row)
        for day, those in sorted(by_day.items()):
            self._add(day, [table_of(those, self._metadata)], self._next, self._next)
            self._next += 1
        self._put_together(_day(max(row.end_ns for row in rows)))
        self._let_go(max(row.end_ns for row in rows))

    def close(self) -> None:
        """Put the files of each day together, so that the next reader finds few.

        Raises:
            SinkError: if that cannot be done; nothing is lost then.
        """
        for day in sorted({piece.day for piece in self._pieces if piece.series == self._series}):
            self._merge(self._small(day))

    def _add(self, day: str, tables: Iterable[Any], first: int, last: int) -> None:
        path = piece_path(self._folder, day, self._series, first, last)
        try:
            write_table(path, tables, self._metadata)
            self._sizes[path] = path.stat().st_size
        except OSError as error:
            with suppress(OSError):
                Path(f"{path}.part").unlink()
            raise _refused(path, error) from error
        self._pieces.append(Piece(day, self._series, first, last, path))

    def _put_together(self, today: str) -> None:
        """Merge what has become too many files; of a day that is over, all of them."""
        for day in sorted({piece.day for piece in self._pieces if piece.series == self._series}):
            small = self._small(day)
            if day < today:
                self._merge(small)
                continue
            # From the newest back, as long as no piece is much larger than what has been gathered.
            run: list[Piece] = []
            for piece in reversed(small):
                if run and _width(piece) > _TOGETHER * max(map(_width, run)) / 2:
                    break
                run.insert(0, piece)
            if len(run) >= _TOGETHER:
                self._merge(run)

    def _small(self, day: str) -> list[Piece]:
        return sorted(piece for piece in self._pieces if (piece.day, piece.series) == (day, self._series))

    def _merge(self, pieces: Sequence[Piece]) -> None:
        if len(pieces) < 2:
            return
        import pyarrow.parquet as pq

        tables = (pq.ParquetFile(piece.path, memory_map=False).read() for piece in pieces)
        self._add(pieces[0].day, tables, pieces[0].first, pieces[-1].last)
        for piece in pieces:
            self._remove(piece)

    def _let_go(self, now_ns: int) -> None:
        if self._keep_days is not None:
            oldest = (datetime.fromtimestamp(now_ns / 1e9, UTC) - timedelta(days=self._keep_days)).date()
            for piece in [piece for piece in self._pieces if piece.day < oldest.isoformat()]:
                self._remove(piece)
        for piece in sorted(self._pieces)[:-1]:
            if self.bytes <= self._keep_bytes:
                break
            self._remove(piece)

    def _remove(self, piece: Piece) -> None:
        with suppress(OSError):  # a file that cannot be removed now is a leftover, and removed later
            piece.path.unlink(missing_ok=True)
            with suppress(OSError):
                piece.path.parent.rmdir()  # if it was the day's last
        self._pieces.remove(piece)
        self._sizes.pop(piece.path, None)


def write_table(path: Path, tables: Iterable[Any], metadata: Mapping[str, str]) -> None:
    """Write tables of trajectories as one Parquet file; whoever looks sees all of it or nothing.

    Raises:
        OSError: if it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{path}.part")
    try:
        with part.open("wb") as file, pq.ParquetWriter(file, schema(metadata), **write_options()) as writer:
            waiting: list[Any] = []
            for table in tables:
                waiting.append(table)
                if sum(map(len, waiting)) >= GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=GROUP_ROWS)
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=GROUP_ROWS)
            writer.close()
            file.flush()
            os.fsync(file.fileno())
    except pa.ArrowException as error:
        raise OSError(None, str(error)) from error
    part.replace(path)


def _width(piece: Piece) -> int:
    return piece.last - piece.first + 1


def _day(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).date().isoformat()


def _refused(path: Path, error: OSError) -> SinkError:
    return SinkError(f"{path}: trajectories cannot be kept: {error.strerror or error}")

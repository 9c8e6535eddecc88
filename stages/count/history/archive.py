"""Reads trajectories that are kept, with DuckDB: only what may matter, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path as Folder
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import SourceError
from stages.count.history.asked import Kind
from stages.count.history.codec import Scale, decode
from stages.count.history.files import Piece, pieces_of, streams_in
from stages.count.history.follow import Batch
from stages.count.history.path import I64Array, Path
from stages.count.history.recorder import FOLDER
from stages.count.history.row import CONTINUES, GIVEN_UP, Earlier, kinds_of
from stages.count.history.sighting import LONGEST_S

_LONGEST_STAY_S = 7 * 86_400.0
"""Parts of a path are looked for so long before the time that is asked for."""

BATCH_ROWS = 65_536
"""Trajectories in memory at once, about 20 MB."""

Bounds = tuple[float, float, float, float]
"""A box in a picture, xyxy px."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when is asked, UTC nanoseconds; None has no limit.

    Attributes:
        from_ns: the first that belongs to it.
        to_ns: the first that does not any more.
    """

    from_ns: int | None = None
    to_ns: int | None = None

    def holds(self, times_ns: I64Array) -> Any:
        """Return which of these times (N,) belong to it, (N,) bool."""
        inside = np.ones(len(times_ns), bool)
        if self.from_ns is not None:
            inside &= times_ns >= self.from_ns
        if self.to_ns is not None:
            inside &= times_ns < self.to_ns
        return inside


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch of trajectories, as they came from the disk.

    Attributes:
        batch: their paths.
        start_ns: (N,) int64, UTC of each one's first point.
        table: the columns `label`, `attributes` and `earlier`, a `pyarrow.RecordBatch`.
    """

    batch: Batch
    start_ns: I64Array
    table: Any

    def __len__(self) -> int:
        return len(self.batch)

    def labels(self, rows: Any) -> tuple[list[str], Any]:
        """Return the classes of these objects at their end: names, and for each object a number of one."""
        coded = self.table.column("label").take(rows).dictionary_encode()
        return coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False).astype(np.intp)

    def changed(self, rows: Any) -> Any:
        """Return which of these objects have attributes, or were taken for something else before: bool."""
        marks = np.zeros(len(rows), bool)
        for name in ("attributes", "earlier"):
            column = self.table.column(name)
            if column.null_count < len(column):
                marks |= column.take(rows).is_valid().to_numpy(zero_copy_only=False)
        return marks

    def kinds(self, row: int) -> list[Kind]:
        """Return what an object was taken for, from its beginning on."""
        label, attributes, earlier = (
            self.table.column(name)[row].as_py() for name in ("label", "attributes", "earlier")
        )
        return _kinds(int(self.batch.start_us[row]), label, attributes, earlier)


class Remembered(NamedTuple):
    """One trajectory.

    Attributes:
        start_ns: UTC of its first point.
        path: in px.
        kinds: what the object was taken for.
    """

    start_ns: int
    path: Path
    kinds: list[Kind]


def joined(rows: Sequence[Mapping[str, Any]]) -> Remembered:
    """Return a path that is kept in parts as a whole.

    Raises:
        ValueError: if one of them is damaged.
    """
    parts: list[Path] = []
    kinds: list[Kind] = []
    for row in rows:
        path = decode(row["path"], Scale(row["start_us"], row["tick_us"], row["unit_px"]))
        begin = 1 if parts else 0  # a part begins with the position that the one before it ended with
        parts.append(Path(path.times_s[begin:], path.xyxy[begin:], path.vanished[begin:]))
        kinds += _kinds(row["start_us"], row["label"], row["attributes"], row["earlier"])
    whole = Path(
        np.concatenate([part.times_s for part in parts]),
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.vanished for part in parts]),
    )
    return Remembered(rows[0]["start_ns"], whole, kinds)


def _kinds(start_us: int, label: str, attributes: Any, earlier: Any) -> list[Kind]:
    """Return what an object was taken for, from columns as they come from the disk."""
    before = tuple(
        Earlier(each["until_us"], each["label"], dict(each["attributes"] or ())) for each in earlier or ()
    )
    return kinds_of(start_us, before, label, dict(attributes or ()))


class Archive:
    """The trajectories of one stream.

    Args:
        stream: its name.
        folder: where they are.
    """

    def __init__(self, stream: str, folder: Folder) -> None:
        self.stream = stream
        self._folder = folder
        self._pieces = pieces_of(folder)[0]

    @property
    def days(self) -> list[str]:
        """The days of UTC of which there is anything, oldest first."""
        return sorted({piece.day for piece in self._pieces})

    def sizes(self, span: Span) -> dict[tuple[int, int], int]:
        """Return the sizes of the pictures, (width, height) px, and how many trajectories each has."""
        files = self._files(span)
        if not files:
            return {}
        rows = self._asked(
            "select width, height, count(*) from read_parquet(?) "
            f"where {_within(span)} group by all order by all",
            [files],
        ).fetchall()
        return {(width, height): count for width, height, count in rows}

    def classes(self, span: Span) -> list[str]:
        """Return which classes trajectories have at their ends, sorted; a hundred at most."""
        files = self._files(span)
        if not files:
            return []
        query = f"select distinct label from read_parquet(?) where {_within(span)} order by 1 limit 100"
        return [label for (label,) in self._asked(query, [files]).fetchall()]

    def near(self, span: Span, size: tuple[int, int], bounds: Sequence[Bounds]) -> Iterator[Stored]:
        """Yield the trajectories that touch one of these boxes, except those that are kept in parts."""
        condition = f"part = 0 and \"end\" <> '{CONTINUES}' and ({_touching(bounds)})"
        yield from self._stored(span, size, condition)

    def long(
        self, span: Span, size: tuple[int, int], bounds: Sequence[Bounds]
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the trajectories that are kept in parts and touch one of these boxes, each as its rows."""
        files = self._files(span, before_s=_LONGEST_STAY_S)
        if not files:
            return
        parts = f"(part > 0 or \"end\" = '{CONTINUES}') and width = ? and height = ?"
        rows = self._asked(
            f"with parts as (select * from read_parquet(?) where {parts}), "
            "keys as (select distinct run, object, start_us - since_us as began_us from parts "
            f"where {_touching(bounds)} and {_within(span)}) "
            "select parts.* from parts join keys on parts.run = keys.run and parts.object = keys.object "
            "and parts.start_us - parts.since_us = keys.began_us "
            "order by parts.run, parts.object, keys.began_us, parts.part",
            [files, *size],
        )
        names = [column[0] for column in rows.description]
        gathered: list[dict[str, Any]] = []
        while many := rows.fetchmany(1024):
            for values in many:
                row = dict(zip(names, values, strict=True))
                if gathered and not _follows(gathered[-1], row):
                    yield gathered
                    gathered = []
                gathered.append(row)
        if gathered:
            yield gathered

    def paths(self, span: Span, size: tuple[int, int], bounds: Sequence[Bounds]) -> Iterator[Remembered]:
        """Yield those of `near` in the order of their beginnings; damaged ones are left out."""
        condition = f"part = 0 and \"end\" <> '{CONTINUES}' and {_touching(bounds)} order by start_ns"
        for stored in self._stored(span, size, condition):
            for row in range(len(stored)):
                with suppress(ValueError):
                    path = decode(stored.batch.bytes_of(row), stored.batch.scale_of(row))
                    yield Remembered(int(stored.start_ns[row]), path, stored.kinds(row))

    def long_paths(self, span: Span, size: tuple[int, int], bounds: Sequence[Bounds]) -> Iterator[Remembered]:
        """Yield the same as `long`, each joined to one path; damaged ones are left out."""
        for rows in self.long(span, size, bounds):
            with suppress(ValueError):
                yield joined(rows)

    def disagreeing(self, span: Span) -> int:
        """Return how many trajectories count otherwise than they did live."""
        files = self._files(span)
        if not files:
            return 0
        found = self._asked(
            f"select count(*) from read_parquet(?) where not agrees and {_within(span)}", [files]
        ).fetchone()
        return int(found[0])

    def _stored(self, span: Span, size: tuple[int, int], condition: str) -> Iterator[Stored]:
        files = self._files(span)
        if not files:
            return
        import duckdb

        query = (
            'select path, start_us, tick_us, unit_px, "end", start_ns, label, attributes, earlier '
            f"from read_parquet(?) where width = ? and height = ? and {_within(span)} and {condition}"
        )
        connection = _connection()
        try:
            for table in connection.sql(query, params=[files, *size]).to_arrow_reader(BATCH_ROWS):
                if len(table):
                    yield _stored(table)
        except (duckdb.Error, OSError) as error:  # Arrow's readers raise OSErrors of their own
            raise _damaged(self._folder, error) from error

    def _asked(self, query: str, parameters: list[Any]) -> Any:
        """Return a connection from which the answer's rows can be fetched."""
        import duckdb

        try:
            return _connection().execute(query, parameters)
        except duckdb.Error as error:
            raise _damaged(self._folder, error) from error

    def _files(self, span: Span, before_s: float = 0.0) -> list[str]:
        """Return the files in which there may be something, by the days in their paths."""
        return [str(piece.path) for piece in self._pieces if _overlaps(piece, span, before_s)]


def _connection() -> Any:
    """Return a database of nothing but what is read; it does not draw bars over our output."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    return connection


def archives_in(folder: Folder, streams: Sequence[str] = ()) -> list[Archive]:
    """Return the archives of a run's folder, or of its folder `trajectories`.

    Raises:
        SourceError: if there are none, or not of a stream that is asked for.
    """
    for place in (folder, folder / FOLDER):
        found = streams_in(place) if place.is_dir() else {}
        if found:
            break
    else:
        reason = "there is no such folder" if not folder.is_dir() else "no trajectories are kept there"
        raise SourceError(
            f"{folder}: {reason}; name the folder of the results of a run whose stage `count` has "
            "`trajectories: {}`"
        )
    unknown = [stream for stream in streams if stream not in found]
    if unknown:
        raise SourceError(
            f"{place}: no trajectories of the stream '{unknown[0]}'; there are: {', '.join(found)}"
        )
    return [Archive(stream, found[stream]) for stream in streams or found]


def _stored(table: Any) -> Stored:
    paths = table.column("path")
    kind = np.int64 if str(paths.type).startswith("large") else np.int32
    _, where, data = paths.buffers()
    offsets = np.frombuffer(where, kind)[paths.offset : paths.offset + len(paths) + 1].astype(np.int64)

    def numbers(name: str, dtype: Any) -> Any:
        return table.column(name).to_numpy(zero_copy_only=False).astype(dtype, copy=False)

    batch = Batch(
        np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8),
        offsets,
        numbers("start_us", np.int64),
        numbers("tick_us", np.int64),
        numbers("unit_px", np.float64),
        ~np.isin(table.column("end").to_numpy(zero_copy_only=False).astype(str), GIVEN_UP),
    )
    return Stored(batch, numbers("start_ns", np.int64), table)


def _follows(earlier: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether a row is the next part of the same path; one of which the beginning is gone is a new one."""
    same = all(earlier[name] == row[name] for name in ("run", "object"))
    began = earlier["start_us"] - earlier["since_us"] == row["start_us"] - row["since_us"]
    return bool(same and began and row["part"] == earlier["part"] + 1)


def _within(span: Span) -> str:
    terms = ["true"]
    if span.from_ns is not None:
        terms.append(f"end_ns >= {int(span.from_ns)}")
    if span.to_ns is not None:
        terms.append(f"start_ns < {int(span.to_ns)}")
    return " and ".join(terms)


def _touching(bounds: Sequence[Bounds]) -> str:
    boxes = [
        f'("right" >= {left!r} and "left" <= {right!r} and bottom >= {top!r} and top <= {bottom!r})'
        for left, top, right, bottom in (map(float, box) for box in bounds)
    ]
    return f"({' or '.join(boxes)})"


def _overlaps(piece: Piece, span: Span, before_s: float) -> bool:
    """Whether something that ended on a file's day can have been seen within the span."""
    begin = datetime.fromisoformat(piece.day).replace(tzinfo=UTC)
    latest_start = begin - timedelta(seconds=2 * LONGEST_S)
    end = begin + timedelta(days=1)
    if span.from_ns is not None and end.timestamp() * 1e9 <= span.from_ns - before_s * 1e9:
        return False
    return span.to_ns is None or latest_start.timestamp() * 1e9 < span.to_ns


def _damaged(folder: Folder, error: Exception) -> SourceError:
    reason = " ".join(str(error).split())[:300]
    return SourceError(f"{folder}: trajectories cannot be read: {reason}; move the damaged file away")

"""What a file of Parquet has for each event, and which files stay."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import SinkError
from streams.sinks.copying.target import sync_folder
from streams.sinks.parquet.spool import STAMP

_DAY = re.compile(r"date=(\d{4}-\d\d-\d\d)")
_NAME = re.compile(r"events-(\d{8}T\d{12}Z)\.parquet(\.part)?")
_LARGEST_INTEGER = 2**63 - 1


def schema() -> Any:
    """Return the columns: those of docs/sinks.md."""
    import pyarrow as pa

    text, whole, number = pa.string(), pa.int64(), pa.float64()
    columns = {
        "id": text,
        "time": pa.timestamp("us", "UTC"),
        "time_ns": whole,
        "pts_s": number,
        "clock": text,
        "uncertainty_ns": whole,
        "stream": text,
        "run": text,
        "sequence": whole,
        "kind": text,
        "track_id": whole,
        "label": text,
        "x": number,
        "y": number,
        "stage": text,
        "name": text,
        "config_hash": text,
        "model_hash": text,
        "data": text,
        "evidence": text,
    }
    return pa.schema(list(columns.items()))


def day_of(event: Mapping[str, Any]) -> str:
    """Return the day (UTC) of an event as plain values: `2026-03-01`."""
    return str(event["time"])[:10]


def row_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event, as plain values (`Event.to_dict`), as a row."""
    position = event["position"] or (None, None)
    producer = event["producer"]
    track_id = event["track_id"]
    same = ("id", "time_ns", "pts_s", "clock", "uncertainty_ns", "stream", "run", "sequence", "kind", "label")
    return {name: event[name] for name in same} | {
        "time": event["time_ns"] // 1000,
        "track_id": None if track_id is None or track_id > _LARGEST_INTEGER else track_id,
        "x": position[0],
        "y": position[1],
        "stage": producer["stage"],
        "name": producer["name"],
        "config_hash": producer["config_hash"],
        "model_hash": producer["model_hash"],
        "data": json.dumps(event["data"], ensure_ascii=False),
        "evidence": json.dumps(event["evidence"], ensure_ascii=False),
    }


def write(
    folder: Path, day: str, stamp: str, lines: Iterable[bytes], *, group_rows: int, fsync: bool
) -> None:
    """Write events (lines of JSON) as one file, whole or not at all.

    Args:
        folder: of all days.
        day: of these events.
        stamp: names the file; one of that name is replaced.
        lines: the events.
        group_rows: most rows of a group, and in memory at a time.
        fsync: wait for the disk.

    Raises:
        OSError: if it cannot be written.
        SinkError: if it was not written as it should be.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / f"date={day}" / f"events-{stamp}.parquet"
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    columns, count = schema(), 0
    try:
        with part.open("wb") as file:
            with pq.ParquetWriter(file, columns, compression="zstd") as writer:
                for group in _groups(lines, group_rows):
                    rows = [row_of(json.loads(line)) for line in group]
                    writer.write_table(pa.Table.from_pylist(rows, schema=columns))
                    count += len(rows)
            file.flush()
            if fsync:
                os.fsync(file.fileno())
        found = pq.read_metadata(part).num_rows
        if found != count:
            raise SinkError(f"{part} has {found} rows instead of {count}; it is written again")
        os.replace(part, path)  # noqa: PTH105 - by its name
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if fsync:
        sync_folder(path.parent)
        sync_folder(folder)


def latest_ids(folder: Path, most: int) -> list[str]:
    """Return the ids in the file that was written last, of its end up to so many; oldest first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [path for path in _files(folder) if path.suffix == ".parquet"]
    stamps = [path.name for path in files]
    found: list[str] = []
    for path in files:
        if path.name == max(stamps):
            with suppress(OSError, pa.ArrowException):  # damaged: then events may come twice
                found += pq.read_table(path, columns=["id"]).column("id").to_pylist()[-most:]
    return found


def latest_stamp(folder: Path) -> str:
    """Return the greatest stamp of a file, "" without one."""
    found = (_NAME.fullmatch(path.name) for path in _files(folder))
    return max((name[1] for name in found if name), default="")


def time_ns_of(stamp: str) -> int:
    """Return UTC of a stamp, ns."""
    return round(datetime.strptime(stamp, STAMP).replace(tzinfo=UTC).timestamp() * 1e9)


def clean(folder: Path) -> None:
    """Remove what a crash has left half written."""
    for path in _files(folder):
        if path.suffix == ".part":
            path.unlink(missing_ok=True)


def trim(folder: Path, *, keep_days: float, keep_bytes: int, today: date | None) -> None:
    """Remove files that were begun too long ago, then the oldest beyond so many bytes, never the last one.

    Not by the day of their events: that of a recording may be years ago. Where `today` is None nothing is too
    old.
    """
    files = sorted(_files(folder), key=lambda path: (path.name, path.parent.name))
    oldest = (today - timedelta(days=keep_days)).strftime("%Y%m%d") if today else ""
    left = sum(path.stat().st_size for path in files)
    for path in files[:-1]:
        if path.name.removeprefix("events-") >= oldest and left <= keep_bytes:
            break
        left -= path.stat().st_size
        path.unlink(missing_ok=True)
        with suppress(OSError):  # there are others in it
            path.parent.rmdir()


def _files(folder: Path) -> Iterator[Path]:
    for day in folder.iterdir() if folder.is_dir() else ():
        if _DAY.fullmatch(day.name) and day.is_dir():
            yield from (path for path in day.iterdir() if _NAME.fullmatch(path.name))


def _groups(lines: Iterable[bytes], most: int) -> Iterator[Sequence[bytes]]:
    rest = iter(lines)
    while group := list(islice(rest, most)):
        yield group

"""Sinks on a disk that is really full: one line says so, and nothing is lost or half."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import SinkError
from pipeline.plugin import EventSink, SinkContext
from streams.sinks.csv_file import CsvOptions, CsvSink
from streams.sinks.jsonl import JsonlOptions, JsonlSink
from streams.sinks.parquet.sink import ParquetOptions, ParquetSink
from streams.sinks.sqlite import SqliteOptions, SqliteSink
from tests.disks import Disks
from tests.pipeline.messages import make_event


@pytest.fixture
def disk(small_disk: Disks) -> Path:
    """A disk of one megabyte."""
    return small_disk("1m")


def jsonl_ids(folder: Path) -> list[str]:
    lines = b"".join(path.read_bytes() for path in sorted((folder / "log").iterdir())).split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line)["id"] for line in lines]


def csv_ids(folder: Path) -> list[str]:
    lines = b"".join(path.read_bytes() for path in sorted((folder / "log").iterdir())).split(b"\n")
    return [line.split(b",")[0].decode() for line in lines[1:-1]]


def parquet_ids(folder: Path) -> list[str]:
    import pyarrow.parquet as pq

    found = sorted((folder / "parquet").glob("date=*/*.parquet"))
    return [name for path in found for name in pq.read_table(path, columns=["id"])["id"].to_pylist()]


def sqlite_ids(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "events.sqlite3")) as database:
        return [row[0] for row in database.execute("SELECT id FROM events ORDER BY time_ns")]


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda folder: JsonlSink(JsonlOptions(), SinkContext(folder)), jsonl_ids),
        (lambda folder: CsvSink(CsvOptions(), SinkContext(folder)), csv_ids),
        (lambda folder: ParquetSink(ParquetOptions(), SinkContext(folder)), parquet_ids),
        (lambda folder: SqliteSink(SqliteOptions(), SinkContext(folder)), sqlite_ids),
    ],
    ids=["jsonl", "csv", "parquet", "sqlite"],
)
def test_a_full_disk(
    disk: Path, make: Callable[[Path], EventSink], read: Callable[[Path], list[str]]
) -> None:
    events = [make_event(number) for number in range(900)]  # some 450 KB
    sink = make(disk)
    sink.deliver(events[:1])
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(960_000))
    for _ in range(2):
        with pytest.raises(SinkError, match=r"No space left|is full"):
            sink.deliver(events[1:])
    filler.unlink()
    sink.deliver(events[1:])
    sink.close()
    assert read(disk) == [str(event.id) for event in events]

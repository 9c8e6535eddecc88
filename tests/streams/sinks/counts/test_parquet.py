"""The tables as Parquet, read back by somebody else's reader."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.sinks.counts import CountsOptions
from streams.sinks.counts.layout import COLUMNS
from tests.streams.sinks.counts.table import day, feed, frames, open_sink, table, utc_s
from tests.streams.sinks.material import crossing, frame

EIGHT = utc_s("2026-03-01T08:00:00+00:00")


def parquet(path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    return rows


def as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sink = open_sink(tmp_path, "gate", "null", parquet=True, bin_s=[60, 300], time_zone="Europe/Berlin")
    for stream in ("gate", "null"):
        names = ('a "quoted", name', "two\nlines", "NA", "17", "ümläut")
        feed(
            sink,
            *(crossing(n, f"{n}", stream=stream, label=name, start_s=EIGHT) for n, name in enumerate(names)),
            *frames(0, 90, stream=stream, start_s=EIGHT),
        )
    sink.close()
    rows = parquet(tmp_path / "counts.parquet")
    assert len(rows) > 20
    assert tuple(rows[0]) == COLUMNS
    numbers = {"observed_s", "suspended_s", "missing_s", "mean_speed_kmh"}
    for found, wanted in zip(rows, table(tmp_path), strict=True):
        assert {k: as_text(v) for k, v in found.items() if k not in numbers} == {
            k: v for k, v in wanted.items() if k not in numbers
        }
        assert [found[k] for k in numbers] == [float(wanted[k]) if wanted[k] else None for k in numbers]
    assert rows[0]["start_utc"] == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert rows[0]["start"] == "2026-03-01T09:00:00+01:00"
    assert rows[0]["complete"] is True
    assert not list(tmp_path.glob("*.new"))


def test_an_empty_table_is_an_empty_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    open_sink(tmp_path, parquet=True).close()
    assert parquet(tmp_path / "counts.parquet") == []


def test_a_day_that_is_over_becomes_parquet_the_last_one_at_the_end(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sink = open_sink(tmp_path, is_live=True, parquet=True, bin_s=3600)
    folder = tmp_path / "counts/gate"
    for n in range(0, 26 * 3600, 600):
        feed(sink, crossing(n, f"{n}", start_s=EIGHT), frame(n, start_s=EIGHT))
    assert [path.name for path in folder.glob("*.parquet")] == ["2026-03-01.parquet"]
    sink.close()
    for name in ("2026-03-01", "2026-03-02"):
        rows = parquet(folder / f"{name}.parquet")
        assert [row["count"] for row in rows] == [int(row["count"]) for row in day(tmp_path, name)]
    assert sum(int(str(row["count"])) for row in rows) == 60


def test_what_a_crash_left_without_parquet_gets_it_at_the_next_end(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sink = open_sink(tmp_path, is_live=True, parquet=True, bin_s=3600)
    feed(sink, *(frame(n, counts={"main": {"in": {}}}, start_s=EIGHT) for n in range(0, 7200, 600)))
    sink.close()
    (tmp_path / "counts/gate/2026-03-01.parquet").unlink()
    open_sink(tmp_path, is_live=True, parquet=True, bin_s=3600).close()
    assert len(parquet(tmp_path / "counts/gate/2026-03-01.parquet")) == 2


def test_without_pyarrow_the_options_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    CountsOptions()
    with pytest.raises(ValidationError, match=r'pip install "sightline\[history\]"'):
        CountsOptions(parquet=True)

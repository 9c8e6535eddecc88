"""Files of trajectories: found once each whatever was killed when, put together, and let go of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import SinkError
from stages.count.history import store as store_module
from stages.count.history.compact import compact
from stages.count.history.files import pieces_of
from stages.count.history.row import UNSEEN, Row
from stages.count.history.store import Store
from stages.count.history.writer import Writer
from tests.stages.count.history.paths import walk

DAY_NS = 86_400 * 10**9
PATH = walk(np.random.default_rng(0), 30)
KEPT = compact(PATH, np.zeros(30, bool), 1.0, 0)
ROW = Row(
    run="run",
    object=1,
    part=0,
    since_us=0,
    end=UNSEEN,
    start_ns=DAY_NS,
    end_ns=DAY_NS + 10**9,
    start_us=KEPT.scale.start_us,
    tick_us=KEPT.scale.tick_us,
    unit_px=1.0,
    width=640,
    height=360,
    left=0,
    top=0,
    right=640,
    bottom=360,
    label="car",
    attributes={"colour": "red"},
    earlier=(),
    seen=30,
    error=98,
    agrees=True,
    path=KEPT.data,
)


def rows(first: int, count: int, day: int = 1) -> list[Row]:
    return [replace(ROW, object=first + i, end_ns=day * DAY_NS + i) for i in range(count)]


def opened(folder: Path, series: str = "live", **limits) -> Store:
    store = Store(folder, series, {"made": "here"}, **{"keep_days": None, "keep_mb": 100.0, **limits})
    store.open()
    return store


def objects(folder: Path) -> list[int]:
    """The objects that a reader finds."""
    found: list[int] = []
    for piece in pieces_of(folder)[0]:
        found += pq.ParquetFile(piece.path).read(["object"])["object"].to_pylist()
    return found


def test_rows_come_back_as_they_were_given(tmp_path):
    store = opened(tmp_path)
    store.write(rows(1, 3))
    (piece,), leftovers = pieces_of(tmp_path)
    assert not leftovers
    table = pq.ParquetFile(piece.path).read()
    first = table.to_pylist()[0]
    assert first["path"] == ROW.path
    assert dict(first["attributes"]) == {"colour": "red"}
    assert first["earlier"] is None
    assert pq.ParquetFile(piece.path).metadata.metadata[b"made"] == b"here"


def test_many_small_files_become_few_and_lose_nothing(tmp_path):
    store = opened(tmp_path)
    for number in range(70):
        store.write(rows(number, 1))
    assert len(pieces_of(tmp_path)[0]) <= 2 * 16
    assert objects(tmp_path) == list(range(70))
    store.close()
    assert len(pieces_of(tmp_path)[0]) == 1
    assert objects(tmp_path) == list(range(70))


def test_a_day_that_is_over_is_one_file(tmp_path):
    store = opened(tmp_path)
    for number in range(5):
        store.write(rows(number, 1))
    store.write(rows(5, 1, day=2))
    assert [(piece.day, piece.first, piece.last) for piece in pieces_of(tmp_path)[0]] == [
        ("1970-01-02", 0, 4),
        ("1970-01-03", 5, 5),
    ]


@pytest.mark.parametrize("moment", ["while writing", "before removing", "while removing"])
def test_a_crash_while_files_are_put_together_loses_and_doubles_nothing(moment, tmp_path, monkeypatch):
    store = opened(tmp_path)
    for number in range(15):
        store.write(rows(number, 2))

    class Killed(BaseException):
        pass

    removed = []
    remove = Path.unlink

    def killed_replace(self, target):
        raise Killed

    def killed_unlink(self, missing_ok=False):
        if moment == "before removing" or len(removed) == 3:
            raise Killed
        removed.append(self)
        remove(self)

    if moment == "while writing":
        monkeypatch.setattr(store_module.Path, "replace", killed_replace)
    else:
        monkeypatch.setattr(Path, "unlink", killed_unlink)
    with pytest.raises(Killed):
        store.write(rows(15, 2))
    monkeypatch.undo()
    wanted = [i + j for i in range(15 if moment == "while writing" else 16) for j in range(2)]
    assert sorted(objects(tmp_path)) == sorted(wanted)
    again = opened(tmp_path)
    again.write(rows(100, 1))
    again.close()
    assert sorted(objects(tmp_path)) == sorted([*wanted, 100])
    assert not list(tmp_path.rglob("*.part"))
    assert not pieces_of(tmp_path)[1]


def test_a_recording_that_is_run_again_begins_anew_and_others_stay(tmp_path):
    for series in ("aa", "bb", "live", "aa"):
        store = opened(tmp_path, series)
        store.write(rows({"aa": 1, "bb": 2, "live": 3}[series], 1))
        store.close()
    assert sorted(objects(tmp_path)) == [1, 2, 3]


def test_a_camera_goes_on_where_it_stopped(tmp_path):
    for number in range(3):
        store = opened(tmp_path)
        store.write(rows(number, 1))
        store.close()
    assert objects(tmp_path) == [0, 1, 2]


def test_old_days_are_let_go_of(tmp_path):
    store = opened(tmp_path, keep_days=10)
    for day in (1, 2, 11, 12):
        store.write(rows(day, 1, day=day))
    assert objects(tmp_path) == [2, 11, 12]


def test_the_oldest_files_are_let_go_of_when_there_is_too_much(tmp_path):
    store = opened(tmp_path, keep_mb=0.02)
    for day in range(1, 12):
        store.write(rows(day, 1, day=day))
        assert store.bytes <= 20_000
    assert objects(tmp_path)[-1] == 11
    assert len(list(tmp_path.iterdir())) == len(objects(tmp_path)), "days without files are gone too"


def test_a_disk_that_refuses_loses_nothing_until_it_takes_again(tmp_path, caplog):
    store = opened(tmp_path / "there")
    writer = Writer(store)
    (tmp_path / "there").rmdir()
    (tmp_path / "there").write_text("in the way")
    writer.add(rows(1, 1)[0])
    writer.flush()
    assert writer._writing.exception(timeout=10)
    writer.add(rows(2, 1)[0])
    writer.flush()
    assert writer._writing.exception(timeout=10)
    (tmp_path / "there").unlink()
    writer.close()
    assert objects(tmp_path / "there") == [1, 2]
    assert writer.lost == 0
    assert "cannot be kept" in caplog.text


def test_what_the_disk_refuses_to_the_end_is_counted(tmp_path, caplog):
    writer = Writer(opened(tmp_path / "there"))
    (tmp_path / "there").rmdir()
    (tmp_path / "there").write_text("in the way")
    for row in rows(1, 3):
        writer.add(row)
    writer.close()
    assert writer.lost == 3
    assert "trajectories are lost" in caplog.text


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="trajectories cannot be kept"):
        opened(tmp_path / "file" / "below")

"""Totals over restarts: the file goes on where it fits, and nowhere else."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.frame import Counts
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.kept import KeptTotals, place_key
from stages.count.options import CountOptions
from stages.count.stage import CountStage
from tests.stages.count.seen import HEIGHT, WIDTH, frame_at

EIGHT_NS = 1_772_352_000 * 10**9  # 2026-03-01T08:00:00Z
LINE = place_key(start=[0, 0.5], end=[1, 0.5], labels={"car", "bus"})


def at(pts_s: float) -> Moment:
    return Moment(pts_s, EIGHT_NS + round(pts_s * 1e9), Clock.ARRIVAL)


def kept(folder: Path | None, **keys: str) -> tuple[KeptTotals, dict[str, dict[str, dict[str, int]]]]:
    made = KeptTotals.of(folder, "gate", "lines")
    return made, made.restored(keys or {"main": LINE})


def test_totals_go_on_after_a_restart(tmp_path: Path) -> None:
    first, totals = kept(tmp_path)
    assert totals == {}
    first.note(at(0), {"main": {"in": {"car": 2}, "out": {}}})
    first.save()
    second, totals = kept(tmp_path)
    assert totals == {"main": {"in": {"car": 2}, "out": {}}}
    assert second.since == {"main": "2026-03-01T08:00:00.000Z"}
    second.note(at(3600), {"main": {"in": {"car": 3}, "out": {}}})
    second.save()
    third, totals = kept(tmp_path)
    assert totals["main"]["in"] == {"car": 3}
    assert third.since == {"main": "2026-03-01T08:00:00.000Z"}, "since the first, not the latest start"


def test_an_edited_line_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = kept(tmp_path, main=LINE, exit=LINE)
    first.note(at(0), {"main": {"in": {"car": 2, "bus": 3}}, "exit": {"in": {"car": 7}}})
    first.save()
    with caplog.at_level(logging.WARNING):
        second, totals = kept(tmp_path, main=place_key(start=[0, 0.6]), exit=LINE)
    assert totals == {"exit": {"in": {"car": 7}}}
    (message,) = caplog.messages
    assert "'main' was edited and begins anew at 0; its total since 2026-03-01T08:00:00.000Z was 5" in message
    second.note(at(9), {"main": {"in": {"car": 1}}, "exit": {"in": {"car": 7}}})
    second.save()
    assert second.since["main"] == "2026-03-01T08:00:09.000Z"


def test_the_file_holds_only_what_is_counted_now(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = kept(tmp_path, **{f"line{n}": LINE for n in range(50)})
    first.note(at(0), {f"line{n}": {"in": {"car": n}} for n in range(50)})
    first.save()
    second, totals = kept(tmp_path, line7=LINE)
    assert totals == {"line7": {"in": {"car": 7}}}
    second.save()
    assert list(json.loads((tmp_path / "kept/gate.lines.json").read_text())["entries"]) == ["line7"]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["gate.lines.json"]
    assert len([text for text in caplog.messages if "is not counted any more" in text]) == 49


def test_a_crash_loses_no_more_than_the_seconds_between_two_writes(tmp_path: Path) -> None:
    first, _ = kept(tmp_path)
    for tick in range(1001):  # 100 s at 10 pictures/s, one object each; no save at the end
        first.note(at(tick / 10), {"main": {"in": {"car": tick}}})
    _, totals = kept(tmp_path)
    assert 1000 - 50 <= totals["main"]["in"]["car"] <= 1000


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    first, _ = kept(tmp_path)
    same = {"main": {"in": {"car": 1}}}
    for pts_s in (0.0, 5.0, 6.0):
        first.note(at(pts_s), same)
    file = tmp_path / "kept/gate.lines.json"
    before = file.stat().st_mtime_ns, file.stat().st_ino
    for pts_s in range(7, 100):
        first.note(at(pts_s), same)
    first.save()
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_media_clock_that_begins_anew_does_not_hold_writing_back(tmp_path: Path) -> None:
    first, _ = kept(tmp_path)
    first.note(at(50_000), {"main": {"in": {"car": 1}}})
    first.note(at(1), {"main": {"in": {"car": 2}}})
    _, totals = kept(tmp_path)
    assert totals["main"]["in"] == {"car": 2}


def test_without_a_folder_nothing_is_kept_or_written() -> None:
    first, totals = kept(None)
    first.note(at(0), {"main": {"in": {"car": 1}}})
    first.note(at(100), {"main": {"in": {"car": 2}}})
    first.save()
    assert (totals, dict(first.since)) == ({}, {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"version":2,"entries":{}}',
        b'{"version":1,"entries":{"main":{"key":"x","since":"y","totals":{"in":{"car":-1}}}}}',
        b'{"version":1,"entries":{"main":{"key":"x","since":"y","totals":{"in":{"car":"many"}}}}}',
        b'{"version":1,"entries":{"main":3}}',
    ],
)
def test_a_damaged_file_is_one_warning_and_a_new_beginning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/gate.lines.json").write_bytes(content)
    first, totals = kept(tmp_path)
    assert totals == {}
    (message,) = caplog.messages
    assert "cannot be read" in message
    assert "begin anew at 0" in message
    first.note(at(0), {"main": {"in": {"car": 4}}})
    first.save()
    assert kept(tmp_path)[1] == {"main": {"in": {"car": 4}}}


def test_a_folder_that_cannot_be_written_is_one_warning_and_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    first, _ = kept(tmp_path)
    for pts_s in range(0, 100, 10):
        first.note(at(pts_s), {"main": {"in": {"car": pts_s}}})
    first.save()
    told = [message for message in caplog.messages if "will not survive a restart" in message]
    assert len(told) == 1


names = st.text(min_size=1, max_size=8)
counted = st.dictionaries(names, st.dictionaries(names, st.integers(0, 10**12), max_size=3), max_size=3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(totals=st.dictionaries(names, counted, max_size=4), stay=st.sets(names))
def test_what_comes_back_is_what_was_counted_of_those_that_stay(
    tmp_path: Path, totals: dict[str, dict[str, dict[str, int]]], stay: set[str]
) -> None:
    path = tmp_path / "kept.json"
    path.unlink(missing_ok=True)
    first = KeptTotals(path)
    first.restored(dict.fromkeys(totals, "a"))
    first.note(at(0), totals)
    first.save()
    found = KeptTotals(path).restored({name: "a" if name in stay else "b" for name in totals})
    assert found == {name: counts for name, counts in totals.items() if name in stay}


def test_a_key_is_that_of_the_values_not_of_their_order() -> None:
    assert place_key(a=1, labels={"car", "bus"}) == place_key(labels={"bus", "car"}, a=1)
    assert place_key(a=1) != place_key(a=2)


def stage_of(folder: Path, *, is_live: bool, y: float = 0.5) -> CountStage:
    options = CountOptions.model_validate({"lines": {"main": {"start": [0, y], "end": [1, y], "hold_s": 0}}})
    stage = CountStage(options, StageContext("cam", folder=folder))
    stage.open(StreamInfo("cam", "rtsp://cam", "run", WIDTH, HEIGHT, live=is_live))
    return stage


def cross(stage: CountStage) -> Counts | None:
    """One car goes down over the middle; returns the totals at the end."""
    frame = frame_at(0.0)
    for n, y in enumerate((100.0, 150.0, 250.0, 300.0)):
        box = np.array([[300, y - 30, 320, y]], np.float32)
        zero = np.zeros(1, np.int64)
        frame = frame_at(
            n * 0.2, tracks=Tracks(zero + 1, box, np.ones(1, np.float32), np.array(["car"]), zero, zero)
        )
        stage.process(frame)
    stage.finish()
    stage.close()
    return frame.counts


def test_the_stage_goes_on_counting_where_a_live_stream_stopped(tmp_path: Path) -> None:
    totals = [cross(stage_of(tmp_path, is_live=True)) for _ in range(3)]
    assert totals == [{"main": {"to_right": {"car": n}, "to_left": {}}} for n in (1, 2, 3)]
    assert cross(stage_of(tmp_path, is_live=True, y=0.51)) == {
        "main": {"to_right": {"car": 1}, "to_left": {}}
    }


def test_files_never_accumulate(tmp_path: Path) -> None:
    totals = [cross(stage_of(tmp_path, is_live=False)) for _ in range(3)]
    assert totals == [{"main": {"to_right": {"car": 1}, "to_left": {}}}] * 3
    assert not (tmp_path / "kept").exists()

"""What the stage `count` keeps of its objects, and that the past answers as the present did."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.plugin import StageContext
from stages.count.history import options as options_module
from stages.count.history.archive import Span
from stages.count.history.recorder import recorder_of
from stages.count.history.row import CONTINUES, ENDED, SUSPENDED, UNSEEN
from stages.count.history.sighting import Sighting
from stages.count.options import CountOptions
from stages.count.stage import CountStage
from tests.stages.count.history.scenes import (
    again,
    archive_in,
    info_of,
    live_counts,
    play,
    recounted,
    tracks_of,
)
from tests.stages.count.seen import frame_at

GATE = {"gate": {"points": [[0, 180], [640, 180]], "units": "px", "anchor": "bottom_center"}}


def box(x, y):
    return (x - 10, y - 30, x + 10, y)


def kept(folder):
    """Return the rows of one archive, in the order of objects and parts."""
    import pyarrow.parquet as pq

    rows = [row for path in folder.rglob("*.parquet") for row in pq.ParquetFile(path).read().to_pylist()]
    return sorted(rows, key=lambda row: (row["object"], row["start_us"]))


def crossing(start_s, *, seconds=4.0, step_s=0.1, object_id=1, label="car", down=True):
    """Yield one object that walks over the line."""
    for t in np.arange(0, seconds, step_s):
        y = 100 + 160 * t / seconds
        yield start_s + t, tracks_of([(object_id, box(300, y if down else 360 - y), label)])


def nobody(from_s, to_s, step_s=0.5):
    return ((t, tracks_of([])) for t in np.arange(from_s, to_s, step_s))


def test_an_object_is_one_row_once_it_has_ended(tmp_path):
    frames = [*crossing(1.0), *nobody(5.5, 20.0)]
    stage, events = play(frames, {"lines": GATE, "trajectories": {}}, info_of(640, 360), tmp_path)
    (row,) = kept(tmp_path)
    assert (row["end"], row["object"], row["label"], row["seen"], row["part"]) == (UNSEEN, 1, "car", 40, 0)
    assert (row["start_ns"], row["end_ns"]) == (1_000_000_000, 4_900_000_000)
    assert (row["left"], row["right"]) == (289, 311) or (row["left"], row["right"]) == (290, 310)
    assert (
        recounted(again(tmp_path, {"lines": GATE})) == live_counts(events) == {("gate", "to_right", "car"): 1}
    )
    assert stage.statistics()["trajectories"]["trajectories"] == 1


def test_what_is_in_sight_at_the_end_is_kept_too(tmp_path):
    play(crossing(0.0), {"lines": GATE, "trajectories": {}}, info_of(640, 360), tmp_path)
    assert [row["end"] for row in kept(tmp_path)] == [ENDED]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    play(crossing(0.0), {"lines": GATE, "trajectories": {}}, info_of(640, 360), None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [2.0, 30.0])
def test_an_absence_is_kept_as_it_counted(seconds, tmp_path):
    """Unseen beyond the line for long: the crossing is final; an object that comes back counts again."""
    there = list(crossing(0.0, seconds=2.0))
    back = list(crossing(2.0 + seconds, seconds=2.0, down=False))
    frames = [*there, *nobody(2.1, 2.0 + seconds), *back]
    options = {"lines": GATE, "trajectories": {}}
    _, events = play(frames, options, info_of(640, 360), tmp_path)
    assert recounted(again(tmp_path, options)) == live_counts(events)
    assert len(kept(tmp_path)) == (1 if seconds < 10 else 2)


def test_a_suspended_camera_cuts_paths_and_what_was_pending_does_not_count(tmp_path):
    stage = CountStage(
        CountOptions.model_validate({"lines": GATE, "trajectories": {}}), StageContext("cam", folder=tmp_path)
    )
    stage.open(info_of(640, 360))
    events = []
    for number, y in enumerate([100, 150, 195, 196, 250, 260, 140, 100]):
        suspended = "moved" if number in (3, 4) else None
        frame = frame_at(number / 10, tracks=tracks_of([(1, box(300, y), "car")]), suspended=suspended)
        stage.process(frame)
        events += frame.events
    events += stage.finish()
    stage.close()
    assert [row["end"] for row in kept(tmp_path)] == [SUSPENDED, ENDED]
    assert live_counts(events) == {("gate", "to_left", "car"): 1}
    assert recounted(again(tmp_path, {"lines": GATE})) == live_counts(events)


def test_the_class_counts_that_it_had_then(tmp_path):
    frames = list(crossing(0.0, label="car"))
    late = [(t, tracks_of([(1, tuple(tracks.xyxy[0]), "bus" if t > 3.5 else "car")])) for t, tracks in frames]
    options = {"lines": GATE, "trajectories": {}}
    _, events = play(late, options, info_of(640, 360), tmp_path)
    assert [row["label"] for row in kept(tmp_path)] == ["bus"]
    assert live_counts(events) == {("gate", "to_right", "car"): 1}
    assert recounted(again(tmp_path, options)) == live_counts(events)
    only_buses = {"lines": {"gate": {**GATE["gate"], "labels": ["bus"]}}}
    assert recounted(again(tmp_path, only_buses)) == {}


def test_a_long_stay_is_kept_in_parts_and_counts_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.count.history.sighting.MOST_POSITIONS", 50)
    rng = np.random.default_rng(2)
    waiting = [
        (5 + t / 10, tracks_of([(1, box(300 + rng.normal(), 181 + rng.normal()), "car")])) for t in range(400)
    ]
    frames = [*crossing(0.0, seconds=2.0), *waiting, *crossing(46.0, seconds=2.0, down=False)]
    options = {"lines": GATE, "trajectories": {}}
    stage, events = play(frames, options, info_of(640, 360), tmp_path)
    rows = kept(tmp_path)
    assert len(rows) > 5
    assert [row["part"] for row in rows] == list(range(len(rows)))
    assert {row["end"] for row in rows[:-1]} == {CONTINUES}
    assert max(row["seen"] for row in rows) <= 50
    assert sum(live_counts(events).values()) >= 2
    assert recounted(again(tmp_path, options)) == live_counts(events)
    assert stage.statistics()["trajectories"]["disagree"] == 0


def test_only_what_was_then_is_counted_and_by_interval(tmp_path):
    frames = [frame for number in range(6) for frame in crossing(600.0 * number, object_id=number + 1)]
    options = {"lines": GATE, "trajectories": {}}
    play(frames, options, info_of(640, 360, live=True), tmp_path)
    result = again(tmp_path, options, by="15min")
    assert sorted((each.bin // 10**9, count) for each, count in result.counts.items()) == [
        (0, 2),
        (900, 1),
        (1800, 2),
        (2700, 1),
    ]
    early = again(tmp_path, options, span=Span(None, 1200 * 10**9))
    assert sum(early.counts.values()) == 2
    assert sum(again(tmp_path, options, span=Span(1200 * 10**9)).counts.values()) == 4


def test_a_path_that_would_count_otherwise_is_kept_more_exactly(tmp_path):
    """About the edge of the band, where little decides, a coarse path cannot always be trusted."""
    rng = np.random.default_rng(4)
    frames = []
    for number in range(1, 41):
        y = 180 + 7.34 + np.cumsum(rng.normal(0, 0.9, 60))
        y[:3] = 160
        frames += [
            (number * 20 + step / 10, tracks_of([(number, box(300, at), "car")])) for step, at in enumerate(y)
        ]
    options = {"lines": GATE, "trajectories": {"resolution": 64}}
    stage, events = play(frames, options, info_of(640, 360), tmp_path)
    assert live_counts(events)
    assert recounted(again(tmp_path, options)) == live_counts(events)
    forms = {row["path"][0] for row in kept(tmp_path)}
    assert len(forms) > 1, "nothing here was hard"
    assert stage.statistics()["trajectories"]["disagree"] == 0


def test_a_live_stream_is_on_the_disk_before_it_ends(tmp_path):
    options = CountOptions.model_validate({"lines": GATE, "trajectories": {"flush_s": 30}})
    stage = CountStage(options, StageContext("cam", folder=tmp_path))
    stage.open(info_of(640, 360, live=True))
    for time_s, tracks in [*crossing(0.0), *nobody(4.0, 50.0)]:
        stage.process(frame_at(time_s, tracks=tracks))
    writer = stage._parts["trajectories"]._place.writer
    writer._writing.result()
    assert len(kept(tmp_path)) == 1
    stage.close()
    assert archive_in(tmp_path).days == ["1970-01-01"]


def test_nothing_grows_with_the_objects_that_are_gone(tmp_path):
    options = CountOptions.model_validate({"trajectories": {}, "handover_s": 0})
    stage = CountStage(options, StageContext("cam", folder=tmp_path))
    stage.open(info_of(640, 360))
    recorder = stage._parts["trajectories"]
    for number in range(300):
        stage.process(frame_at(number * 1.0, tracks=tracks_of([(number + 1, box(300, 100), "car")])))
        assert len(recorder._objects) <= 12
    stage.close()
    assert len(kept(tmp_path)) == 300


def test_a_missing_package_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(options_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "sightline\[history\]"'):
        recorder_of(options_module.TrajectoryOptions(), {}, 1.0, 10.0, StageContext("cam"))


def test_an_id_that_returns_after_it_was_forgotten_is_another_object(tmp_path):
    frames = [*crossing(0.0, seconds=1.0), *crossing(30.0, seconds=1.0)]
    play(frames, {"trajectories": {}}, info_of(640, 360), tmp_path)
    assert len(kept(tmp_path)) == 2


def test_next_parts_begin_where_the_last_one_ended():
    sighting = Sighting("run", 0, 0, 0, 0, 0)
    for number in range(5):
        sighting.add(number / 10, number * 10**8, [1.0 * number, 0.0, 9.0, 9.0], "car", {})
    after = sighting.next_part()
    assert after.part == 1
    assert after.path().xyxy.tolist() == [[4.0, 0.0, 9.0, 9.0]]
    assert after.start_ns == 4 * 10**8

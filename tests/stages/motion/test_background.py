from collections.abc import Iterable

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.plugin import StreamInfo
from pipeline.registry import load_plugin
from stages.motion.background import BackgroundOptions, BackgroundStage
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frame, frames
from tests.stages.motion.places import Scene, stands, there, walks

QUICK = {"after_s": 6.0, "learn_s": 4.0}
BAG = (140, 100, 162, 118)


def _stage(**options: object) -> BackgroundStage:
    stage = BackgroundStage(BackgroundOptions.model_validate(QUICK | options), CONTEXT)
    stage.open(StreamInfo("test", "test://", "run", 320, 180))
    return stage


def _run(
    scene: Iterable[Frame], stage: BackgroundStage | None = None, **options: object
) -> list[tuple[float, Event]]:
    """Return each event with the media time at which it was told."""
    stage = stage or _stage(**options)
    told, pts_s = [], 0.0
    for seen in scene:
        stage.process(seen)
        pts_s = seen.moment.pts_s
        told += [(pts_s, event) for event in seen.events]
    return told + [(pts_s, event) for event in stage.finish()]


def _kinds(told: list[tuple[float, Event]]) -> list[tuple[str, str]]:
    return [(event.kind, event.data["state"]) for _, event in told]


@pytest.mark.parametrize("rate_hz", [5.0, 12.5])
def test_a_thing_that_was_left_is_told_and_so_is_its_end(rate_hz: float) -> None:
    told = _run(Scene([there(BAG, 8.0, 24.0)]).frames(30.0, rate_hz))
    assert _kinds(told) == [("object.left", "begin"), ("object.left", "end")]
    (begin_s, begin), (end_s, end) = told
    assert begin.moment.pts_s == pytest.approx(8.0, abs=0.8)
    assert begin_s == pytest.approx(8.0 + 6.0, abs=2.0)
    assert np.array(begin.data["xyxy"]) == pytest.approx(np.array(BAG), abs=3)
    assert begin.position == pytest.approx((151, 109), abs=2)
    assert end_s == pytest.approx(24.0 + 2.0, abs=0.8)
    assert end.data["reason"] == "gone"
    assert begin.data["object"] == end.data["object"] == 1
    assert begin.id != end.id


def test_a_thing_that_was_taken_away_is_told_and_so_is_its_return() -> None:
    told = _run(Scene([lambda t: None if 10.0 <= t < 24.0 else BAG]).frames(30.0))
    assert _kinds(told) == [("object.removed", "begin"), ("object.removed", "end")]
    (_, begin), (end_s, end) = told
    assert begin.moment.pts_s == pytest.approx(10.0, abs=0.8)
    assert end_s == pytest.approx(26.0, abs=0.8)
    assert end.data["reason"] == "returned"


def test_whoever_passes_before_it_does_not_matter() -> None:
    passers = [walks(80, start_s) for start_s in (9.0, 12.0, 15.0, 20.0)]
    told = _run(Scene([there(BAG, 8.0), *passers]).frames(26.0))
    assert _kinds(told) == [("object.left", "begin"), ("object.left", "end")]
    assert told[0][1].moment.pts_s == pytest.approx(8.0, abs=0.8)
    assert told[0][0] < 18.0
    assert told[1][1].data["reason"] == "end"


def test_a_jump_of_exposure_is_neither_a_thing_nor_the_end_of_one() -> None:
    def light(t: float) -> float:
        return 0.7 if 11.0 <= t < 17.0 else 1.1 if t >= 17.0 else 1.0

    told = _run(Scene([there(BAG, 8.0)], light=light).frames(26.0))
    assert _kinds(told) == [("object.left", "begin"), ("object.left", "end")]
    assert told[1][1].data["reason"] == "end"
    assert _run(Scene(light=light).frames(26.0)) == []


def test_light_that_comes_slowly_is_no_thing() -> None:
    assert _run(Scene([there(BAG, 0.0)], light=lambda t: 0.8 + 0.01 * t, noise=3.0).frames(40.0)) == []


def test_somebody_who_stands_still_for_a_while_is_no_thing() -> None:
    scene = Scene([stands(100, 60, 8.0, 26.0), stands(200, 70, 9.0, 60.0)])
    assert _run(scene.frames(40.0)) == []


def test_whoever_passes_while_the_background_is_gathered_is_not_in_it() -> None:
    scene = Scene([walks(60, -1.0), walks(100, 1.5), walks(20, 3.0)])
    assert _run(scene.frames(16.0)) == []


def test_a_thing_that_stays_belongs_to_the_place_in_the_end() -> None:
    told = _run(Scene([there(BAG, 8.0)]).frames(34.0), stayed_s=8.0)
    assert _kinds(told) == [("object.left", "begin"), ("object.left", "end")]
    assert told[1][1].data["reason"] == "stayed"
    assert told[1][0] == pytest.approx(told[0][0] + 8.0, abs=0.5)


def test_after_a_cut_the_place_is_learned_anew() -> None:
    scene = Scene(
        [there(BAG, 8.0, 20.0), there((40, 30, 60, 60), 32.0)], ground=lambda t: 1 if t < 20.0 else 2
    )
    told = _run(scene.frames(46.0))
    assert _kinds(told) == [("object.left", state) for state in ("begin", "end", "begin", "end")]
    assert told[1][1].data["reason"] == "scene"
    assert told[1][0] == pytest.approx(22.0, abs=0.5)
    assert told[2][1].moment.pts_s == pytest.approx(32.0, abs=0.8)
    assert told[2][1].data["object"] == 2


def test_a_camera_that_was_moved_leaves_no_things_behind() -> None:
    told = _run(Scene(shift=lambda t: (9, 5) if t >= 10.0 else (0, 0)).frames(36.0))
    assert told == []


def test_a_camera_that_trembles_sees_nothing_but_the_thing() -> None:
    def shake(t: float) -> tuple[int, int]:
        return round(np.sin(37 * t)), round(np.sin(23 * t + 1))

    told = _run(Scene([there(BAG, 8.0)], shift=shake).frames(26.0))
    assert {event.kind for _, event in told} <= {"object.left"}
    assert len({event.data["object"] for _, event in told}) <= 1


def test_nothing_is_found_in_a_person() -> None:
    def seen() -> Iterable[Frame]:
        for each in Scene([there((100, 60, 116, 104), 8.0)]).frames(20.0):
            box = np.array([[98, 58, 118, 106]], np.float32)
            each.detections = Detections(box, np.ones(1, np.float32), np.array(["person"]))
            yield each

    assert _run(seen()) == []
    assert len(_run(seen(), ignore_labels=["dog"])) == 2


def test_what_is_there_can_be_drawn() -> None:
    stage, shown = _stage(), []
    for seen in Scene([there(BAG, 8.0, 22.0)]).frames(28.0):
        stage.process(seen)
        shown.append((seen.moment.pts_s, dict(seen.areas or {})))
    during = [areas for pts_s, areas in shown if 17.0 < pts_s < 21.0]
    assert all(list(areas) == ["left 1"] for areas in during)
    assert np.array(during[0]["left 1"])[[0, 2]].ravel() == pytest.approx(np.array(BAG), abs=3)
    assert not any(areas for pts_s, areas in shown if pts_s < 12.0 or pts_s > 25.0)


def test_when_media_time_begins_anew_all_is_forgotten() -> None:
    stage = _stage()
    for seen in Scene([there(BAG, 8.0)]).frames(20.0):
        stage.process(seen)
    again = frame(seen.picture, 0.0, 0)
    again.run = "another"
    stage.process(again)
    (end,) = again.events
    assert (end.run, end.data["state"], end.data["reason"]) == ("run", "end", "end")
    assert stage.finish() == []


def test_the_same_pictures_give_the_same_events() -> None:
    scene = Scene([there(BAG, 8.0), walks(80, 12.0)])
    one, other = (_run(scene.frames(20.0)) for _ in range(2))
    assert one == other
    assert one


@pytest.mark.parametrize("name", ["car-detection.mp4", "traffic_a.mp4"])
def test_real_pictures_in_which_nothing_is_left(name: str) -> None:
    # Cars that come and go under an exposure that jumps; dense traffic before trees.
    stage = BackgroundStage(BackgroundOptions(after_s=4.0, learn_s=3.0), CONTEXT)
    told = [
        event for seen in frames(shared(f"video/{name}")) for event in (stage.process(seen), *seen.events)[1:]
    ]
    assert told == []


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        BackgroundOptions(after_s=0.5)


def test_it_is_registered() -> None:
    assert load_plugin("stage", "background") is BackgroundStage

"""Faults that are drawn into real footage, and ten minutes of footage without any."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import StageContext, StreamInfo
from pipeline.registry import load_plugin
from stages.health.options import HealthOptions
from stages.health.stage import HealthStage
from tests.shared_data import shared
from tests.stages.health import faults
from tests.stages.health.faults import Fault, Luma, broken, looped
from tests.stages.vision.pictures import luma, texture

TRAFFIC = "video/traffic_a.mp4"
STREET = "mot15/TUD-Stadtmitte/TUD-Stadtmitte.mp4"
LANE = "video/car-detection.mp4"
PLACE = [luma(texture(180, 320, 1), 1.5, seed) for seed in range(4)]
QUICK = {"every_s": 1, "learn_s": 8, "after_s": 5, "clear_s": 3, "frozen_s": 8}


@lru_cache(maxsize=8)
def clip(path: str, every: int = 12) -> tuple[Luma, ...]:
    return tuple(faults.lumas(shared(path), every))


def opened(picture: Luma, folder: Path | None = None, live: bool = False, **options: object) -> HealthStage:
    stage = HealthStage(
        HealthOptions.model_validate(QUICK | options), StageContext("gate", "hash", folder=folder)
    )
    height, width = picture.shape
    stage.open(StreamInfo("gate", "test://", "run", width, height, live=live))
    return stage


def run(frames: Iterable[Frame], stage: HealthStage) -> tuple[list[Event], dict[float, str | None]]:
    """Return all events, and by media time why places were suspended."""
    events, suspended = [], {}
    for frame in frames:
        stage.process(frame)
        events += frame.events
        suspended[frame.moment.pts_s] = frame.suspended
    return events + list(stage.finish()), suspended


def told(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(event.data["problem"], event.data["state"]) for event in events]


@pytest.mark.parametrize(
    ("fault", "problem", "suspends"),
    [
        (faults.panned(0.04, 0.04), "moved", True),
        (faults.turned(6), "moved", True),
        (faults.turned(0, 1.25), "moved", True),
        (faults.stamped(faults.panned(0.15)), "moved", True),
        (faults.turned(180), "moved", True),
        (faults.clothed(), "covered", True),
        (faults.stamped(faults.clothed(0.7)), "covered", True),
        (faults.sprayed, "covered", True),
        (faults.unlit, "dark", True),
        (faults.stamped(faults.Stuck()), "frozen", True),
        (faults.blurred(4), "blurred", False),
    ],
    ids=lambda value: None,
)
def test_a_fault_is_told_and_so_is_its_end(fault: Fault, problem: str, suspends: bool) -> None:
    pictures = clip(TRAFFIC)
    events, suspended = run(broken(pictures, fault, 12, 30, 38), opened(pictures[0]))
    assert told(events) == [(problem, "begin"), (problem, "end")]
    begin, end = events
    assert begin.moment.pts_s == pytest.approx(12, abs=6 if problem == "moved" else 1)
    assert end.moment.pts_s == pytest.approx(30, abs=1)
    assert end.data["began"] == str(begin.id)
    assert end.data["reason"] == "recovered"
    assert end.data["lasted_s"] == pytest.approx(18, abs=6)
    assert begin.data["suspends"] is suspends
    assert {suspended[time_s] for time_s in range(25, 30)} == {problem if suspends else None}
    assert {suspended[time_s] for time_s in (*range(12), *range(35, 38))} == {None}


def test_by_how_much_it_has_moved_is_told() -> None:
    pictures = clip(STREET)
    events, _ = run(broken(pictures, faults.panned(0.1, -0.05), 12, 22, 22), opened(pictures[0]))
    data = events[0].data
    assert data["recognised"] is True
    assert data["shift_px"] == pytest.approx([64, -24], abs=3)
    assert data["measure"] == pytest.approx(np.hypot(64, 24) / np.hypot(640, 480), abs=0.005)
    assert (data["rotation_deg"], data["zoom"]) == (pytest.approx(0, abs=0.5), pytest.approx(1, abs=0.01))
    assert data["threshold"] == 0.02
    turned, _ = run(broken(pictures, faults.turned(8, 1.1), 12, 24, 24), opened(pictures[0]))
    assert turned[0].data["rotation_deg"] == pytest.approx(8, abs=0.5)
    assert turned[0].data["zoom"] == pytest.approx(1.1, abs=0.02)


@pytest.mark.parametrize(
    "change",
    [
        faults.panned(0.01, 0.01),
        faults.blurred(0.7),
        faults.clothed(0.3),
        faults.dimmed(0.35),
        faults.dimmed(1.8),
        faults.infrared,
        faults.rainy,
    ],
    ids=lambda value: None,
)
@pytest.mark.parametrize("path", [TRAFFIC, STREET])
def test_light_weather_and_a_nudge_are_no_faults(change: Fault, path: str) -> None:
    pictures = clip(path)
    events, _ = run(broken(pictures, change, 12, 26, 28), opened(pictures[0]))
    assert events == []


@pytest.mark.parametrize(
    ("path", "view"),
    [
        (LANE, "known"),  # the exposure jumps when a car fills the picture
        (TRAFFIC, "known"),
        (STREET, "known"),
        ("video/faces.mp4", "unknown"),  # cuts: no view that could be learned
    ],
)
def test_nothing_is_told_where_nothing_is_wrong(path: str, view: str) -> None:
    pictures = clip(path)
    stage = opened(pictures[0])
    events, suspended = run(looped(pictures, 60), stage)
    assert events == []
    assert set(suspended.values()) == {None}
    assert stage.statistics()["view"] == view


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [LANE, TRAFFIC, STREET, "mot15/TUD-Campus/TUD-Campus.mp4", "video/dashcam_motorway.mp4"]
)
@pytest.mark.parametrize("every", [5, 25])
def test_nothing_is_told_in_ten_minutes(path: str, every: int) -> None:
    pictures = clip(path, every)
    assert run(looped(pictures, 600), opened(pictures[0]))[0] == []


def test_the_same_recording_gives_the_same_events() -> None:
    def once() -> list[dict]:
        events, _ = run(broken(PLACE, faults.panned(0.1), 15, 30, 40), opened(PLACE[0]))
        return [event.to_dict() for event in events]

    assert once() == once() != []


def test_the_end_of_the_stream_ends_a_problem() -> None:
    events, _ = run(broken(PLACE, faults.unlit, 15, 99, 30), opened(PLACE[0]))
    assert told(events) == [("dark", "begin"), ("dark", "end")]
    assert events[1].data["reason"] == "end"
    assert events[1].moment.pts_s == 29


def test_a_moved_camera_is_still_moved_in_the_dark() -> None:
    def fault(picture: Luma, index: int) -> Luma:
        moved = faults.panned(0.2)(picture, index)
        return faults.unlit(moved, index) if 20 <= index < 40 else moved

    events, suspended = run(broken(PLACE, fault, 15, 75, 90), opened(PLACE[0]))
    assert told(events) == [
        ("moved", "begin"),
        ("dark", "begin"),
        ("dark", "end"),
        ("moved", "end"),
    ]
    assert {suspended[time_s] for time_s in range(25, 75)} == {"moved"}


def test_each_problem_can_be_switched_off_and_need_not_suspend() -> None:
    off = dict.fromkeys(("moved", "covered", "dark", "frozen_s", "blurred"))
    for fault in (faults.panned(0.1), faults.clothed(), faults.unlit, faults.Stuck(), faults.blurred(5)):
        assert run(broken(PLACE, fault, 12, 30, 30), opened(PLACE[0], **off))[0] == []
    events, suspended = run(broken(PLACE, faults.unlit, 15, 30, 40), opened(PLACE[0], suspend=["moved"]))
    assert told(events) == [("dark", "begin"), ("dark", "end")]
    assert events[0].data["suspends"] is False
    assert set(suspended.values()) == {None}


def test_nobody_looks_more_often_than_asked() -> None:
    stage = opened(PLACE[0], every_s=2)
    run(looped(PLACE, 10, rate_hz=10), stage)
    assert stage.statistics()["looks"] == 5


@pytest.mark.parametrize(
    "options", [{"moved": 0.001}, {"covered": 1.0}, {"frozen_s": 1}, {"suspend": ["tired"]}, {"dark": 0}]
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HealthOptions.model_validate(options)


def test_it_is_found_by_its_name() -> None:
    assert load_plugin("stage", "health") is HealthStage


def test_a_reference_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (("missing.png", "does not exist"), ("text.png", "no picture that can be read")):
        with pytest.raises(ConfigError, match=message):
            opened(PLACE[0], reference=tmp_path / name)

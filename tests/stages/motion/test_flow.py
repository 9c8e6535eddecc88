from collections.abc import Iterator

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import StreamInfo
from stages.motion.flow import FlowOptions, FlowStage
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frame, frames, grey
from tests.stages.vision.pictures import luma, texture

WIDTH, HEIGHT = 640, 360
METHODS = ("sparse", "dense")
LEFT = {"polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
RIGHT = {"polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}


def _stage(width: int = WIDTH, height: int = HEIGHT, **options: object) -> FlowStage:
    stage = FlowStage(FlowOptions.model_validate(options), CONTEXT)
    stage.open(StreamInfo("test", "test://", "run", width, height))
    return stage


def _scene(seconds: float, rate_hz: float = 25.0, speed: float = 90.0) -> Iterator[Frame]:
    """The left half's upper part moves down, the right half stands."""
    ground, skin = texture(HEIGHT, WIDTH, 1), texture(HEIGHT * 4, WIDTH // 2, 2)
    for index in range(round(seconds * rate_hz)):
        t = index / rate_hz
        picture = ground.copy()
        offset = HEIGHT * 3 - round(speed * t)
        picture[:180, :320] = skin[offset : offset + 180]
        yield frame(grey(luma(picture, seed=index)), t, index)


def _run(stage: FlowStage, scene: Iterator[Frame]) -> list[Event]:
    events: list[Event] = []
    for seen in scene:
        stage.process(seen)
        events.extend(seen.events)
    return [*events, *stage.finish()]


@pytest.mark.parametrize("method", METHODS)
def test_each_zone_s_share_speed_and_direction_are_reported(method: str) -> None:
    events = _run(_stage(method=method, zones={"left": LEFT, "right": RIGHT}, report_s=1.0), _scene(2.5))
    assert [event.data["zone"] for event in events] == ["left", "right"] * 3
    assert {event.kind for event in events} == {"zone.motion"}
    for event in events[::2]:
        assert event.data["moving_share"] == pytest.approx(0.5, abs=0.08)
        assert event.data["speed_px_s"] == pytest.approx(90, rel=0.12)  # what moves at a rim seems slower
        assert event.data["direction_deg"] == pytest.approx(90, abs=4)
        assert event.data["agreement"] > 0.95
        assert event.data["towards"]["down"] > 0.95
        assert event.data["seen_share"] > 0.85
    for event in events[1::2]:
        assert event.data["moving_share"] < 0.02
        assert event.data["seen_share"] > 0.95


def test_reports_lie_on_the_media_clock() -> None:
    events = _run(_stage(zones={"left": LEFT}, report_s=1.0), _scene(2.5))
    assert [event.moment.pts_s for event in events] == pytest.approx([1.0, 2.0, 2.44])
    assert [event.data["from_s"] for event in events] == [0.0, 1.0, 2.0]
    assert [event.data["seconds"] for event in events] == pytest.approx([0.96, 1.0, 0.48], abs=0.005)
    assert len({event.id for event in events}) == 3


def test_figures_go_by_time_and_not_by_pictures() -> None:
    few, many = (
        _run(_stage(zones={"left": LEFT}, report_s=2.0), _scene(2.0, rate_hz))[0].data
        for rate_hz in (10.0, 25.0)
    )
    assert few["speed_px_s"] == pytest.approx(many["speed_px_s"], rel=0.1)
    assert few["moving_share"] == pytest.approx(many["moving_share"], abs=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_the_field_is_in_px_of_the_full_picture_and_seconds(method: str) -> None:
    stage, fields = _stage(method=method), []
    for seen in _scene(0.5):
        stage.process(seen)
        fields.append(seen.motion)
    assert fields[0] is None
    field = fields[-1]
    assert field.dt_s == pytest.approx(0.04)
    moving = (field.points[:, 0] < 300) & (field.points[:, 1] > 20) & (field.points[:, 1] < 160)
    assert np.median(field.velocity[moving], axis=0) == pytest.approx((0, 90), abs=10)
    assert np.median(field.speed[field.points[:, 0] > 340]) < 3
    assert field.points.max(axis=0) == pytest.approx((WIDTH, HEIGHT), abs=40)
    assert np.allclose(field.origins, field.points - field.velocity * 0.04, atol=1e-3)


def test_not_every_picture_needs_to_be_measured() -> None:
    stage = _stage(every_s=0.12)
    measured = []
    for seen in _scene(1.0):
        stage.process(seen)
        measured.append(seen.motion)
    assert [index for index, field in enumerate(measured) if field is not None] == list(range(3, 25, 3))
    assert all(field.dt_s == pytest.approx(0.12) for field in measured if field is not None)


def test_across_a_pause_or_a_new_clock_nothing_is_measured() -> None:
    scene = list(_scene(1.0))
    stage = _stage(zones={"left": LEFT}, report_s=10.0)
    for seen in scene[:10]:
        stage.process(seen)
    late = frame(scene[10].picture, 5.0, 10)
    stage.process(late)
    assert late.motion is None
    again = frame(scene[11].picture, 0.5, 0)
    again.run = "another"
    stage.process(again)
    assert again.motion is None
    assert [event.data["seconds"] for event in again.events] == [pytest.approx(0.36)]
    assert again.events[0].run == "run"


def test_zones_are_there_to_be_drawn() -> None:
    stage = _stage(zones={"left": LEFT})
    seen = next(_scene(0.1))
    seen.areas = {"other": ((0, 0), (1, 0), (1, 1))}
    stage.process(seen)
    assert seen.areas is not None
    assert dict(seen.areas) == {
        "other": ((0, 0), (1, 0), (1, 1)),
        "left": ((0, 0), (320, 0), (320, 360), (0, 360)),
    }


def test_pictures_that_are_small_already_are_not_held() -> None:
    stage = FlowStage(FlowOptions(), CONTEXT)
    stage.open(StreamInfo("test", "test://", "run", 160, 90))
    first, second = luma(texture(90, 160)), luma(texture(90, 160), seed=3)
    buffer = first.copy()
    stage.process(frame(grey(buffer), 0.0))
    buffer[:] = 0
    seen = frame(grey(second), 0.04, 1)
    stage.process(seen)
    assert seen.motion is not None
    assert len(seen.motion) > 50
    assert np.median(seen.motion.speed) < 5


@pytest.mark.parametrize(
    ("zone", "message"),
    [
        ({"polygon": [[0, 0], [1, 0]]}, "at least 3"),
        ({"polygon": [[0, 0], [700, 0], [0, 300]]}, "units: px"),
        ({"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "cross each other"),
    ],
)
def test_a_zone_that_is_none_is_refused(zone: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FlowOptions.model_validate({"zones": {"gate": zone}})


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([[0, 0], [700, 0], [0, 300]], r"zone 'gate': corner \(700, 0\) px lies outside the picture of 640"),
        ([[0, 0], [1, 0], [1, 1]], "zone 'gate': it covers only 0.5 px.*units: fraction"),
    ],
)
def test_a_zone_that_does_not_fit_the_picture_is_refused(polygon: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _stage(zones={"gate": {"polygon": polygon, "units": "px"}})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
def test_traffic_that_comes_down_the_road_is_seen_to_do_so(method: str) -> None:
    # The lanes that lead to the line (80, 250)-(440, 250) of traffic_a.mp4; 12 vehicles come down them.
    road = {"polygon": [[80, 180], [440, 180], [440, 300], [80, 300]], "units": "px"}
    sky = {"polygon": [[0, 0], [640, 0], [640, 20], [0, 20]], "units": "px"}
    stage = _stage(method=method, zones={"road": road, "sky": sky}, report_s=3.0)
    events = _run(stage, frames(shared("video/traffic_a.mp4")))
    on_the_road = [event.data for event in events if event.data["zone"] == "road"]
    assert len(on_the_road) == 3
    for data in on_the_road:
        assert 0.1 < data["moving_share"] < 0.9
        assert data["towards"]["down"] + data["towards"]["right"] > 0.85
        assert data["towards"]["up"] < 0.03
        assert 45 < data["direction_deg"] < 60


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
def test_an_exposure_that_jumps_is_no_motion(method: str) -> None:
    # Nothing moves in the first 40 frames of car-detection.mp4 and between the cars.
    zones = {"all": {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}}
    stage = _stage(768, 432, method=method, zones=zones, report_s=1.0)
    events = _run(stage, frames(shared("video/car-detection.mp4")))
    shares = {event.data["from_s"]: event.data["moving_share"] for event in events}
    cars = {4.0, 5.0, 6.0, 7.0, 8.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 24.0, 25.0, 26.0, 27.0, 28.0}
    assert max(share for start, share in shares.items() if start not in cars) < 0.02
    assert max(shares.values()) > 0.1

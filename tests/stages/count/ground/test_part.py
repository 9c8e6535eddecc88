"""The part as the stage uses it: speeds of observed boxes, what is not measurable, and who is too fast."""

import logging
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.ground.options import GroundOptions
from stages.count.ground.part import Ground
from stages.count.seen import Seen
from stages.count.stage import CountStage
from tests.stages.count.ground.scenes import HEIGHT, LANE, WIDTH, TrueCamera

CAMERA = TrueCamera()
INFO = StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT)
PICTURE = BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
POINTS = [
    {"at": at, "metres": metres}
    for at, metres in zip(CAMERA.pixels(LANE).tolist(), LANE.tolist(), strict=True)
]
SHARES = [{"at": [p["at"][0] / WIDTH, p["at"][1] / HEIGHT], "metres": p["metres"]} for p in POINTS]


def ground(**options: Any) -> Ground:
    made = Ground(
        GroundOptions(units="px", error_px=0.5, error_m=0.01, points=POINTS, **options),
        1.0,
        StageContext("cam", "c0ffee"),
    )
    made.open(INFO)
    return made


def seen(time_s: float, boxes: dict[int, Any], *, label: str = "car", **fields: Any) -> Seen:
    moment = Moment(time_s, round(time_s * 1e9), Clock.FILE)
    frame = Frame("cam", "run", round(time_s * 25), moment, PICTURE, **fields)
    ids, xyxy = list(boxes), np.array(list(boxes.values()), float).reshape(-1, 4)
    return Seen(frame, time_s, ids, ids, list(range(len(ids))), xyxy, [label] * len(ids))


def box(x_m: float, y_m: float, height_m: float = 1.5, width_m: float = 1.8) -> list[float]:
    """The box of something that stands at a place on the ground."""
    ((x, y),) = CAMERA.pixels(np.array([[x_m, y_m]])).tolist()
    scale = CAMERA.focal_px / float(np.hypot(y_m, CAMERA.height_m))
    return [x - width_m * scale / 2, y - height_m * scale, x + width_m * scale / 2, y]


def drive(
    part: Ground, speeds_kmh: list[float], *, y_m: float = 15.0, **kind: Any
) -> tuple[list[Event], Seen]:
    """Object 7 drives away from the camera with these speeds, a second each."""
    events: list[Event] = []
    for step in range(25 * len(speeds_kmh)):
        now = seen(step / 25, {7: box(0.0, y_m)}, **kind)
        events += part.update(now)
        y_m += speeds_kmh[step // 25] / 3.6 / 25
    return events, now


def test_it_tells_the_speed_of_what_it_sees() -> None:
    part = ground()
    _, now = drive(part, [36, 36])
    speed = now.speeds[7]
    assert speed.kmh == pytest.approx(36, abs=0.7)
    assert 0.2 < speed.error_kmh < 5
    assert speed.heading_deg == pytest.approx(0, abs=2) or speed.heading_deg == pytest.approx(360, abs=2)


def test_a_speed_outlives_the_object_for_as_long_as_a_crossing_may_take() -> None:
    part = ground()
    drive(part, [36, 36])
    for time_s, is_known in [(2.5, True), (3.9, True), (4.1, False)]:
        later = seen(time_s, {})
        part.update(later)
        assert (7 in later.speeds) is is_known


@pytest.mark.parametrize(
    ("where", "boxes"),
    [
        ("sky", lambda t: [600, 0, 640, CAMERA.horizon_y - 20 - t]),
        ("just below the horizon", lambda t: [600, -20, 640, CAMERA.horizon_y + 3 + 0.2 * t]),
        ("cut at the bottom", lambda t: [600, 600 + t, 700, HEIGHT]),
        ("cut at the side", lambda t: [0, 400 + t, 100, 500 + t]),
    ],
)
def test_what_cannot_be_measured_has_no_speed(where: str, boxes: Any) -> None:
    part = ground()
    for step in range(50):
        now = seen(step / 25, {1: boxes(step / 25)})
        part.update(now)
        assert not now.speeds, where
    part.finish(Seen.of_nobody(now.frame))
    assert part.statistics() == {"standing": 0, "not_measurable": 1, "moving": {}}


def test_too_wide_an_error_is_no_speed() -> None:
    strict = ground(max_error_kmh=0.01, max_error_share=0.0)
    assert not drive(strict, [36, 36])[1].speeds


def test_the_detector_s_own_box_is_measured_where_it_is_known() -> None:
    part, straight = ground(), ground()
    for step in range(26):
        at = box(0.0, 15 + 10 * step / 25)
        behind = box(0.0, 15.0)  # a tracker that does not follow
        tracks = Tracks([7], [behind], [1.0], ["car"], [1], [0.0])
        detections = Detections(np.array([behind, at], np.float32), np.ones(2), ["car", "car"])
        now = seen(step / 25, {7: behind}, tracks=tracks, detections=detections)
        alone = seen(step / 25, {7: behind})
        part.update(now)
        straight.update(alone)
    assert now.speeds[7].kmh == pytest.approx(36, abs=0.7)
    assert alone.speeds[7].kmh == pytest.approx(0, abs=0.1)


def test_speeding_begins_when_it_is_certain_and_ends_when_it_slows_down() -> None:
    events, _ = drive(ground(limit_kmh=50.0), [40, 80, 20, 20], y_m=10.0)
    begin, end = events
    assert (begin.kind, begin.data["state"], begin.track_id, begin.label) == (
        "object.speeding",
        "begin",
        7,
        "car",
    )
    assert begin.data["speed_kmh"] - begin.data["speed_error_kmh"] > 50
    assert begin.data["limit_kmh"] == 50
    assert 1.2 < begin.moment.pts_s < 2.0
    assert end.data["state"] == "end"
    assert end.data["began"] == str(begin.id)
    assert end.data["reason"] == "slower"
    assert end.data["top_kmh"] == pytest.approx(80, abs=6)
    assert end.data["duration_s"] == pytest.approx(end.moment.pts_s - begin.moment.pts_s, abs=1e-3)
    assert end.data["speed_kmh"] <= 50
    assert begin.producer.config_hash == "c0ffee"


def test_just_over_the_limit_is_not_surely_too_fast() -> None:
    assert drive(ground(limit_kmh=50.0), [51, 51], y_m=12.0)[0] == []


def test_the_limit_holds_for_the_classes_it_names() -> None:
    options = {"limit_kmh": 50.0, "labels": ["truck"]}
    assert drive(ground(**options), [90, 90], label="car")[0] == []
    assert len(drive(ground(**options), [90, 90], label="truck")[0]) == 1


def test_it_ends_when_the_object_is_lost_when_places_are_not_trusted_and_with_the_stream() -> None:
    part = ground(limit_kmh=30.0)
    _, now = drive(part, [60, 60])
    (end,) = [event for time_s in (2.5, 3.1) for event in part.update(seen(time_s, {}))]
    assert end.data["reason"] == "lost"
    assert end.moment.pts_s == now.time_s

    part = ground(limit_kmh=30.0)
    drive(part, [60, 60])
    later = seen(2.0, {7: box(0.0, 48.0)}, suspended="moved")
    (end,) = part.update(later)
    assert end.data["reason"] == "suspended"
    assert not later.speeds
    again = seen(2.04, {7: box(0.0, 48.5)})
    part.update(again)
    assert not again.speeds, "what was seen before the camera moved says nothing now"

    part = ground(limit_kmh=30.0)
    _, now = drive(part, [60, 60])
    (end,) = part.finish(Seen.of_nobody(now.frame))
    assert end.data["reason"] == "end"
    part.close()
    part.close()


def test_the_figures_of_a_survey() -> None:
    part = ground()
    for number, kmh in enumerate([20, 30, 40, 50, 0], 1):
        for step in range(26):
            part.update(seen(number * 20 + step / 25, {number: box(0.0, 12 + kmh / 3.6 * step / 25)}))
    gone = seen(200, {})
    gone.ended.extend([1, 2])
    part.update(gone)
    moving = part.statistics()["moving"]["car"]
    assert moving == {"objects": 2, "mean_kmh": 25.0, "median_kmh": 20, "v85_kmh": 30}
    part.finish(Seen.of_nobody(gone.frame))
    told = part.statistics()
    assert told["standing"] == 1
    assert told["moving"]["car"] == {"objects": 4, "mean_kmh": 35.0, "median_kmh": 30, "v85_kmh": 50}


def test_mirrored_and_contradicting_points_are_told(caplog: pytest.LogCaptureFixture) -> None:
    mirror = [{"at": point["at"], "metres": [-point["metres"][0], point["metres"][1]]} for point in POINTS]
    with caplog.at_level(logging.WARNING):
        Ground(GroundOptions(units="px", points=mirror), 1.0, StageContext("cam")).open(INFO)
    assert "those of a mirror" in caplog.text
    caplog.clear()
    (inside,) = CAMERA.pixels(np.array([[1.0, 14.0]])).tolist()
    slip = {"at": [inside[0], inside[1] + 40], "metres": [1, 14]}
    extra = [*POINTS, slip, {"at": inside, "metres": [1, 14.5]}]
    with caplog.at_level(logging.WARNING):
        Ground(GroundOptions(units="px", points=extra), 1.0, StageContext("cam")).open(INFO)
    assert "point 5 by" in caplog.text


def test_the_stage_has_it_as_a_part() -> None:
    options = CountStage.Options(
        ground={"units": "px", "points": POINTS, "limit_kmh": 30},
        lines={"gate": {"start": [0, 0.5], "end": [1, 0.5]}},
    )
    stage = CountStage(options, StageContext("cam"))
    stage.open(INFO)
    events: list[Event] = []
    for step in range(50):
        at = box(0.0, 12 + 60 / 3.6 * step / 25)
        now = seen(step / 25, {})
        now.frame.tracks = Tracks([7], [at], [1.0], ["car"], [0], [0.0])
        stage.process(now.frame)
        events += now.frame.events
    assert [event.kind for event in events if event.kind == "object.speeding"] == ["object.speeding"]
    events += stage.finish()
    assert events[-1].data["reason"] == "end"
    assert stage.statistics()["ground"]["moving"]["car"]["objects"] == 1


def test_ground_alone_is_enough_for_the_stage() -> None:
    assert CountStage.Options(ground={"units": "px", "points": POINTS}).lines == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either points"),
        ({"points": [{"at": [0.1, 0.1], "metres": [0, 0]}] * 3}, "at least 4"),
        ({"points": POINTS}, "point 1 .* must lie within 0..1"),
        (
            {"points": [{"at": [x, 0.5], "metres": [x, x * x]} for x in (0.1, 0.2, 0.3, 0.5)]},
            "points 1, 2, 3 and 4 lie in a line in the picture",
        ),
        (
            {"points": [{"at": at, "metres": [1, 1]} for at in ([0, 0], [0, 0], [1, 0], [1, 1])]},
            "points 1 and 2 are 0 px apart",
        ),
        (
            {"rectangle": {"corners": [[0, 0], [1, 1], [1, 0], [0, 1]], "sides_m": [5, 5]}},
            "go around it",
        ),
        ({"rectangle": {"corners": [[0, 0], [1, 0], [1, 1]], "sides_m": [5, 5]}}, "at least 4"),
        ({"rectangle": {"corners": [[0, 0], [1, 0], [1, 1], [0, 1]], "sides_m": [5, 0]}}, "greater than 0"),
        ({"units": "px", "points": POINTS, "fit": "ransac"}, "needs 6 pairs"),
        ({"units": "px", "points": POINTS, "labels": ["car"]}, "give limit_kmh too"),
        ({"points": SHARES, "lens": {"k1": -9}}, "turn the picture back"),
        ({"points": [*SHARES, {"at": [0.4, 0.7], "metres": [3, 29]}]}, "contradict each other, point 5 by"),
        (
            {"points": [{**p, "metres": [v * 1e-5 for v in p["metres"]]} for p in SHARES]},
            r"in metres \(not degrees\)",
        ),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GroundOptions(**options)


def test_a_point_outside_the_picture_is_refused_once_its_size_is_known() -> None:
    part = Ground(GroundOptions(units="px", points=POINTS), 1.0, StageContext("cam"))
    with pytest.raises(ConfigError, match=r"ground: point \d .* lies outside the picture of 320 x 240 px"):
        part.open(StreamInfo("cam", "", "run", 320, 240))


def test_fractions_and_pixels_give_the_same_plane() -> None:
    lens = {"k1": -0.1, "focal": 0.8, "centre": [0.5, 0.5]}
    one = GroundOptions(points=SHARES, lens=lens).plane(WIDTH, HEIGHT)
    pixels = {"k1": -0.1, "focal": 0.8 * WIDTH, "centre": [WIDTH / 2, HEIGHT / 2]}
    other = GroundOptions(units="px", points=POINTS, lens=pixels).plane(WIDTH, HEIGHT)
    at = np.array([[300.0, 500.0]])
    np.testing.assert_allclose(one.to_metres(at)[0], other.to_metres(at)[0])


def test_speeds_are_drawn_at_the_boxes() -> None:
    _, now = drive(ground(), [36, 36])
    assert now.frame.remarks == {7: "36 km/h"}


@pytest.mark.parametrize(
    ("anchor", "free", "cut"),
    [
        ("bottom_center", [100, 0, 200, 500], [100, 300, 200, HEIGHT]),
        ("center", [100, 10, 200, 500], [100, 0, 200, 500]),
        ("bottom_left", [1100, 300, WIDTH, 500], [0, 300, 100, 500]),
        ([0.5, 0.9], [100, 10, 200, 500], [100, 300, 200, HEIGHT - 1]),
    ],
)
def test_the_border_matters_where_the_anchor_hangs_on_it(anchor: Any, free: list, cut: list) -> None:
    part = ground(anchor=anchor)
    assert part._cut(np.array([free, cut], float)).tolist() == [False, True]

"""The stage `follow`: drawn scenes with known places, bad input, and what other stages make of its tracks."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import ConfigError, SourceError
from pipeline.objects import Detections
from pipeline.plugin import StageContext, StreamInfo
from pipeline.registry import load_plugin
from stages.follow.stage import FollowStage
from tests.stages.follow.scenes import (
    BLUE,
    HEIGHT,
    METHODS,
    ORANGE,
    WIDTH,
    Scene,
    followed,
    frame,
    ground,
    made,
    options_for,
    straight,
    tracks_of,
)


def test_it_is_registered() -> None:
    assert load_plugin("stage", "follow") is FollowStage


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_observed_and_belong_to_detections(method: str) -> None:
    now = followed(method, Scene(straight, 0.2))[-1]
    tracks, detections = tracks_of(now), now.detections
    assert detections is not None
    assert tracks.detection.tolist() == [0]
    assert tracks.xyxy.tolist() == detections.xyxy.tolist()
    assert tracks.label.tolist() == detections.label.tolist() == ["ball"]
    assert tracks.score.tolist() == detections.score.tolist()
    assert 0.5 < tracks.score[0] <= 1
    assert tracks.missed_s.tolist() == [0]


def two(time_s: float, swap: bool = False) -> Any:
    """An orange and a blue square that pass each other."""
    bgr = ground().copy()
    x = round(40 + 80 * time_s)
    bgr[60:100, x : x + 40] = ORANGE
    bgr[140:180, 280 - x : 320 - x] = BLUE
    return bgr


@pytest.mark.parametrize(
    ("method", "targets"),
    [
        ("camshift", {"a": {"start": (40, 60, 80, 100)}, "b": {"start": (240, 140, 280, 180)}}),
        ("meanshift", {"a": {"start": (40, 60, 80, 100)}, "b": {"start": (240, 140, 280, 180)}}),
        (
            "colour",
            {"a": {"colour": "orange"}, "b": {"hsv": {"low": (100, 90, 60), "high": (125, 255, 255)}}},
        ),
    ],
)
def test_several_objects_keep_their_names(method: str, targets: Any) -> None:
    stage = made(method=method, targets=targets)
    for k in range(60):
        now = frame(k, k / 25, two(k / 25))
        stage.process(now)
        tracks = tracks_of(now)
        assert tracks.label.tolist() == ["a", "b"]
        assert tracks.id.tolist() == [1, 2]
        x = 40 + 80 * k / 25
        assert tracks.xyxy[:, 0] == pytest.approx([x, 280 - x], abs=2)


def test_two_of_the_same_colour_do_not_share_a_place() -> None:
    bgr = ground().copy()
    bgr[60:100, 40:80] = bgr[150:180, 200:230] = ORANGE
    now = frame(0, 0.0, bgr)
    made(method="colour", targets={"a": {"colour": "orange"}, "b": {"colour": "#e67820"}}).process(now)
    assert tracks_of(now).xyxy[:, 0].tolist() == pytest.approx([40, 200], abs=2)


@pytest.mark.parametrize("method", METHODS)
def test_it_begins_at_its_time(method: str) -> None:
    scene = Scene(straight, 2.0)
    options = options_for(method, scene)
    target = {**options["targets"]["ball"], "start_s": 1.0}
    if method != "colour":
        target["start"] = tuple(scene.truth(1.0).tolist())
    stage = made(method=method, targets={"ball": target})
    for k, time_s in enumerate(scene.times()):
        now = frame(k, time_s, scene.picture(time_s))
        stage.process(now)
        assert len(tracks_of(now)) == (time_s >= 1.0)


@pytest.mark.parametrize("method", METHODS)
def test_time_counts_and_not_pictures(method: str) -> None:
    """Every third picture only, and then a gap of an hour: found again, as somebody new."""
    scene = Scene(straight)
    stage = made(**options_for(method, scene))
    for k, time_s in enumerate(scene.times()[::3]):
        now = frame(k, time_s, scene.picture(time_s))
        stage.process(now)
        assert tracks_of(now).id.tolist() == [1]
    later = frame(k + 1, 3600.0, scene.picture(0.4))
    stage.process(later)
    assert tracks_of(later).id.tolist() == [2]
    assert tracks_of(later).xyxy[0] == pytest.approx(scene.truth(0.4), abs=3)


@pytest.mark.parametrize("method", METHODS)
def test_a_new_run_starts_afresh(method: str) -> None:
    scene = Scene(straight, 0.4)
    stage = made(**options_for(method, scene))
    seen = []
    for run in ("monday", "tuesday"):
        rows = []
        for k, time_s in enumerate(scene.times()):
            now = frame(k, time_s, scene.picture(time_s), run)
            stage.process(now)
            rows.append((tracks_of(now).id.tolist(), tracks_of(now).xyxy.tolist()))
        seen.append(rows)
    assert seen[0] == seen[1]
    assert seen[0][-1][0] == [1]


@pytest.mark.parametrize("method", METHODS)
def test_large_pictures_are_looked_at_in_half_the_size(method: str) -> None:
    bgr = np.full((720, 1280, 3), 110, np.uint8)
    stage = made(
        1280, 720, **options_for(method, Scene(lambda t: (300 + 200 * t, 400, 160, 120)), min_area=0.002)
    )
    for k in range(25):
        x = 220 + 8 * k
        now = bgr.copy()
        now[340:460, x : x + 160] = ORANGE
        seen = frame(k, k / 25, now)
        stage.process(seen)
        assert tracks_of(seen).xyxy[0] == pytest.approx([x, 340, x + 160, 460], abs=6)


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_boxes_are_finite_and_in_the_picture(data: st.DataObject) -> None:
    """An object that jumps anywhere, also out of the picture, at any times."""
    method = data.draw(st.sampled_from(METHODS))
    points = st.tuples(st.floats(-60, WIDTH + 60), st.floats(-60, HEIGHT + 60), st.floats(6, 150))
    x, y, size = 160.0, 120.0, 40.0
    stage = made(**options_for(method, Scene(lambda t: (160, 120, 40, 40))))
    time_s = 0.0
    for k in range(8):
        scene = Scene(lambda t, x=x, y=y, size=size: (x, y, size, size))  # type: ignore[misc]
        now = frame(k, time_s, scene.picture(0.0))
        stage.process(now)
        xyxy = tracks_of(now).xyxy
        assert np.isfinite(xyxy).all()
        assert (xyxy >= 0).all()
        assert (xyxy <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
        assert (xyxy[:, 2:] > xyxy[:, :2]).all()
        x, y, size = data.draw(points)
        time_s += data.draw(st.floats(0.001, 3))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            (-1, 20, 40, 60),
            r"target 'car': start \[-1, 20, 40, 60\] lies outside the picture of 320 x 240 px",
        ),
        ((300, 20, 340, 60), r"x must be within 0\.\.320, y within 0\.\.240"),
        ((20, 200, 60, 241), "lies outside the picture"),
    ],
)
def test_a_start_outside_the_picture_is_refused(start: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made(targets={"car": {"start": start}})


def test_a_start_without_colour_is_refused() -> None:
    stage = made(targets={"car": {"start": (20, 20, 60, 60)}})
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    with pytest.raises(
        ConfigError, match=r"'car': start \[20, 20, 60, 60\] at 0\.000 s: only 0 % of the box"
    ):
        stage.process(frame(0, 0.0, grey))


def test_a_detector_before_it_is_told() -> None:
    stage = made(method="colour", targets={"ball": {"colour": "red"}})
    with pytest.raises(ConfigError, match="'follow' finds its objects itself; take the detector"):
        stage.process(frame(0, 0.0, ground(), detections=Detections.empty()))


def test_time_that_stands_still_is_told() -> None:
    stage = made(method="colour", targets={"ball": {"colour": "red"}})
    stage.process(frame(0, 1.5, ground()))
    with pytest.raises(
        SourceError, match=r"picture 1: time must advance: a frame at 1\.5 s after one at 1\.5"
    ):
        stage.process(frame(1, 1.5, ground()))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"method": "colour", "targets": {"x": {"colour": "red"}}},
            "no patch of its colour was large enough",
        ),
        ({"targets": {"x": {"start": (5, 5, 50, 50), "start_s": 9}}}, "ended before its start_s of 9 s"),
    ],
)
def test_what_was_never_found_is_told(
    options: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    stage = made(**options)
    stage.process(frame(0, 0.0, np.full((HEIGHT, WIDTH, 3), 90, np.uint8)))
    with caplog.at_level(logging.WARNING):
        stage.finish()
        stage.finish()
    (record,) = caplog.records
    assert record.getMessage().startswith("target 'x' of stream 'yard' was never found: ")
    assert why in record.getMessage()


BOX = {"start": (5, 5, 50, 50)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": {}}, "at least 1"),
        ({"targets": {f"t{k}": BOX for k in range(17)}}, "at most 16"),
        ({"targets": {"x": {}}}, "target 'x' needs a start box for method camshift"),
        ({"targets": {"x": {"colour": "red"}}}, "target 'x' needs a start box"),
        ({"targets": {"x": {**BOX, "colour": "red"}}}, "camshift takes the colours from the start box"),
        ({"method": "colour", "targets": {"x": BOX}}, "target 'x' needs a colour or hsv .*hex in quotes"),
        ({"method": "colour", "targets": {"x": {**BOX, "colour": "red"}}}, "does not use; take it away"),
        ({"method": "colour", "targets": {"x": {"colour": "rde"}}}, "did you mean 'red'"),
        ({"method": "colour", "targets": {"x": {"colour": "#12345"}}}, "is no hex colour"),
        (
            {"method": "colour", "targets": {"x": {"hsv": {"low": (200, 0, 0), "high": (9, 9, 9)}}}},
            "low: hue 200",
        ),
        (
            {
                "method": "colour",
                "targets": {"x": {"colour": "red", "hsv": {"low": (0, 0, 0), "high": (9, 9, 9)}}},
            },
            "either colour or hsv, not both",
        ),
        (
            {"targets": {"x": {"start": (50, 5, 5, 50)}}},
            r"must be \[left, top, right, bottom\], at least 8 px",
        ),
        ({"targets": {"x": {"start": (5, 5, 9, 50)}}}, "at least 8 px"),
        ({"targets": {"x": {"start": (5, 5, float("nan"), 50)}}}, "finite"),
        ({"targets": {"x": {**BOX, "start_s": -1}}}, "greater than or equal to 0"),
        ({"targets": {"x": BOX}, "min_similarity": 0}, "greater than 0"),
        ({"targets": {"x": BOX}, "min_area": 1}, "less than 1"),
        ({"targets": {"x": BOX}, "max_age_s": -1}, "greater than or equal to 0"),
        ({"targets": {"x": BOX}, "method": "kcf"}, "camshift"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FollowStage.Options(**options)


def test_closing_twice_is_safe() -> None:
    stage = FollowStage(FollowStage.Options(targets={"x": BOX}), StageContext("yard"))
    stage.close()
    stage.open(StreamInfo("yard", "f", "r", WIDTH, HEIGHT))
    stage.close()
    stage.close()

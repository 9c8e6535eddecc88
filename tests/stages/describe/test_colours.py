"""The stage `colours`, and counting by what it says."""

import json

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext
from pipeline.registry import load_plugin
from stages.describe.colours import ColoursStage
from tests.shared_data import shared

BOXES = np.array([[10, 10, 50, 50], [100, 10, 140, 50]], np.float32)


def stage(**options) -> ColoursStage:
    return ColoursStage(ColoursStage.Options(**options), StageContext("cam"))


def frame(**fields) -> Frame:
    canvas = np.full((100, 200, 3), 128, np.uint8)
    canvas[10:50, 10:50] = (30, 20, 200)
    canvas[10:50, 100:140] = (170, 60, 30)
    return Frame("cam", "run", 0, Moment(0.0, 0, Clock.FILE), BgrPicture(canvas), **fields)


def detections(**more) -> Detections:
    return Detections(BOXES, np.ones(2), np.array(["car", "bus"]), **more)


def test_it_is_registered():
    assert load_plugin("stage", "colours") is ColoursStage


def test_detections_get_a_colour():
    seen = frame(detections=detections())
    stage().process(seen)
    assert seen.detections.attributes.tolist() == [{"colour": "red"}, {"colour": "blue"}]


def test_what_was_known_stays_known():
    seen = frame(detections=detections(attributes=[{"make": "Fiat"}, {"colour": "white"}]))
    stage(labels=["car"], attribute="paint").process(seen)
    assert seen.detections.attributes.tolist() == [{"make": "Fiat", "paint": "red"}, {"colour": "white"}]


def test_tracks_that_were_seen_get_a_colour():
    tracks = Tracks(
        np.array([4, 5]), BOXES, np.ones(2), np.array(["car", "bus"]), np.array([0, -1]), np.zeros(2)
    )
    seen = frame(detections=detections(), tracks=tracks)
    stage().process(seen)
    assert seen.tracks.attributes.tolist() == [{"colour": "red"}, {}]
    assert seen.detections.attributes is None


def test_without_objects_it_says_what_is_missing():
    with pytest.raises(ConfigError, match="stage 'colours' needs detections; put a detector before it"):
        stage().process(frame())


@pytest.mark.slow
def test_white_and_red_cars_are_told_apart_in_real_footage(tmp_path, sightline):
    """Up: a white one and a red one; down: a silver one and a white one."""
    clip = shared("video/car-detection.mp4")
    gate = "{start: [0, 0.5], end: [1, 0.5], anchor: center, directions: {to_right: down, to_left: up}}"
    stages = (
        "[{motion: {width: 320, min_area: 0.003}}, {track: {appearance: none, n_init: 3}}, colours, "
        f"{{count: {{lines: {{all: {gate}, red: {gate[:-1]}, where: {{colour: red}}}}}}}}}}]"
    )
    ran = sightline(
        "run", "traffic", "--source", f"road={clip}", "--out", tmp_path, "--quiet",
        "--set", f"stages={stages}", "--set", "sinks=[events]",
    )  # fmt: skip
    assert ran.code == 0, ran
    events = [json.loads(line)["data"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    colours = [
        (event["direction"], event["attributes"]["colour"]) for event in events if event["line"] == "all"
    ]
    assert [colour for direction, colour in colours if direction == "up"] == ["white", "red"]
    assert {colour for direction, colour in colours if direction == "down"} <= {"white", "grey"}
    assert [event["direction"] for event in events if event["line"] == "red"] == ["up"]

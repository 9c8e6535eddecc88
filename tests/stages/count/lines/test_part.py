"""The part `lines` of the stage: gates, bends, attributes, votes, speeds, passages, suspended views."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.objects import Detections, Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.lines.options import LineOptions
from stages.count.lines.part import Lines
from stages.count.seen import Seen, Speed
from stages.count.stage import CountStage
from tests.stages.count.seen import HEIGHT, WIDTH, frame_at, seen_at

INFO = StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT)
GATE = {"start": [0.0, 0.5], "end": [1.0, 0.5], "directions": {"to_right": "down", "to_left": "up"}}


def part(*, vanished_s: float = 1.0, forget_s: float = 10.0, **lines) -> Lines:
    checked = {name: LineOptions.model_validate(line) for name, line in lines.items()}
    made = Lines(checked, vanished_s, forget_s, StageContext("cam", config_hash="c0ffee"))
    made.open(INFO)
    return made


def drive(
    lines: Lines, places, *, from_s: float = 0.0, who: int = 7, **fields
) -> tuple[list[Event], list[Seen]]:
    """Move an object over places at 10 Hz."""
    events, frames = [], []
    for step, (x, y) in enumerate(places):
        seen = seen_at(from_s + step / 10, (who, x, y), **fields)
        events += lines.update(seen)
        frames.append(seen)
    return events, frames


def down(x: float = 320) -> list[tuple[float, float]]:
    return [(x, y) for y in range(140, 240, 10)]


def test_gates_of_one_line_add_up_under_its_name():
    lines = part(road={"gates": [[[0.1, 0.5], [0.4, 0.5]], [[0.6, 0.5], [0.9, 0.5]]]})
    left, _ = drive(lines, down(160))
    between, _ = drive(lines, down(320), from_s=2.0, who=8)
    right, frames = drive(lines, down(480), from_s=4.0, who=9)
    assert (len(left), len(between), len(right)) == (1, 0, 1)
    assert frames[-1].frame.counts == {"road": {"to_right": {"car": 2}, "to_left": {}}}
    assert list(frames[-1].frame.lines) == ["road", "road (2)"]
    assert left[0].id != right[0].id
    assert [event.data["line"] for event in left + right] == ["road", "road"]


def test_who_goes_through_both_gates_is_counted_at_both_under_different_ids():
    lines = part(road={"gates": [[[0.1, 0.4], [0.9, 0.4]], [[0.1, 0.6], [0.9, 0.6]]]})
    events, _ = drive(lines, [(320, y) for y in range(100, 300, 10)])
    assert len(events) == len({event.id for event in events}) == 2


def test_a_line_with_bends():
    lines = part(corner={"points": [[0.2, 0.5], [0.5, 0.5], [0.5, 0.9]]})
    into, frames = drive(lines, [(250, y) for y in range(140, 260, 10)])
    out, _ = drive(lines, [(x, 250) for x in range(260, 400, 10)], from_s=1.3)
    assert [event.data["direction"] for event in into + out] == ["to_right", "to_left"]
    assert frames[0].frame.lines["corner"] == ((128, 180), (320, 180), (320, 324))


@pytest.mark.parametrize(
    ("anchor", "counts"), [([0.5, 1.0], 1), ([0.5, 0.0], 0), ([0.0, 0.5], 1), ("center", 1)]
)
def test_any_point_of_the_box_may_be_the_anchor(anchor, counts):
    lines = part(gate=GATE | {"anchor": anchor})
    events, _ = drive(lines, [(320, y) for y in range(150, 206, 5)])  # boxes of 20 x 30 px
    assert len(events) + len(lines.finish(Seen.of_nobody(frame_at(9.9)))) == counts


def test_only_objects_with_the_attribute_count():
    lines = part(red=GATE | {"where": {"colour": ["red", "white"]}}, all=GATE)
    red, _ = drive(lines, down(), attributes=[{"colour": "red", "kind": "van"}])
    blue, _ = drive(lines, down()[::-1], from_s=1.0, attributes=[{"colour": "blue"}])
    unknown, frames = drive(lines, down(), from_s=2.0)
    assert [event.data["line"] for event in red + blue + unknown] == ["red", "all", "all", "all"]
    assert red[0].data["attributes"] == {"colour": "red", "kind": "van"}
    assert "attributes" not in unknown[0].data
    assert frames[-1].frame.counts["red"]["down"] == {"car": 1}


def test_one_value_may_be_written_without_a_list():
    assert LineOptions.model_validate(GATE | {"where": {"colour": "red"}}).where == {"colour": {"red"}}
    assert LineOptions.model_validate(GATE | {"labels": "car"}).labels == {"car"}


def test_speed_is_told_where_it_is_known():
    lines = part(gate=GATE)
    events, _ = drive(lines, down(), speeds={7: Speed(48.26, 2.34, 90.0)})
    assert events[0].data["speed_kmh"] == 48.3
    assert events[0].data["speed_error_kmh"] == 2.3
    assert json.loads(json.dumps(events[0].to_dict()))["data"]["speed_kmh"] == 48.3


def test_passages_are_told_at_once_and_crossings_when_they_are_final():
    _, frames = drive(part(gate=GATE), [(320, y) for y in (160, 170, 178, 184, 176, 190, 200, 210, 220)])
    assert [[passage.line for passage in seen.passages] for seen in frames] == [
        [], [], [], ["gate"], ["gate"], ["gate"], [], [], []
    ]  # fmt: skip
    assert frames[3].passages[0] == type(frames[3].passages[0])("gate", 7, 0)
    found = [(step, one.line, one.direction) for step, seen in enumerate(frames) for one in seen.crossings]
    assert found == [(7, "gate", "down")]


def test_what_the_end_decides_is_told_to_the_parts_that_follow():
    lines = part(gate=GATE)
    assert drive(lines, [(320, 140), (320, 250)])[0] == []
    last = Seen.of_nobody(frame_at(0.1))
    (event,) = lines.finish(last)
    assert [one.line for one in last.crossings] == ["gate"]
    assert event.data["direction"] == "down"


def test_a_suspended_view_counts_nothing_and_joins_nothing():
    lines = part(gate=GATE)
    before, _ = drive(lines, [(320, y) for y in (140, 160, 200)])  # its crossing is not final yet
    for step, y in enumerate((210, 220, 230, 240)):
        seen = seen_at(frame_at(0.3 + step / 10, suspended="moved"), (7, 320, y))
        assert lines.update(seen) == []
        assert seen.passages == []
        assert seen.frame.counts == {"gate": {"down": {}, "up": {}}}
    after, _ = drive(lines, [(320, y) for y in (140, 130, 120, 110)], from_s=0.7)
    assert before + after == [], "from below to above, but nobody saw how"
    again, _ = drive(lines, down(), from_s=1.2)
    assert [event.data["direction"] for event in again] == ["down"]


def process(stage: CountStage, time_s: float, xy, label: str, seen_as: str, **columns) -> list[Event]:
    x, y = xy
    box = np.array([[x - 10, y - 30, x + 10, y]], np.float32)
    tracks = Tracks(np.array([7]), box, np.ones(1), np.array([label]), np.array([0]), np.zeros(1), **columns)
    frame = frame_at(time_s, tracks=tracks, detections=Detections(box, np.ones(1), np.array([seen_as])))
    stage.process(frame)
    return frame.events


def test_evidence_has_the_votes_of_all_detections():
    stage = CountStage(CountStage.Options(lines={"gate": GATE}), StageContext("cam"))
    stage.open(INFO)
    events = []
    for step, place in enumerate(down()):
        seen_as = "truck" if step in (2, 3) else "car"
        events += process(stage, step / 10, place, "car", seen_as)
    assert events[0].evidence["votes"] == {"car": 6, "truck": 2}


def test_a_colour_is_the_vote_of_all_detections():
    stage = CountStage(
        CountStage.Options(lines={"gate": GATE | {"where": {"colour": "red"}}}), StageContext("c")
    )
    stage.open(INFO)
    events = []
    for step, place in enumerate(down()):
        colour = [{"colour": "grey" if step >= 5 else "red"}]  # grey in the shadow behind the line
        events += process(stage, step / 10, place, "car", "car", attributes=colour)
    assert [event.data["attributes"] for event in events] == [{"colour": "red"}]


def test_evidence_names_the_tracks_of_an_object():
    stage = CountStage(CountStage.Options(lines={"gate": GATE}), StageContext("cam"))
    stage.open(INFO)
    events = []
    for step, (x, y) in enumerate(down()):
        box = np.array([[x - 10, y - 30, x + 10, y]], np.float32)
        track = np.array([7 if step < 4 else 12])
        tracks = Tracks(track, box, np.ones(1), np.array(["car"]), np.array([0]), np.zeros(1))
        frame = frame_at(step / 10, tracks=tracks)
        stage.process(frame)
        events += frame.events
    (event,) = events
    assert event.track_id == 7
    assert event.evidence["continued"] == [7, 12]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({}, "draw the line by start and end, or by points, or by gates"),
        ({"start": [0, 0]}, "draw the line by start and end"),
        (GATE | {"points": [[0, 0], [1, 1]]}, "draw the line by"),
        ({"points": [[0, 0]]}, "at least 2"),
        ({"gates": []}, "at least 1"),
        (
            {"points": [[0, 0], [0.5, 0.5], [0.5, 0.5]]},
            r"two different points, got \(0\.5, 0\.5\) twice in a row",
        ),
        ({"points": [[0, 0], [1, 0], [1, 1], [0.5, -0.0]]}, "must not touch itself"),
        ({"points": [[0, 0], [2, 0]]}, r"point 2 \(2, 0\) must lie within 0\.\.1"),
        ({"gates": [[[0, 0], [1, 0]], [[0, 0], [0, 3]]]}, r"point 2 of gate 2 \(0, 3\) must lie within"),
        (GATE | {"anchor": [0.5, 1.5]}, "less than or equal to 1"),
        (GATE | {"where": {"colour": []}}, "at least 1"),
    ],
)
def test_lines_that_are_none(line, message):
    with pytest.raises(ValidationError, match=message):
        LineOptions.model_validate(line)


def test_a_bend_outside_the_picture():
    with pytest.raises(ConfigError, match=r"line 'gate': point 2 \(700, 100\) px lies outside the picture"):
        part(gate={"points": [[0, 0], [700, 100], [600, 300]], "units": "px"})
    with pytest.raises(ConfigError, match=r"point 1 of gate 1 .* and point 2 of gate 1 .* px are 1 px apart"):
        part(gate={"gates": [[[10, 10], [11, 10]]], "units": "px"})

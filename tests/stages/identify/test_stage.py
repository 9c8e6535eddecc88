"""Two streams with their stages, one frame after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.event import Producer
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.shared import Shared
from stages.identify.options import IdentifyOptions
from stages.identify.stage import IdentifyStage
from tests.stages.identify.world import START_NS, S

OPTIONS = {
    "gates": {
        "school": {"stream": "north", "line": "gate", "direction": "out"},
        "station": {"stream": "south", "line": "gate", "direction": "in"},
    },
    "links": {"walk": {"start": "school", "end": "station", "travel_s": 4, "spread": 1.2}},
    "min_score": 0.3,
}
PICTURE = BgrPicture(np.zeros((4, 4, 3), np.uint8))


def frame(stream: str, at_s: float, ids=(), embedding=None, *, run: str = "r") -> Frame:
    count = len(ids)
    made = Frame(stream, run, round(at_s * 10), Moment(at_s, START_NS + round(at_s * S), Clock.FILE), PICTURE)
    xyxy = np.array([[20 * i, 0, 20 * i + 10, 20] for i in range(count)], np.float32).reshape(-1, 4)
    score, label = np.ones(count, np.float32), np.full(count, "person")
    made.detections = Detections(
        xyxy, score, label, None if embedding is None else np.asarray(embedding, np.float32)
    )
    made.tracks = Tracks(
        np.array(ids, np.int64), xyxy, score, label, np.arange(count), np.zeros(count, np.float32)
    )
    return made


def add(to: Frame, kind: str, track_id: int, **data) -> None:
    key = f"{kind}{track_id}{to.sequence}"
    event = to.event(kind, key, Producer("count", "gate"), track_id=track_id, label="person", data=data)
    to.events.append(event)


class Pair:
    """A stage for each of two streams."""

    def __init__(self, options=OPTIONS) -> None:
        shared, checked = Shared(), IdentifyOptions.model_validate(options)
        self.stages = {
            name: IdentifyStage(checked, StageContext(name, "hash", shared)) for name in ("north", "south")
        }
        for name, stage in self.stages.items():
            stage.open(StreamInfo(name, name, "r", 640, 360, live=True))

    def show(self, shown: Frame) -> list:
        self.stages[shown.stream].process(shown)
        return [event for event in shown.events if event.kind == "identity.match"]


def walk(pair: Pair, *, embedding=None) -> list:
    """Object 7 leaves the north camera at 1 s, object 3 comes to the south one at 5 s."""
    out, come = frame("north", 1.0, [7], embedding), frame("south", 5.0, [3], embedding)
    add(out, "line.crossing", 7, line="gate", direction="out")
    add(come, "line.crossing", 3, line="gate", direction="in")
    pair.show(out)
    found = pair.show(come)
    return found + pair.show(frame("south", 5.6, [3], embedding))


def test_who_left_there_and_came_here():
    pair = Pair()
    (match,) = walk(pair)
    assert match.stream == "south"
    assert match.track_id == 3
    assert match.moment.pts_s == 5.0
    assert match.data["from"] == {
        "stream": "north", "run": "r", "track_id": 7, "gate": "school", "time_ns": START_NS + S,
    }  # fmt: skip
    assert (match.data["travel_s"], match.data["candidates"], match.data["cosine"]) == (4.0, 1, None)
    assert 0.5 < match.data["score"] < 1
    assert len(match.data["identity"]) == 16
    assert pair.stages["north"].statistics()["links"]["walk"]["matches"] == 1


def test_looks_are_those_of_the_tracks():
    (match,) = walk(Pair(), embedding=[[0.0, 2.0, 0.0]])
    assert match.data["cosine"] == 1.0


def test_it_is_looked_at_for_a_while_before_it_is_decided():
    pair = Pair(OPTIONS | {"look_s": 2.0})
    assert walk(pair) == []
    assert pair.show(frame("south", 6.9)) == []
    assert len(pair.show(frame("south", 7.0))) == 1


def test_who_came_last_is_told_at_the_end():
    pair = Pair(OPTIONS | {"look_s": 2.0})
    walk(pair)
    (match,) = pair.stages["south"].finish()
    assert match.kind == "identity.match"
    assert pair.stages["south"].finish() == ()


@pytest.mark.parametrize(
    ("direction", "line", "kind"),
    [("in", "gate", "line.crossing"), ("out", "yard", "line.crossing"), ("out", "gate", "zone.left")],
)
def test_other_lines_directions_and_kinds_are_no_gates(direction, line, kind):
    pair = Pair()
    out = frame("north", 1.0, [7])
    add(out, kind, 7, line=line, direction=direction)
    pair.show(out)
    come = frame("south", 5.0, [3])
    add(come, "line.crossing", 3, line="gate", direction="in")
    assert pair.show(come) + pair.show(frame("south", 6.0)) == []


def test_zones_are_gates_too():
    gates = {"school": {"stream": "north", "zone": "door"}, "station": {"stream": "south", "zone": "hall"}}
    pair = Pair(OPTIONS | {"gates": gates, "look_s": 0.0})
    out, come = frame("north", 1.0, [7]), frame("south", 5.0, [3])
    add(out, "zone.left", 7, zone="door")
    add(come, "zone.entered", 3, zone="hall")
    pair.show(out)
    assert len(pair.show(come)) == 1


@pytest.mark.parametrize("kind", ["zone.loitering", "zone.*"])
@pytest.mark.parametrize(("drop", "kinds"), [(False, 1), (True, 0)])
def test_an_alert_of_the_same_object_in_the_next_camera(drop, kinds, kind):
    pair = Pair(OPTIONS | {"alerts": {"kinds": [kind], "drop": drop}})
    first = frame("north", 0.5, [7])
    add(first, "zone.loitering", 7, state="begin")
    pair.show(first)
    (match,) = walk(pair)
    again = frame("south", 8.0, [3, 4])
    add(again, "zone.loitering", 3, state="begin")
    add(again, "zone.loitering", 4, state="begin")
    begun = again.events[0].id
    pair.show(again)
    assert [event.track_id for event in again.events] == [3, 4][1 - kinds :]
    if not drop:
        marked, other = again.events
        assert marked.data["repeats"] == str(first.events[0].id)
        assert marked.data["identity"] == match.data["identity"]
        assert "repeats" not in other.data
    assert pair.stages["south"].statistics()["repeats"] == 1
    over = frame("south", 9.0)
    add(over, "zone.loitering", 3, state="end", began=str(begun))
    pair.show(over)
    assert [event.data.get("repeats") for event in over.events] == [str(first.events[0].id)] * kinds


def test_where_media_time_begins_anew_objects_are_forgotten():
    pair = Pair()
    stage = pair.stages["south"]
    pair.show(frame("south", 5.0, [3], [[1.0, 0.0]]))
    pair.show(frame("south", 1.0, [3], run="other"))
    assert stage._looks.of([3]) == (None, None)


def test_nothing_is_kept_of_objects_that_have_gone():
    pair = Pair()
    for number in range(80):
        out = frame("north", number * 20.0, [number], [[1.0, 0.0]])
        add(out, "line.crossing", number, line="gate", direction="out")
        come = frame("south", number * 20.0 + 4, [number])
        add(come, "line.crossing", number, line="gate", direction="in")
        stranger = frame("south", number * 20.0 + 6)
        add(stranger, "line.crossing", -1 - number, line="gate", direction="in")
        for each in (out, come, stranger):
            pair.show(each)
    stage = pair.stages["north"]
    assert len(stage._looks) <= 2
    assert len(pair.stages["south"]._coming) + len(pair.stages["south"]._arrivals) <= 2
    assert stage.statistics()["links"]["walk"]["remembered"] <= 31  # 600 s of one in 20 s
    for each in pair.stages.values():
        each.close()
        each.close()
    assert stage.statistics()["links"]["walk"]["remembered"] == 0


def test_it_needs_tracks():
    untracked = frame("north", 0.0)
    untracked.tracks = None
    with pytest.raises(ConfigError, match="put the stages 'track' and 'count' before it"):
        Pair().stages["north"].process(untracked)


def test_a_gate_in_a_stream_that_does_not_take_part():
    options = IdentifyOptions.model_validate(OPTIONS)
    stage = IdentifyStage(options, StageContext("nort"))
    with pytest.raises(
        ConfigError, match="gate 'school' is in stream 'north', which does not run with the same"
    ):
        stage.open(StreamInfo("nort", "x", "r", 640, 360))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"links": {"walk": {"start": "scool", "end": "station"}}},
            "no gate 'scool', did you mean 'school'?",
        ),
        ({"links": {"walk": {"start": "school", "end": "school"}}}, "two gates, got 'school' twice"),
        (
            {"links": {"walk": {"start": "school", "end": "station", "travel_s": 900}}},
            "must be below longest_s",
        ),
        ({"gates": {"school": {"stream": "north"}}}, "either a 'line' or a 'zone'"),
        ({"gates": {"school": {"stream": "n", "zone": "z", "direction": "in"}}}, "a zone has no 'direction'"),
        ({"alerts": {"kinds": ["line.crossing"], "drop": True}}, "can be marked as repeats, but not dropped"),
        ({"alerts": {"kinds": ["zone.*", "l*"], "drop": True}}, "can be marked as repeats, but not dropped"),
        ({"links": {}}, "at least 1 item"),
    ],
)
def test_wrong_options(changes, said):
    with pytest.raises(ValidationError, match=said.replace("?", r"\?")):
        IdentifyOptions.model_validate(OPTIONS | changes)


def test_a_handed_over_object_has_the_looks_of_all_its_tracks():
    pair = Pair()
    pair.show(frame("north", 0.5, [6], [[1.0, 0.0]]))
    out = frame("north", 1.0)
    add(out, "line.crossing", 7, line="gate", direction="out")
    out.events[0] = replace(out.events[0], evidence={"continued": [6]})
    pair.show(out)
    come = frame("south", 5.0, [3], [[1.0, 0.0]])
    add(come, "line.crossing", 3, line="gate", direction="in")
    (match,) = pair.show(come) + pair.show(frame("south", 5.6))
    assert match.data["cosine"] == 1.0


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"gates": {"out": {}, "in": {}}}, "is at the line 'gate', .*did you mean 'gates'"),
        ({"gate": {"outside": {}, "in": {}}}, "is at the direction 'out', .*there are: outside, in"),
    ],
)
def test_a_gate_that_is_not_counted(counts, said):
    first = frame("north", 0.0)
    first.counts = counts
    with pytest.raises(ConfigError, match=said):
        Pair().stages["north"].process(first)

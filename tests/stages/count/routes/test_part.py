"""Routes of the whole stage: between lines, between zones, and what is wrong in the options."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.options import CountOptions
from stages.count.stage import CountStage
from tests.stages.count.seen import HEIGHT, PICTURE, WIDTH
from tests.stages.count.zones.scenes import Place, along

LINES = {  # a crossing whose arms are cut 100 px from its middle, (320, 180)
    "north": {
        "start": [270, 80],
        "end": [370, 80],
        "directions": {"to_right": "southbound", "to_left": "out"},
    },
    "south": {
        "start": [270, 280],
        "end": [370, 280],
        "directions": {"to_right": "out", "to_left": "northbound"},
    },
    "west": {
        "start": [220, 130],
        "end": [220, 230],
        "directions": {"to_right": "out", "to_left": "eastbound"},
    },
    "east": {
        "start": [420, 130],
        "end": [420, 230],
        "directions": {"to_right": "westbound", "to_left": "out"},
    },
}
GATES = {"north": "southbound", "south": "northbound", "west": "eastbound", "east": "westbound"}


INFO = StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT)
CONTEXT = StageContext("cam", config_hash="c0ffee")


def stage(context: StageContext = CONTEXT, info: StreamInfo = INFO, **options) -> CountStage:
    for kind in ("lines", "zones"):
        options[kind] = {name: {"units": "px", **given} for name, given in options.get(kind, {}).items()}
    made = CountStage(CountOptions.model_validate(options), context)
    made.open(info)
    return made


def drive(
    counter: CountStage, paths: dict, until_s: float, *, suspended_s: float | None = None
) -> list[Event]:
    events: list[Event] = []
    for number in range(round(until_s * 10) + 1):
        time_s = number / 10
        places: dict[int, Place] = {object_id: path(time_s) for object_id, path in paths.items()}
        at = {object_id: place for object_id, place in places.items() if place is not None}
        frame = Frame("cam", "run", number, Moment(time_s, number * 10**8, Clock.FILE), PICTURE)
        if suspended_s is not None and time_s >= suspended_s:
            frame.suspended = "moved"
        n = len(at)
        xyxy = np.array([[x - 10, y - 30, x + 10, y] for x, y in at.values()], np.float32).reshape(-1, 4)
        frame.tracks = Tracks(
            np.array(list(at), np.int64), xyxy, np.ones(n), np.full(n, "car"), np.arange(n), np.zeros(n)
        )
        counter.process(frame)
        events += frame.events
    return [*events, *counter.finish()]


MIDDLE = (320, 180)
NORTH, SOUTH, WEST, EAST = (320, 40), (320, 340), (160, 180), (480, 180)
STRAIGHT = along((0, *NORTH), (3, *SOUTH), (20, *SOUTH))
TURN = along((1, *WEST), (3, *MIDDLE), (5, *NORTH), (20, *NORTH))
U_TURN = along((2, *EAST), (4, *MIDDLE), (6, *EAST), (20, *EAST))
PARKS = along((0, *SOUTH), (3, *MIDDLE), (6, *MIDDLE))
STARTS = along((5, *MIDDLE), (8, *WEST), (20, *WEST))


def test_a_junction():
    counter = stage(
        lines=LINES, routes={"junction": {"gates": GATES, "movements": {"left turn": [["west", "north"]]}}}
    )
    paths = {1: STRAIGHT, 2: TURN, 3: U_TURN, 4: PARKS, 5: STARTS}
    events = [event for event in drive(counter, paths, 20) if event.kind.startswith("route.")]
    whole = {event.track_id: event for event in events if event.kind == "route.completed"}
    assert {number: event.data["movement"] for number, event in whole.items()} == {
        1: "north > south",
        2: "left turn",
        3: "east > east",
    }
    assert whole[1].data == {
        "route": "junction",
        "origin": "north",
        "destination": "south",
        "label": "car",
        "movement": "north > south",
        "u_turn": False,
        "travel_s": 2.0,
    }
    assert whole[3].data["u_turn"]
    assert whole[1].moment.pts_s == pytest.approx(2.4)
    assert whole[1].position == pytest.approx((320, 280))
    assert whole[1].evidence["gates"][0] == {"gate": "north", "pts_s": 0.4, "position": [320.0, 80.0]}
    parts = {event.track_id: event.data for event in events if event.kind == "route.partial"}
    assert (parts[4]["origin"], parts[4]["destination"], parts[4]["reason"]) == ("south", None, "lost")
    assert (parts[5]["origin"], parts[5]["destination"], parts[5]["reason"]) == (None, "west", "appeared")
    assert set(parts) == {4, 5}
    (matrix,) = [event for event in events if event.kind == "route.matrix"]
    figures = counter.statistics()["routes"]["junction"]
    assert matrix.data == {"route": "junction", **figures}
    assert figures["completed"] == {
        "east": {"east": {"car": 1}},
        "north": {"south": {"car": 1}},
        "west": {"north": {"car": 1}},
    }
    assert (figures["entered_lost"], figures["appeared_left"]) == (
        {"south": {"car": 1}},
        {"west": {"car": 1}},
    )
    assert json.loads(json.dumps(figures)) == figures


def test_a_suspended_camera_gives_routes_up():
    counter = stage(lines=LINES, routes={"junction": {"gates": GATES}})
    events = drive(counter, {1: STRAIGHT, 4: PARKS}, 10, suspended_s=2.0)
    parts = [event.data for event in events if event.kind == "route.partial"]
    assert [(part["origin"], part["reason"]) for part in parts] == [
        ("north", "suspended"),
        ("south", "suspended"),
    ]


def box(x: float, y: float) -> dict:
    return {
        "polygon": [[x - 40, y - 40], [x + 40, y - 40], [x + 40, y + 40], [x - 40, y + 40]],
        "visits": False,
    }


def test_between_zones_in_legs():
    counter = stage(
        zones={"door": box(60, 180), "shelf": box(320, 180), "till": box(560, 180)},
        routes={"shop": {"gates": ["door", "shelf", "till"], "legs": True}},
    )
    path = along((0, 60, 180), (2, 320, 180), (10, 320, 180), (12, 560, 180), (14, 560, 180))
    events = [event for event in drive(counter, {1: path}, 30) if event.kind == "route.completed"]
    assert [(event.data["origin"], event.data["destination"]) for event in events] == [
        ("door", "shelf"),
        ("shelf", "till"),
    ]
    assert events[0].data["travel_s"] == pytest.approx(180 / 130, abs=0.01), (
        "from the one's edge to the other's"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": ["north"]}, "at least 2 items"),
        (
            {"gates": ["north", "sout"]},
            "gate 'sout' is neither a line nor a zone of this stage; did you mean 'south'",
        ),
        (
            {"gates": {"north": "southbond", "south": None}},
            "no direction 'southbond', only 'southbound' and 'out'",
        ),
        ({"gates": {"north": None, "till": "in"}}, "gate 'till' is a zone, which has no direction 'in'"),
        ({"gates": ["north", "east"]}, "gate 'east' is both a line and a zone"),
        (
            {"gates": ["north", "south"], "movements": {"left": [["north", "est"]]}},
            "movements.left: 'est' is none of the gates",
        ),
        (
            {
                "gates": ["north", "south"],
                "movements": {"a": [["north", "south"]], "b": [["north", "south"]]},
            },
            "north > south is called both 'a' and 'b'",
        ),
    ],
)
def test_wrong_routes(options: dict, message: str):
    zones = {"till": box(60, 180), "east": box(320, 180)}
    with pytest.raises(ValidationError) as caught:
        stage(lines=LINES, zones=zones, routes={"junction": options})
    assert message in str(caught.value)


def test_masked_objects_do_not_exist():
    mask = {"polygon": [[0, 200], [640, 200], [640, 360], [0, 360]], "units": "px"}
    zones = {"all": {"polygon": [[0, 0], [640, 0], [640, 360], [0, 360]]}}
    hidden = drive(stage(lines=LINES, zones=zones, masks={"lower half": mask}), {1: STRAIGHT}, 20)
    assert [event.data["line"] for event in hidden if event.kind == "line.crossing"] == ["north"]
    (left,) = [event for event in hidden if event.kind == "zone.left"]
    assert left.data["reason"] == "lost"
    assert left.moment.pts_s == pytest.approx(1.5, abs=0.15)


def test_a_live_stream_s_totals_go_on_after_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    given = {"lines": LINES, "zones": {"middle": box(320, 180)}, "routes": {"junction": {"gates": GATES}}}
    info = StreamInfo("cam", "rtsp:cam", "run", WIDTH, HEIGHT, live=True)

    def run(**changed) -> dict:
        counter = stage(StageContext("cam", folder=tmp_path), info, **{**given, **changed})
        drive(counter, {1: STRAIGHT, 4: PARKS}, 20)
        counter.close()
        return dict(counter.statistics())

    first, second = run(), run()
    for part, numbers in (
        ("routes", ("junction", "completed", "north", "south")),
        ("zones", ("middle", "left")),
    ):
        once, twice = first[part], second[part]
        for name in numbers:
            once, twice = once[name], twice[name]
        assert (once, twice) == ({"car": 1}, {"car": 2})
    assert second["routes"]["junction"]["entered_lost"] == {"south": {"car": 2}}
    assert second["routes"]["junction"]["mean_travel_s"] == first["routes"]["junction"]["mean_travel_s"]
    assert second["zones"]["middle"]["mean_dwell_s"] == first["zones"]["middle"]["mean_dwell_s"]
    moved = {**LINES, "north": {**LINES["north"], "start": [260, 80]}}
    third = run(lines=moved, zones={"middle": {**box(320, 180), "stopped": {}}})
    assert third["routes"]["junction"]["completed"] == {"north": {"south": {"car": 1}}}
    assert third["zones"]["middle"]["left"] == {"car": 3}, "it is the same zone, whatever is asked of it"
    assert any("'junction' was edited and begins anew at 0" in message for message in caplog.messages)


def test_a_recording_keeps_nothing(tmp_path: Path):
    routes = {"junction": {"gates": GATES}}
    nothing = {"snapshots": False, "strips": False}
    counter = stage(StageContext("cam", folder=tmp_path), lines=LINES, routes=routes, evidence=nothing)
    drive(counter, {1: STRAIGHT}, 20)
    counter.close()
    assert list(tmp_path.iterdir()) == []

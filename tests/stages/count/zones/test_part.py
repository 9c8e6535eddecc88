"""Who came into a zone and left it, as events, visits and totals."""

import json
import logging

import pytest

from pipeline.event import Event
from pipeline.moment import Clock, Moment
from pipeline.plugin import StreamInfo
from stages.count.seen import Visit
from tests.stages.count.seen import frame_at, seen_at
from tests.stages.count.zones.scenes import along, drive, of, told, zones

THROUGH = along((0, 100, 200), (5, 600, 200))  # 100 px/s: in at 1 s, out at 3 s


def test_the_events_of_a_visit():
    entered, left = drive(zones(till={}), {7: THROUGH}, 5)
    assert (entered.kind, left.kind) == ("zone.entered", "zone.left")
    assert entered.moment == Moment(pytest.approx(1.0), 1_000_000_000, Clock.FILE)
    assert left.moment.pts_s == pytest.approx(3.0)
    assert (entered.sequence, left.sequence) == (12, 33), "the frames at which it was certain"
    assert (entered.track_id, entered.label) == (7, "person")
    assert entered.data == {"zone": "till", "state": "begin", "label": "person", "appeared": False}
    assert left.data == {
        "zone": "till",
        "state": "end",
        "label": "person",
        "began": str(entered.id),
        "dwell_s": 2.0,
        "reason": "left",
    }
    assert (left.producer.stage, left.producer.name) == ("count", "till")
    assert (left.producer.config_hash, left.producer.model_hash) == ("c0ffee", "m0de1")
    assert Event.from_dict(json.loads(json.dumps(left.to_dict()))).id == left.id


@pytest.mark.parametrize("rate_hz", [2.5, 4, 10, 30, 120])
def test_the_frame_rate_changes_no_time(rate_hz: float):
    events = drive(zones(till={}), {7: THROUGH}, 5, rate_hz=rate_hz)
    assert told(events, "zone.entered") == [("begin", 1.0)]
    assert told(events, "zone.left") == [("end", 3.0)]


def test_the_same_input_gives_the_same_events():
    paths = {7: THROUGH, 8: along((0, 300, 200), (4, 300, 200))}
    options = {"occupancy": {}, "stopped": {"after_s": 1}, "queue": {"length": 1}}
    runs = [drive(zones(till=options), paths, 30, finish=True) for _ in range(2)]
    assert runs[0] == runs[1]
    ids = [event.id for event in runs[0]]
    assert len(set(ids)) == len(ids) > 6


TREMBLING = [200.0, 197.0, 203.0, 198.0, 202.0]


@pytest.mark.parametrize(
    ("what", "path", "visits"),
    [
        ("passes", THROUGH, "in out"),
        ("passes in two pictures", lambda t: (-300 + 300 * t, 200), "in out"),
        ("jumps over it in no time", lambda t: (100, 200) if t < 2 else (500, 200), ""),
        ("stays beside it", lambda t: (195, 200), ""),
        ("trembles at the edge, inside more than not", lambda t: (202 + (t * 10 % 3), 200), "in"),
        ("trembles within the band", lambda t: (TREMBLING[int(t * 10) % 5] + 4, 200), "in"),
        (
            "leans out within the band",
            along((0, 300, 200), (1, 195, 200), (2, 300, 200), (30, 300, 200)),
            "in",
        ),
        (
            "leans out beyond it",
            along((0, 300, 200), (1, 150, 200), (2, 300, 200), (30, 300, 200)),
            "in out in",
        ),
        ("appears inside and stays", lambda t: (300, 200), "in"),
        ("waits inside for an hour", along((0, 100, 200), (2, 300, 200), (3602, 300, 200)), "in"),
        ("vanishes inside", along((0, 100, 200), (2, 300, 200)), "in out"),
        ("vanishes inside and is back in time", lambda t: None if 2 < t < 9 else (300, 200), "in"),
        ("vanishes inside and is back late", lambda t: None if 2 < t < 15 else (300, 200), "in out in"),
    ],
)
def test_what_is_a_visit(what: str, path, visits: str):
    hour = "hour" in what
    rate_hz = 1.0 if hour else 2.0 if "two pictures" in what else 10.0
    events = drive(zones(till={}), {7: path}, 3602 if hour else 25, rate_hz=rate_hz)
    names = {"zone.entered": "in", "zone.left": "out"}
    assert " ".join(names[event.kind] for event in events) == visits


def test_who_is_not_seen_any_more_was_lost_when_it_was_last_seen():
    events = drive(zones(till={}), {7: along((0, 300, 200), (2, 300, 200))}, 20)
    (entered, left) = events
    assert entered.data["appeared"]
    assert (left.data["reason"], left.data["dwell_s"], left.moment.pts_s) == ("lost", 2.0, 2.0)
    assert left.sequence == 121, "it was forgotten after 10 s"


def test_visits_for_other_parts():
    part = zones(till={"visits": False})
    seen = []
    for number in range(60):
        seen.append(seen_at(number / 10, (7, 100 + 10 * number, 200)))
        assert part.update(seen[-1]) == []
    visits = [visit for one in seen for visit in one.visits]
    assert visits == [
        Visit("till", 7, "car", pytest.approx(1.0), entered=True),
        Visit("till", 7, "car", pytest.approx(3.0), entered=False),
    ]


def test_holes_and_classes():
    hole = [[250, 150], [350, 150], [350, 250], [250, 250]]
    events = drive(zones(ring={"holes": [hole]}), {7: THROUGH}, 5)
    assert [(event.kind, round(event.moment.pts_s, 1)) for event in events] == [
        ("zone.entered", 1.0),
        ("zone.left", 1.5),
        ("zone.entered", 2.5),
        ("zone.left", 3.0),
    ]
    assert drive(zones(till={"labels": ["car"]}), {7: THROUGH}, 5) == []
    assert len(drive(zones(till={"labels": ["person"]}), {7: THROUGH}, 5)) == 2


def test_who_gets_the_wanted_class_later_has_been_there_all_along():
    part = zones(till={"labels": ["bus"]})
    events = [
        event
        for number in range(60)
        for event in part.update(
            seen_at(number / 10, (7, 100 + 10 * number, 200, "car" if number < 20 else "bus"))
        )
    ]
    assert told(events, "zone.entered") == [("begin", 1.0)]
    assert events[0].sequence == 20
    assert told(events, "zone.left") == [("end", 3.0)]


def test_attributes_choose_too():
    part = zones(till={"where": {"colour": ["red"]}})
    events = []
    for number in range(60):
        rows = ((7, 100 + 10 * number, 200), (8, 100 + 10 * number, 250))
        attributes = [{"colour": "red"}, {"colour": "blue"}]
        events += part.update(seen_at(number / 10, *rows, attributes=attributes))
    assert [event.track_id for event in events] == [7, 7]


def test_a_suspended_camera_ends_everything():
    part = zones(till={"stopped": {"after_s": 1}})
    path = {7: lambda t: (300.0, 200.0)}
    events = drive(part, path, 3)
    events += drive(part, path, 5, start_s=3.1, suspended="moved")
    assert [(event.kind, event.data.get("reason")) for event in events[2:]] == [
        ("zone.left", "suspended"),
        ("zone.stopped", "suspended"),
    ]
    assert frame_of(part, 5.1, suspended="moved").notes == {"till": "moved"}
    after = drive(part, path, 9, start_s=5.2)
    assert [event.kind for event in after] == ["zone.entered", "zone.stopped"]
    assert after[0].data["appeared"]


def frame_of(part, time_s: float, *rows, **fields):
    frame = frame_at(time_s, **fields)
    part.update(seen_at(frame, *rows))
    return frame


def test_the_end_of_the_stream_ends_everything():
    part = zones(till={"dwell": {"after_s": 1}})
    events = drive(part, {7: lambda t: (300.0, 200.0)}, 3, finish=True)
    assert [(event.kind, event.data["state"], event.data.get("reason")) for event in events] == [
        ("zone.entered", "begin", None),
        ("zone.dwell", "begin", None),
        ("zone.left", "end", "end"),
        ("zone.dwell", "end", "end"),
    ]
    assert part.statistics()["till"]["lost"] == {"person": 1}


def test_a_picture_of_another_size_ends_visits_and_keeps_totals():
    part = zones(till={})
    drive(part, {7: lambda t: (300.0, 200.0)}, 3)
    part.open(StreamInfo("cam", "file:cam", "run", 1280, 720))
    events = drive(part, {}, 4, start_s=3.1)
    assert [event.data["reason"] for event in events] == ["picture"]
    assert part.statistics()["till"]["entered"] == {"person": 1}


def test_what_is_shown_and_counted():
    part = zones(till={}, door={"polygon": [[0, 0], [50, 0], [50, 50]]})
    frame = frame_of(part, 0.0, (7, 300, 200), areas={"left 1": ((1.0, 1.0), (2.0, 1.0), (2.0, 2.0))})
    assert list(frame.areas) == ["left 1", "till", "door"]
    frame = frame_of(part, 1.0, (7, 300, 200))
    assert frame.areas["till"] == ((200, 100), (400, 100), (400, 300), (200, 300))
    assert frame.notes == {"till": "1 inside", "door": "0 inside"}
    for time_s in (2.0, 3.0, 3.5, 4.0):
        frame_of(part, time_s, (7, 300, 200), (8, 310, 200))
    frame_of(part, 5.0, (7, 600, 200), (8, 600, 200))
    frame_of(part, 6.0, (7, 600, 200), (8, 600, 200))
    figures = part.statistics()["till"]
    assert figures["entered"] == figures["left"] == {"car": 2}
    assert (figures["now"], figures["peak"], figures["lost"]) == (0, 2, {})
    assert figures["mean"] == pytest.approx((1 * 1.5 + 2 * 1.5) / 6, abs=0.6)
    assert json.loads(json.dumps(part.statistics())) == part.statistics()


def test_it_warns_of_a_class_that_nobody_had(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        drive(zones(till={"labels": ["persn"]}), {7: THROUGH}, 2, finish=True)
    assert caplog.messages == [
        "zone 'till' of stream 'cam' counts only persn; the tracks seen were person; did you mean 'person'?"
    ]


def test_memory_ends_with_the_objects():
    part = zones(
        till={"tailgating": {}, "loitering": {}, "queue": {}, "wrong_way": {"way": [[0, 0], [9, 0]]}}
    )
    for number in range(3000):
        part.update(seen_at(number / 10, (number // 5, 300, 200)))
    assert len(part._presence) < 110
    assert len(part._begun) < 110
    (zone,) = part._zones
    assert len(zone.visitors) < 110
    assert of(part.finish(seen_at(300.0)), "zone.left")
    assert len(part._begun) == len(zone.visitors) == len(part._numbers) == 0

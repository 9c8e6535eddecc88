"""Each kind of situation: when it begins, what it tells, when it ends."""

import pytest

from pipeline.errors import ConfigError
from tests.stages.count.zones.scenes import along, drive, of, told, zones

STANDS = along((0, 300, 200), (60, 300, 200))
GROUND = {  # 20 px are a metre, seen from straight above
    "points": [
        {"at": [x, y], "metres": [x / 20, -y / 20]} for x, y in ((0, 0), (640, 0), (640, 360), (0, 360))
    ],
    "units": "px",
}


def test_occupancy_now_peak_and_mean():
    part = zones(hall={"occupancy": {"over": 1, "steady_s": 1, "update_s": 2}, "visits": False})
    paths = {1: STANDS, 2: along((2, 300, 200), (8, 300, 200)), 3: along((4, 300, 200), (6, 300, 200))}
    events = drive(part, paths, 12)
    assert told(events, "zone.occupancy") == [
        ("begin", 2.2),
        ("update", 5.2),
        ("update", 7.2),
        ("end", 9.1),
    ]
    first, *_, last = events
    assert first.data == {"zone": "hall", "state": "begin", "objects": 2, "peak": 2, "mean": 2.0}
    assert last.data["began"] == str(first.id)
    assert (last.data["objects"], last.data["peak"], last.data["reason"]) == (1, 3, "over")
    # Who vanishes is thought to be there for another second: 3 from 4.2 to 7 s, 2 in 6.8 s of 7.9 besides.
    assert last.data["mean"] == pytest.approx((2 * 6.9 + 2.8 + 1) / 7.9, abs=0.1)
    assert last.data["duration_s"] == pytest.approx(6.9)


def test_a_short_peak_is_no_occupancy():
    part = zones(hall={"occupancy": {"over": 0, "steady_s": 2}, "visits": False})
    assert drive(part, {1: along((0, 300, 200), (0.6, 300, 200))}, 12) == []


def test_dwell():
    part = zones(hall={"dwell": {"after_s": 3, "update_s": 2}, "visits": False})
    path = along((0, 100, 200), (1, 300, 200), (9, 300, 200), (10, 500, 200), (12, 600, 200))
    events = drive(part, {1: path}, 12)
    assert told(events, "zone.dwell") == [
        ("begin", 3.5),
        ("update", 5.5),
        ("update", 7.5),
        ("update", 9.5),
        ("end", 9.5),
    ]
    assert [event.data["dwell_s"] for event in events] == [3.0, 5.0, 7.0, 9.0, 9.0]
    assert events[-1].data["reason"] == "left"
    assert {event.track_id for event in events} == {1}


def test_a_queue_its_length_and_how_long_one_waits():
    part = zones(till={"queue": {"length": 2, "joined_s": 2, "steady_s": 1, "update_s": 5}})
    paths = {
        1: along((0, 100, 200), (1, 250, 200), (20, 250, 200), (21, 450, 200), (40, 600, 200)),
        # moves up when 1 has gone, and stays in the queue
        2: along(
            (5, 100, 200), (6, 230, 200), (22, 230, 200), (23, 255, 200), (30, 255, 200), (31, 500, 200)
        ),
        3: along((0, 100, 150), (6, 600, 150)),  # walks past
    }
    events = drive(part, paths, 34)
    begin, *updates, end = of(events, "zone.queue")
    # 2 came to a stand at 6 s and has joined two seconds later; 1 was gone after 20.8 s.
    assert begin.moment.pts_s == pytest.approx(8.1, abs=0.3)
    assert (begin.data["length"], begin.data["longest_wait_s"]) == (2, pytest.approx(8, abs=0.5))
    assert [update.data["length"] for update in updates] == [2, 2]
    assert end.moment.pts_s == pytest.approx(20.9, abs=0.2)
    assert (end.data["length"], end.data["peak"], end.data["served"]) == (1, 2, 1)
    assert end.data["mean_wait_s"] == end.data["max_wait_s"] == pytest.approx(19.7, abs=0.6)
    waits = {event.track_id: event.data.get("waited_s") for event in of(events, "zone.left")}
    assert waits == {1: pytest.approx(19.7, abs=0.6), 2: pytest.approx(24.6, abs=0.6), 3: None}


def test_the_note_of_a_queue():
    part = zones(till={"queue": {}})
    drive(part, {1: STANDS, 2: STANDS}, 30)
    (zone,) = part._zones
    assert zone.note == "2 waiting, 30 s"


IN, OUT = (300, 200), (600, 200)
LOITERS = along((0, *IN), (4, *IN), (5, *OUT), (9, *OUT), (10, *IN), (14, *IN), (15, *OUT), (60, *OUT))


def test_loitering_adds_up_visits():
    part = zones(hall={"loitering": {"after_s": 6, "return_s": 8}, "visits": False})
    events = drive(part, {1: LOITERS}, 40)
    # In the zone until 4.33 s and from 9.67 s on; 1.67 s into the second visit are 6 s.
    assert told(events, "zone.loitering") == [("begin", 11.33), ("end", 14.33)]
    begin, end = events
    assert (begin.data["visits"], begin.data["stayed_s"]) == (2, pytest.approx(6, abs=0.1))
    assert (end.data["stayed_s"], end.data["reason"]) == (pytest.approx(9.0, abs=0.05), "left")
    assert end.moment.pts_s < 15 < end.sequence / 10 - 7, "known when the absence was too long"


def test_who_comes_back_late_begins_anew():
    part = zones(hall={"loitering": {"after_s": 6, "return_s": 3}, "visits": False})
    assert drive(part, {1: LOITERS}, 40, finish=True) == []


def test_stopped():
    part = zones(bay={"stopped": {"after_s": 5, "update_s": 4}, "visits": False})
    path = along((0, 100, 200), (2, 300, 200), (14, 300, 200), (16, 340, 200), (30, 390, 200))
    begin, update, end = drive(part, {1: path}, 30)
    assert begin.moment.pts_s == pytest.approx(2.0, abs=0.5), "when it came to a stand"
    assert update.data["stood_s"] == pytest.approx(9.0, abs=0.5)
    assert end.data["reason"] == "moved"
    assert end.moment.pts_s == pytest.approx(14.8, abs=0.4)
    assert begin.data["stood_s"] == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize(
    ("what", "path", "stops"),
    [
        ("trembles", lambda t: (300 + 3 * ((t * 10) % 2), 200 + 2 * ((t * 10) % 3)), 1),
        ("one wrong box in a while", lambda t: (340 if round(t * 10) % 17 == 5 else 300, 200), 1),
        ("creeps", lambda t: (210 + 6 * t, 200), 0),
        ("is not seen for two seconds", lambda t: None if 3 < t < 5 else (300, 200), 1),
    ],
)
def test_what_stands(what: str, path, stops: int):
    part = zones(bay={"stopped": {"after_s": 8}, "visits": False})
    assert len(drive(part, {1: path}, 20)) == stops


def test_wrong_way():
    part = zones(lane={"wrong_way": {"way": [[200, 200], [400, 200]]}, "visits": False})
    path = along((0, 150, 200), (2, 300, 200), (4, 210, 200), (6, 380, 200), (8, 380, 200))
    begin, end = drive(part, {1: path}, 8)
    assert begin.moment.pts_s == pytest.approx(2.0), "the turning point"
    assert begin.sequence / 10 == pytest.approx(2.4, abs=0.11), "half a diagonal of its box back: 18 px"
    assert end.data["reason"] == "turned"
    assert end.data["distance_px"] == pytest.approx(90, abs=2)


@pytest.mark.parametrize(
    ("what", "path", "wrong"),
    [
        ("with it", along((0, 210, 200), (4, 390, 200)), 0),
        ("against it", along((0, 390, 200), (4, 210, 200)), 1),
        ("across", along((0, 310, 110), (4, 300, 290)), 0),
        ("stands and trembles", lambda t: (300 + 8 * ((t * 10) % 2), 200), 0),
        ("slowly against it", along((0, 390, 200), (60, 330, 200)), 1),
        ("back for a moment", along((0, 250, 200), (1, 240, 200), (4, 390, 200)), 0),
    ],
)
@pytest.mark.parametrize("rate_hz", [2, 10, 30])
def test_which_way_is_wrong(what: str, path, wrong: int, rate_hz: float):
    part = zones(lane={"wrong_way": {"way": [[200, 200], [400, 200]]}, "visits": False})
    events = drive(part, {1: path}, 60, rate_hz=rate_hz)
    assert len([event for event in events if event.data["state"] == "begin"]) == wrong


def test_a_way_with_a_bend():
    way = [[210, 110], [390, 110], [390, 290]]
    part = zones(lane={"wrong_way": {"way": way}, "visits": False})
    assert drive(part, {1: along((0, 210, 110), (2, 390, 110), (4, 390, 290))}, 4) == []
    wrong = drive(part, {2: along((5, 390, 290), (7, 390, 110), (9, 210, 110))}, 25, start_s=5)
    assert [event.data["state"] for event in wrong] == ["begin", "end"]


def follow(behind_s: float, start_x: float = 205.0, speed: float = 40.0):
    return along((behind_s, start_x, 200), (behind_s + 190 / speed, 395, 200))


@pytest.mark.parametrize(
    ("behind_s", "told"), [(0.4, True), (0.8, True), (1.5, False), (3.0, False)], ids=lambda v: str(v)
)
@pytest.mark.parametrize("rate_hz", [8, 25])
def test_tailgating(behind_s: float, told: bool, rate_hz: float):
    part = zones(lane={"tailgating": {"under_s": 1.0, "for_s": 0.5}, "visits": False})
    events = drive(part, {1: follow(0), 2: follow(behind_s)}, 9, rate_hz=rate_hz)
    assert [event.data["state"] for event in events] == (["begin", "end"] if told else [])
    for event in events:
        assert (event.track_id, event.data["leader"]) == (2, 1)
        assert event.data["least_gap_s"] == pytest.approx(behind_s, abs=0.06)
        assert event.data["gap_m"] is None


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("oncoming", along((0, 395, 200), (4.75, 205, 200))),
        ("beside", along((0.4, 205, 225), (5.15, 395, 225))),
        ("stands", along((0, 300, 200), (9, 300, 200))),
    ],
)
def test_who_does_not_follow(what: str, other):
    part = zones(lane={"tailgating": {"under_s": 1.0}, "visits": False})
    assert drive(part, {1: follow(0), 2: other}, 9, rate_hz=25) == []


def test_a_gap_in_metres():
    part = zones(ground=GROUND, lane={"tailgating": {"under_s": 0.1, "under_m": 2.0}, "visits": False})
    begin, _ = drive(part, {1: follow(0), 2: follow(0.75)}, 9, rate_hz=20)  # 30 px behind
    assert begin.data["gap_m"] == pytest.approx(1.5, abs=0.05)


def test_a_crowd_by_share_of_the_picture():
    # The square is 40,000 of 230,400 px², 17.36 %.
    part = zones(hall={"crowd": {"per_percent": 0.2, "steady_s": 1}, "visits": False})
    paths = {number: along((number, 300, 200), (10 - number, 300, 200)) for number in range(4)}
    begin, end = drive(part, paths, 20)
    assert begin.moment.pts_s == pytest.approx(3.2, abs=0.15), "the fourth"
    assert begin.data["per_percent"] == pytest.approx(4 / 17.361, abs=1e-3)
    assert begin.data["area_percent"] == pytest.approx(17.361, abs=1e-3)
    assert end.data["reason"] == "over"
    assert end.data["peak_per_percent"] == begin.data["per_percent"]


def test_a_crowd_per_square_metre():
    part = zones(ground=GROUND, hall={"crowd": {"per_m2": 0.015, "steady_s": 0}, "visits": False})
    begin, *_ = drive(part, {1: STANDS, 2: STANDS}, 3)
    assert begin.data["area_m2"] == pytest.approx(100)
    assert begin.data["per_m2"] == pytest.approx(0.02)


def test_metres_without_ground_are_an_error():
    with pytest.raises(ConfigError, match=r"zone 'hall': crowd.per_m2 needs the stage's ground"):
        zones(hall={"crowd": {"per_m2": 2}})
    with pytest.raises(ConfigError, match=r"zone 'lane': tailgating.under_m needs the stage's ground"):
        zones(lane={"tailgating": {"under_m": 2}})

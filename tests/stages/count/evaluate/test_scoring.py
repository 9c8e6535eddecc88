import math

import pytest

from stages.count.evaluate.scoring import geh, hourly, score
from stages.count.evaluate.truth import Event

LINES = {"gate": ("up", "down"), "exit": ("out", "in")}


def events(*rows):
    return [Event(time_s, line, direction, label) for time_s, line, direction, label in rows]


def figures(one):
    return one.counted, one.true, one.right, one.missed, one.extra


@pytest.mark.parametrize(
    ("counted", "true", "wanted"),
    [
        (300, 300, 0.0),
        (0, 0, 0.0),
        (110, 90, 2.0),  # sqrt(2 * 400 / 200)
        (90, 110, 2.0),
        (0, 50, 10.0),
        (1200, 1000, math.sqrt(2 * 200**2 / 2200)),
    ],
)
def test_geh(counted, true, wanted):
    assert geh(counted, true) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("seconds", "volumes"),
    [(899, []), (900, [12.0]), (1800, [6.0]), (3600, [3.0]), (7300, [3.0, 0.0])],
)
def test_volumes_of_an_hour(seconds, volumes):
    assert hourly([0.0, 10.0, 20.0], 0.0, seconds) == volumes


def test_figures_by_line_direction_and_class():
    counted = events(
        (1.0, "gate", "up", "car"),  # right
        (2.0, "gate", "up", "bus"),  # right, but it is a car
        (9.0, "gate", "down", "car"),  # nothing there
        (12.0, "exit", "out", "car"),  # right
    )
    true = events(
        (1.5, "gate", "up", "car"),
        (2.9, "gate", "up", "car"),
        (9.0, "gate", "up", "car"),  # the other direction is no match
        (12.0, "exit", "out", "car"),
    )
    found = score(counted, true, {"gate": None, "exit": None}, LINES, 1.0, 0.0, 30.0)
    assert figures(found.total) == (4, 4, 3, 1, 1)
    assert figures(found.lines["gate"]) == (3, 3, 2, 1, 1)
    assert figures(found.directions["gate", "up"]) == (2, 3, 2, 1, 0)
    assert figures(found.directions["gate", "down"]) == (1, 0, 0, 0, 1)
    assert figures(found.classes["car"]) == (3, 4, 2, 2, 1)
    assert found.misnamed == {("car", "bus"): 1}
    assert found.missed == (true[2],)
    assert found.extra == (2,)
    assert found.late_s == pytest.approx(-0.5)
    assert found.apart_s == pytest.approx(0.5)
    assert found.total.error == 0, "a miss and an extra cancel out"
    assert (found.total.precision, found.total.recall) == (0.75, 0.75)


def test_wilson_interval_by_hand():
    found = score(
        events(*[(float(k), "gate", "up", "car") for k in range(8)]),
        events(*[(float(k), "gate", "up", "car") for k in range(10)]),
        {"gate": None},
        LINES,
        0.1,
        0.0,
        30.0,
    )
    z, n, p = 1.959964, 10, 0.8
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.total.recall_95 == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert found.total.precision == 1.0


def test_what_nobody_watched_is_not_judged():
    counted = events((1.0, "gate", "up", "car"), (1.0, "gate", "down", "car"), (40.0, "gate", "up", "car"))
    found = score(counted, [], {"gate": frozenset({"up"})}, LINES, 1.0, 0.0, 30.0)
    assert figures(found.total) == (1, 0, 0, 0, 1)
    assert found.left_out == 1
    assert found.total.recall is None


def test_a_count_just_outside_of_the_watched_time_may_belong_to_a_crossing_just_within():
    counted, true = events((30.4, "gate", "up", "car")), events((29.9, "gate", "up", "car"))
    found = score(counted, true, {"gate": None}, LINES, 1.0, 0.0, 30.0)
    assert figures(found.total) == (1, 1, 1, 0, 0)


def test_hours_are_compared_one_by_one():
    true = events(*[(float(at), "gate", "up", "car") for at in range(0, 7200, 30)])
    counted = [event for event in true if event.time_s >= 3600 or event.time_s < 900]
    found = score(counted, true, {"gate": None}, LINES, 1.0, 0.0, 7200.0)
    assert (found.total.hours, found.total.hours_below_5) == (2, 1)
    assert found.total.geh == pytest.approx(geh(30, 120))


def test_other_classes_altogether_give_no_table_of_classes():
    found = score(
        events((1.0, "gate", "up", "moving")),
        events((1.0, "gate", "up", "car")),
        {"gate": None},
        LINES,
        1,
        0,
        9,
    )
    assert found.classes == {}
    assert found.misnamed == {("car", "moving"): 1}

"""Hysteresis in time, as tables of looks."""

import pytest

from stages.health.problem import Finding
from stages.health.watch import Watch

BAD, GOOD = Finding(True, 1.0, 0.5), Finding(False, 0.1, 0.5)
LOOKS = {"b": BAD, "g": GOOD, "?": None}


def run(looks: str, every_s: float = 1.0, after_s: float = 3.0, clear_s: float = 2.0) -> list[tuple]:
    """Return (told at, state, moment) of each change of one problem; a space is a pause without looks."""
    watch, told = Watch(after_s, clear_s), []
    for index, look in enumerate(looks):
        if look == " ":
            continue
        told += [
            (index * every_s, "begin" if change.begins else "end", change.at_s)
            for change in watch.update(index * every_s, {"moved": LOOKS[look]})
        ]
    return told


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        ("gggggggg", []),
        ("gbbgbbgbbg", []),  # never long enough
        ("ggbbbbbb", [(5, "begin", 2)]),
        ("bbbbggg", [(3, "begin", 0), (6, "end", 4)]),
        ("bbbbgbgbgg", [(3, "begin", 0)]),  # never well for long enough
        ("bbbb????????bb", [(3, "begin", 0)]),  # what cannot be seen does not end it
        ("bb?bb?bb", []),  # and a suspicion must be seen anew
        ("b      b", [(7, "begin", 0)]),  # looks may be rare, but two are needed
        ("bbbbggbbbbggg", [(3, "begin", 0), (12, "end", 10)]),
        ("bbbbgggbbbb", [(3, "begin", 0), (6, "end", 4), (10, "begin", 7)]),
    ],
)
def test_what_begins_and_ends_when(looks: str, told: list[tuple]) -> None:
    assert run(looks) == told


def test_one_look_alone_begins_nothing() -> None:
    assert run("gb", after_s=0) == []
    assert run("gbb", after_s=0) == [(2, "begin", 1)]


def test_what_is_known_to_be_older_began_then() -> None:
    watch = Watch(3, 2)
    old = Finding(True, 60.0, 60.0, since_s=40.0)
    assert watch.update(100.0, {"frozen": old}) == []
    (change,) = watch.update(101.0, {"frozen": old})
    assert (change.at_s, change.began_s, change.number) == (40.0, 40.0, 1)


def test_the_end_of_the_stream_ends_what_is_there() -> None:
    watch = Watch(1, 1)
    for time_s in range(4):
        watch.update(time_s, {"dark": BAD, "moved": BAD, "blurred": GOOD})
    assert watch.active == ("moved", "dark")
    assert [(change.problem, change.at_s) for change in watch.end(10.0)] == [("moved", 10.0), ("dark", 10.0)]
    assert watch.active == ()
    assert watch.end(11.0) == []
    assert watch.summary(11.0) == {"moved": {"times": 1, "seconds": 10}, "dark": {"times": 1, "seconds": 10}}

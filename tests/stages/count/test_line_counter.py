import itertools

import numpy as np
import pytest

from stages.count.geometry import Segment
from stages.count.line_counter import TRAIL_POINTS, LineCounter
from tests.stages.count.paths import directions, every, follow

NOBODY = np.empty((0, 2))


def counter(**changes) -> LineCounter:
    """A line from (100, 100) to (300, 100); right is down."""
    settings = {"band_px": 5.0, "hold_s": 0.15, "vanished_s": 1.0, "forget_s": 10.0} | changes
    return LineCounter(Segment((100, 100), (300, 100)), **settings)


def straight(*ys: float, x: float = 200.0, step_s: float = 0.1):
    return every(step_s, [(x, y) for y in ys])


DITHER = [98, 102, 99, 101.5, 97, 103] * 3000
FLICKER = [90, 112] * 60

# Four places within the band around the line's end:  A  |  D     left of the line
#                                                     ---+
#                                                     B  |  C     right of the line
A, B, C, D = (298, 98), (298, 102), (302, 102), (302, 98)


def near_the_end(*places):
    """Numbers are heights just before the line's end."""
    return every(0.1, [place if isinstance(place, tuple) else (298, place) for place in places])


CASES = {
    # name: (path, directions while it is seen, directions that `finish` adds)
    "down": (straight(80, 90, 98, 104, 110, 118, 126), "R", ""),
    "up": (straight(126, 118, 110, 104, 98, 90, 80, 70), "L", ""),
    "fast, jumps line and band": (straight(20, 180, 340, 500), "R", ""),
    "fast, at 5 fps": (straight(20, 180, 340, step_s=0.2), "R", ""),
    "fast, gone after one sight of it beyond": (straight(20, 180), "", "R"),
    "ends within the band": (straight(80, 90, 98, 104), "", ""),
    "comes to the band and turns": (straight(80, 90, 97, 90, 80), "", ""),
    "goes over and turns within the band": (straight(80, 90, 102, 104, 98, 90, 80), "", ""),
    "touches the line and turns": (straight(80, 90, 100, 90, 80), "", ""),
    "touches the line from the right and turns": (straight(120, 110, 100, 110, 120), "", ""),
    "stands exactly on the line, goes on": (straight(80, *[100] * 50, 110, 120, 130), "R", ""),
    "waits on the line, dithers, goes on": (straight(80, *DITHER, 110, 120, 130), "R", ""),
    "waits on the line, dithers, goes back": (straight(80, *DITHER, 90, 80, 70), "", ""),
    "waits on the line for ever": (straight(80, *DITHER), "", ""),
    "flickers over the band, ends where it was": (straight(*FLICKER, 90, 80, step_s=1 / 30), "", ""),
    "flickers over the band, ends beyond": (straight(*FLICKER, 120, 130, 140, 150, step_s=0.1), "R", ""),
    "beyond for less than the hold time": (straight(80, 110, 80, 70, 60), "", ""),
    "comes back": (straight(80, 98, 110, 120, 130, 130, 120, 104, 90, 80, 70), "RL", ""),
    "comes back, goes again": (straight(80, 110, 120, 130, 120, 90, 80, 70, 80, 110, 120, 130), "RLR", ""),
    "first seen on the line": (straight(100, 104, 110, 120, 130, 140), "", ""),
    "first seen within the band before it": (straight(96, 104, 110, 120, 130, 140), "", ""),
    "first seen within the band, waits there": (straight(*DITHER, 110, 120, 130, 140), "", ""),
    "first seen within the band, goes back, comes": (straight(96, 90, 80, 90, 110, 120, 130), "R", ""),
    "past the end": (straight(80, 90, 98, 104, 110, 120, 130, x=306), "", ""),
    "past the end within the band": (straight(80, 90, 98, 104, 110, 120, 130, x=302), "", ""),
    "exactly through the end": (straight(80, 90, 98, 104, 110, 120, 130, x=300), "R", ""),
    "exactly through the start": (straight(80, 120, 130, 140, x=100), "R", ""),
    "along the line": (every(0.1, [(x, 100) for x in range(0, 400, 10)]), "", ""),
    "onto the line, along it, off to the right": (
        every(0.1, [(150, 80), (150, 100), (200, 100), (250, 100), (250, 110), (250, 120), (250, 130)]),
        "R",
        "",
    ),
    "onto the line, along it, off where it came from": (
        every(0.1, [(150, 80), (150, 100), (200, 100), (250, 100), (250, 90), (250, 80), (250, 70)]),
        "",
        "",
    ),
    "around the end, stays": (every(0.2, [(200, 80), (350, 80), (350, 120), (200, 120)]), "", ""),
    "around the end, back over the line": (
        every(0.2, [(200, 80), (350, 80), (350, 120), (200, 120), (200, 80), (200, 60)]),
        "L",
        "",
    ),
    "over the line, at once back around the end": (
        every(0.1, [(290, 80), (290, 120), (320, 80), (320, 60), (320, 40)]),
        "",  # it came back through the band before the hold time was over
        "",
    ),
    "twice around the end in a circle": (
        every(0.2, [(200, 80), (200, 120), (350, 120), (350, 80)] * 2 + [(200, 80)]),
        "RR",
        "",
    ),
    "hops over the band and back between two sights": (straight(80, 106, 60, 50, 40, step_s=0.2), "", ""),
    "at the end: over, back, around": (near_the_end(80, A, B, A, D, C, 120, 130, 140), "", ""),
    "at the end: around, back over, over": (near_the_end(80, D, C, B, A, B, 120, 130, 140), "", ""),
    "at the end: over, back, around, back over": (near_the_end(80, A, B, A, D, C, B, A, 80, 70, 60), "", ""),
    "at the end: around and around, goes back": (near_the_end(80, *[A, B, C, D] * 20, 80, 70, 60), "", ""),
    "at the end: around and around, goes on": (
        near_the_end(80, *[A, B, C, D] * 20, A, B, 120, 130, 140),
        "R",
        "",
    ),
    "unseen for seconds, reappears beyond": (
        straight(80, 90) + every(0.2, [(200, 120), (200, 130)], start_s=5.0),
        "R",
        "",
    ),
    "seen every ten seconds, there and back": (straight(80, 120, 80, 120, step_s=10.0), "RLR", ""),
}


@pytest.mark.parametrize(("path", "seen", "at_end"), CASES.values(), ids=CASES.keys())
def test_cases(path, seen, at_end):
    line = counter()
    assert (directions(follow(line, path)), directions(line.finish())) == (seen, at_end)


def test_moment_and_place_lie_between_two_positions():
    (crossing,) = follow(counter(), [(0, 180, 90), (1, 220, 130), (2, 220, 140)])
    assert crossing.time_s == pytest.approx(0.25)
    assert crossing.position == pytest.approx((190, 100))


def test_after_dithering_the_moment_is_that_of_the_crossing_that_held():
    (crossing,) = follow(counter(), straight(80, 98, 102, 98, 102, 98, 102, 110, 120, 130))
    assert crossing.time_s == pytest.approx(0.55)


def test_a_crossing_is_told_only_after_the_hold_time():
    line = counter(hold_s=0.15)
    told = [len(follow(line, [sample])) for sample in straight(90, 98, 104, 110, 111, 112)]
    assert told == [0, 0, 0, 0, 1, 0], "it left the band at 0.217 s"


def test_band_and_hold_time_may_be_zero():
    assert directions(follow(counter(band_px=0.0, hold_s=0.0), straight(99, 101, 99, 101))) == "RLR"


def test_the_class_is_that_at_finality():
    line = counter(labels={"truck"})
    for path, label in ((straight(80, 110), "car"), (every(0.1, [(200, 130)] * 2, 0.2), "truck")):
        found = follow(line, path, label=label)
    assert [crossing.label for crossing in found] == ["truck"]


def test_other_classes_are_passed_over_in_both_directions():
    line = counter(labels={"truck"})
    assert follow(line, straight(80, 110, 120, 130, 140, 110, 90, 80, 70), label="car") == []


def test_crossings_of_a_track_are_numbered():
    found = follow(counter(), straight(80, 110, 120, 130, 120, 90, 80, 70, 80, 110, 120, 130))
    assert [crossing.number for crossing in found] == [1, 2, 3]


def test_tracks_do_not_mix():
    line = counter()
    paths = {
        1: [80, 98, 110, 120, 130],
        2: [130, 120, 110, 98, 80, 70, 60],
        3: [50, 60, 70, 60, 50, 60],
        4: [96, 104, 110, 120, 130],
    }
    found = []
    for step in range(7):
        seen = {i: ys[step] for i, ys in paths.items() if step < len(ys)}
        points = np.array([[200.0 + i, y] for i, y in seen.items()])
        found += line.update(step * 0.1, list(seen), points, ["car"] * len(seen))
    assert [(crossing.track_id, crossing.to_right) for crossing in found] == [(1, True), (2, False)]


def test_a_vanished_track_counts_if_last_seen_beyond_the_band():
    line = counter(vanished_s=1.0)
    follow(line, straight(20, 180))
    assert line.update(1.0, [], NOBODY, []) == []
    assert directions(line.update(1.1, [], NOBODY, [])) == "R"
    assert line.update(2.0, [], NOBODY, []) == []
    assert line.finish() == []


def test_a_vanished_track_does_not_count_if_last_seen_within_the_band():
    line = counter()
    follow(line, straight(20, 104))
    assert line.update(5.0, [], NOBODY, []) == []
    assert line.finish() == []


def test_a_track_that_vanishes_briefly_keeps_its_state():
    line = counter(forget_s=10.0)
    follow(line, straight(80, 90))
    for time_s in np.arange(0.2, 9.0, 0.1):
        line.update(float(time_s), [], NOBODY, [])
    assert directions(follow(line, every(0.1, [(200, 110), (200, 120), (200, 130)], 9.0))) == "R"


def test_a_forgotten_track_starts_anew():
    line = counter(forget_s=10.0)
    follow(line, straight(80, 90))
    line.update(10.5, [], NOBODY, [])
    assert len(line) == 0
    assert follow(line, every(0.1, [(200, 110), (200, 120), (200, 130)], 10.6)) == []
    assert line.finish() == []


def test_who_stays_does_not_keep_others_from_being_forgotten():
    line = counter(forget_s=10.0)
    line.update(0.0, [1, 2], np.array([[200.0, 80], [220, 80]]), ["car", "car"])
    for time_s in range(1, 12):
        line.update(time_s, [1], np.array([[200.0, 80]]), ["car"])
    assert len(line) == 1


@pytest.mark.slow
def test_state_is_bounded_for_100_000_ids():
    line = counter(vanished_s=0.5, forget_s=2.0)
    ids = itertools.count()
    most = counted = 0
    for frame in range(2_000):
        now = [next(ids) for _ in range(50)]
        for y, time_s in ((20.0, frame / 30), (180.0, frame / 30 + 0.01)):
            points = np.column_stack([np.linspace(120, 280, 50), np.full(50, y)])
            counted += len(line.update(time_s, now, points, ["car"] * 50))
        most = max(most, len(line))
    assert most <= 50 * (2.0 * 30 + 2)
    assert counted + len(line.finish()) == 100_000
    assert len(line) == 0


def test_the_trail_is_short_and_surrounds_the_crossing():
    line = counter()
    slow = [*np.linspace(60, 104.5, 200), *[104.5] * 100, 110, 115, 120]
    (crossing,) = follow(line, straight(*slow))
    times = [time_s for time_s, _, _ in crossing.trail]
    assert len(crossing.trail) == TRAIL_POINTS
    assert times == sorted(set(times))
    assert times[TRAIL_POINTS // 2 - 1] < crossing.time_s < times[TRAIL_POINTS // 2]
    assert crossing.trail[-1] == (pytest.approx(30.1), 200, 115), "the position that made it final"


def test_tracks_must_vanish_before_they_are_forgotten():
    with pytest.raises(ValueError, match=r"forget_s \(1\.0\) must not be less than vanished_s \(2\.0\)"):
        counter(vanished_s=2.0, forget_s=1.0)


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="zip"):
        counter().update(0.0, [1, 2], np.zeros((1, 2)), ["car"])

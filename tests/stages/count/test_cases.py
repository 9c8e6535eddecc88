"""What counting lines get wrong elsewhere, as one table: what happens, and what is counted."""

from itertools import count

import numpy as np
import pytest

from pipeline.objects import Detections, Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.stage import CountStage
from tests.stages.count.seen import HEIGHT, WIDTH, frame_at

# A line from left to right through the middle (y = 180) with a band of 7 px: down is to the right.
GATE = {"start": [0.2, 0.5], "end": [0.8, 0.5], "directions": {"to_right": "D", "to_left": "U"}}
HOUR = 3600


def straight(ys, *, hz=10.0, x=320.0, track=7, from_s=0.0):
    """One object: (time, {track: (x, y)})."""
    return [(from_s + step / hz, {track: (x, float(y))}) for step, y in enumerate(ys)]


def noise(n, px, seed=1):
    """Jitter of this deviation, never more than the band (a box that jumps further has moved)."""
    return np.random.default_rng(seed).normal(0, px, n).clip(-6, 6)


def waits_for_an_hour():
    """It comes, stands on the line for an hour with a jittering box, and goes on."""
    coming, going = straight(range(120, 180, 10), hz=5), straight(range(190, 260, 10), hz=5, from_s=HOUR + 2)
    waiting = straight(180 + noise(HOUR, 2.0), hz=1, from_s=1.5)
    return [*coming, *waiting, *going]


def id_switch(at_y):
    """Its track ends at a place; 0.3 s later another begins where it must be by then."""
    ys = list(range(100, 270, 6))
    cut = next(i for i, y in enumerate(ys) if y >= at_y)
    first, second = straight(ys[:cut]), straight(ys[cut + 2 :], track=8, from_s=(cut + 2) / 10)
    return [*first, *second]


def flickering_ids():
    """A car that waits on the line gets a new id every two seconds, a third of a second after the last."""
    frames = straight([*range(100, 176, 8), 176, 178, *[180] * 8])
    time_s = frames[-1][0]
    for track in range(20, 60):
        frames += straight([180] * 17, track=track, from_s=time_s + 0.3)
        time_s = frames[-1][0]
    return [*frames, *straight(range(184, 260, 8), track=track, from_s=time_s + 0.1)]


def two_at_once():
    """One goes down while another goes up beside it."""
    return [(i / 10, {1: (300, 100 + 12 * i), 2: (340, 260 - 12 * i)}) for i in range(14)]


def predicted_over():
    """It is lost before the line, and what is predicted runs over it."""
    lost = [(1 + i / 10, {7: (320, 172 + 8 * i, "predicted")}) for i in range(10)]
    return [*straight(range(100, 172, 8)), *lost]


CASES = {
    "goes down": (straight(range(120, 250, 10)), "D"),
    "goes up": (straight(range(250, 120, -10)), "U"),
    "there and back": (straight([*range(120, 250, 10), *range(250, 110, -10)]), "DU"),
    "waits on the line for an hour": (waits_for_an_hour(), "D"),
    "waits on it for an hour and goes back": (
        [*waits_for_an_hour()[: 6 + HOUR], *straight(range(170, 100, -10), from_s=HOUR + 2)],
        "",
    ),
    "stands beside it with a jittering box": (straight(168 + noise(2000, 3.0)), ""),
    "stands on it with a jittering box": (straight(180 + noise(2000, 2.0)), ""),
    "jitters wildly while it goes over": (straight(np.linspace(100, 260, 60) + noise(60, 4.0)), "D"),
    "fast, at 5 pictures a second": (straight(range(20, 340, 80), hz=5), "D"),
    "so fast that it is seen once on each side": (straight([60, 300], hz=5), "D"),
    "appears on the line and goes down": (straight(range(180, 260, 8)), ""),
    "appears on the line, goes up, comes back": (straight([*range(178, 120, -8), *range(120, 250, 8)]), "D"),
    "vanishes on the line": (straight(range(120, 184, 8)), ""),
    "vanishes right behind the line": (straight(range(120, 200, 8)), "D"),
    "its id switches before the line": (id_switch(150), "D"),
    "its id switches on the line": (id_switch(178), "D"),
    "its id switches right behind the line": (id_switch(190), "D"),
    "its id switches far behind the line": (id_switch(230), "D"),
    "waits on the line under forty ids": (flickering_ids(), "D"),
    "lost for two seconds on the line": (
        [*straight(range(120, 180, 8)), *straight(range(200, 260, 8), from_s=2.8)],
        "D",
    ),
    "only predicted over the line": (predicted_over(), ""),
    "one down, one up at the same time": (two_at_once(), "DU"),
    "passes the line's end": (straight(range(120, 250, 10), x=100), ""),
    "walks along the line": ([(i / 10, {7: (100 + 5 * i, 180)}) for i in range(100)], ""),
    "a stream at 1 picture a second": (straight([100, 150, 210, 260], hz=1), "D"),
    "irregular times": (
        [(t, {7: (320.0, 100 + 60 * t)}) for t in (0, 0.04, 0.5, 0.52, 1.3, 1.5, 2.2, 2.21)],
        "D",
    ),
}


def counted(frames, **options) -> str:
    settings = CountStage.Options(lines={"gate": GATE}, **options)
    stage = CountStage(settings, StageContext("cam"))
    stage.open(StreamInfo("cam", "file:cam", "run", WIDTH, HEIGHT))
    found, keys = [], count()
    for time_s, objects in frames:
        n = len(objects)
        at = np.array([place[:2] for place in objects.values()], float).reshape(-1, 2)
        boxes = np.concatenate([at, at], axis=1) + np.array([-10, -30, 10, 0])
        predicted = [len(place) > 2 for place in objects.values()]
        detections = Detections(boxes, np.ones(n), np.full(n, "car"))
        rows = np.where(predicted, -1, np.arange(n))
        tracks = Tracks(np.array(list(objects)), boxes, np.ones(n), np.full(n, "car"), rows, np.zeros(n))
        frame = frame_at(time_s, tracks=tracks, detections=detections)
        frame.sequence = next(keys)
        stage.process(frame)
        found += frame.events
    found += stage.finish()
    assert len({event.id for event in found}) == len(found)
    return "".join(event.data["direction"] for event in sorted(found, key=lambda event: event.moment.pts_s))


@pytest.mark.parametrize(("frames", "wanted"), CASES.values(), ids=CASES.keys())
def test_cases(frames, wanted):
    assert "".join(sorted(counted(frames))) == "".join(sorted(wanted))


def test_without_hand_over_an_id_switch_on_the_line_loses_the_count():
    assert counted(id_switch(178), handover_s=0) == ""
    assert counted(flickering_ids(), handover_s=0) == ""

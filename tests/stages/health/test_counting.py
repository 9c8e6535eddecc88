"""Counting beside a camera that is turned away and back: nothing is counted where places are not known."""

import numpy as np

from pipeline.objects import Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.stage import CountStage
from stages.draw.stage import DrawOptions, DrawStage
from tests.stages.health import faults
from tests.stages.health.faults import broken
from tests.stages.health.test_stage import PLACE, opened

CONTEXT = StageContext("gate", "hash")
LINE = {"start": [0.0, 0.5], "end": [1.0, 0.5], "directions": {"to_right": "down", "to_left": "up"}}


def car(time_s: float) -> Tracks:
    """A car comes down the picture every 8 s, 20 px a second, and crosses the line at 4.5 s."""
    number, since_s = divmod(time_s, 8.0)
    box = np.array([[150, 20 * since_s - 20, 170, 20 * since_s]], np.float32)
    return Tracks(
        np.array([int(number)]), box, np.ones(1), np.array(["car"], object), np.zeros(1, int), np.zeros(1)
    )


def test_lines_pause_while_the_camera_is_turned_away_and_the_picture_says_so() -> None:
    health = opened(PLACE[0])
    counter = CountStage(CountStage.Options(lines={"gate": LINE}), CONTEXT)
    counter.open(StreamInfo("gate", "test://", "run", 320, 180))
    drawer = DrawStage(DrawOptions(), CONTEXT)
    crossings, told, red = [], {}, {}
    for frame in broken(PLACE, faults.panned(0.2), 30, 60, 90):
        time_s = frame.moment.pts_s
        frame.tracks = car(time_s)
        for stage in (health, counter, drawer):
            stage.process(frame)
        crossings += [event.moment.pts_s for event in frame.events if event.kind == "line.crossing"]
        told |= {event.data["state"]: event for event in frame.events if event.kind == "camera.health"}
        red[time_s] = bool((frame.drawn()[-1] == (40, 40, 230)).all())
    begin, end = told["begin"], told["end"]
    # Told some seconds after it began: a crossing in between is counted, and lies within the marked time.
    assert (begin.moment.pts_s, end.moment.pts_s) == (30, 60)
    every = [8 * number + 4.5 for number in range(11)]
    assert np.allclose(crossings, [time_s for time_s in every if not 35 <= time_s < 63])
    assert [time_s for time_s, is_red in red.items() if is_red] == list(range(35, 63))

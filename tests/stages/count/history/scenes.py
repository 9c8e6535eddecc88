"""Real and made-up objects, put through the stage `count` with its trajectories kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.event import Event
from pipeline.objects import Detections, Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.history.archive import Archive, Span, archives_in
from stages.count.history.bins import Bins, zone_named
from stages.count.history.recount import Recount, recount
from stages.count.options import CountOptions
from stages.count.stage import CountStage
from stages.track.methods import make_tracker
from tests.shared_data import shared
from tests.stages.count.seen import frame_at

Seen = tuple[float, Tracks]
"""Media time and what is tracked then."""

SIZES = {
    "ADL-Rundle-6": (1920, 1080, 30),
    "ETH-Sunnyday": (640, 480, 14),
    "KITTI-17": (1224, 370, 10),
    "TUD-Campus": (640, 480, 25),
    "TUD-Stadtmitte": (640, 480, 25),
    "Venice-2": (1920, 1080, 30),
}


def info_of(width: int, height: int, *, live: bool = False, run: str = "run") -> StreamInfo:
    return StreamInfo("cam", "", run, width, height, live=live)


def tracks_of(rows: Sequence[tuple[int, Sequence[float], str]]) -> Tracks:
    """Return observed tracks, each (id, xyxy, label)."""
    n = len(rows)
    return Tracks(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float32).reshape(n, 4),
        np.ones(n, np.float32),
        np.array([row[2] for row in rows], np.str_),
        np.arange(n),
        np.zeros(n, np.float32),
    )


def truth(name: str) -> Iterator[Seen]:
    """Yield the true boxes of a sequence, picture by picture."""
    table = np.loadtxt(shared(f"mot15/{name}/gt/gt.txt"), delimiter=",")
    rate = SIZES[name][2]
    for number in range(1, int(table[:, 0].max()) + 1):
        rows = table[table[:, 0] == number]
        boxes = np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]])
        yield (
            number / rate,
            tracks_of([(int(i), box, "person") for i, box in zip(rows[:, 1], boxes, strict=True)]),
        )


def tracked(name: str) -> Iterator[Seen]:
    """Yield what our tracker makes of a sequence's detections, picture by picture."""
    table = np.loadtxt(shared(f"mot15/{name}/det/det.txt"), delimiter=",")
    rate = SIZES[name][2]
    tracker = make_tracker()
    for number in range(1, int(table[:, 0].max()) + 1):
        rows = table[table[:, 0] == number]
        found = Detections(
            np.column_stack([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]]),
            np.clip(rows[:, 6], 0, 1),
            np.full(len(rows), "person"),
        )
        yield number / rate, tracker.update(found, number / rate)


def play(
    frames: Iterable[Seen], options: dict, info: StreamInfo, folder: Path | None
) -> tuple[CountStage, list[Event]]:
    """Put frames through the stage and close it; return it and its events."""
    options = {"evidence": {"snapshots": False, "strips": False}, **options}  # the pictures here are blank
    stage = CountStage(CountOptions.model_validate(options), StageContext("cam", folder=folder))
    stage.open(info)
    events: list[Event] = []
    for time_s, tracks in frames:
        frame = frame_at(time_s, tracks=tracks)
        stage.process(frame)
        events += frame.events
    events += stage.finish()
    stage.close()
    return stage, events


def archive_in(folder: Path) -> Archive:
    (archive,) = archives_in(folder)
    return archive


def again(folder: Path, options: dict, by=None, span: Span = Span()) -> Recount:  # noqa: B008
    """Count the options' lines over what was kept."""
    lines = CountOptions.model_validate(options).lines
    return recount(archive_in(folder), lines, span, Bins(by, zone_named("UTC")))


def live_counts(events: Iterable[Event]) -> dict[tuple[str, str, str], int]:
    """Return how many crossings there were, by line, direction and class."""
    found: dict[tuple[str, str, str], int] = {}
    for event in events:
        if event.kind == "line.crossing":
            key = (event.data["line"], event.data["direction"], event.data["label"])
            found[key] = found.get(key, 0) + 1
    return found


def recounted(result: Recount) -> dict[tuple[str, str, str], int]:
    """Return the same of a recount."""
    found: dict[tuple[str, str, str], int] = {}
    for counted, count in result.counts.items():
        key = (counted.line, counted.direction, counted.label)
        found[key] = found.get(key, 0) + count
    return found


def random_lines(rng: np.random.Generator, count: int, width: int, height: int) -> dict[str, dict]:
    """Return lines anywhere in a picture, of which every third has a bend."""
    lines = {}
    for number in range(count):
        points = rng.uniform((0, 0), (width, height), (3 if number % 3 == 0 else 2, 2)).round()
        lines[f"line {number}"] = {"points": points.tolist(), "units": "px", "anchor": "bottom_center"}
    return lines

"""Shows stored trajectories to the stage `count` again, as if they were seen now: zones, routes, speeds.

Every part of the stage answers about the past what it would have answered then. Lines have a quicker way
(`recount`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import count
from math import ceil, floor, inf
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Tracks
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.history.archive import Archive, Bounds, Remembered, Span
from stages.count.history.asked import Kind
from stages.count.history.path import BoolArray, Path
from stages.count.options import CountOptions
from stages.count.stage import CountStage

STEP_S = 0.1
"""Media time between two pictures that are shown."""

_IDLE = 10
"""Pictures that are left out while nothing is there."""

_EVERYWHERE: tuple[Bounds, ...] = ((-1e9, -1e9, 1e9, 1e9),)
_WATCHED = ("lines", "zones", "routes", "masks", "ground", "vanished_s", "forget_s")
"""Options that can be asked of the past; the others write files, or have done their work then."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """One object as it is shown again.

    Attributes:
        first: number of the first picture that it is in.
        boxes: (K, 4) float32 xyxy px, in each from then on.
        visible: (K,) bool, False while it had vanished.
        kinds: (K,) indices into `names`.
        names: its classes.
        attributes: that go with them.
    """

    first: int
    boxes: npt.NDArray[np.float32]
    visible: BoolArray
    kinds: npt.NDArray[np.intp]
    names: Sequence[str]
    attributes: Sequence[Mapping[str, str]]

    @property
    def last(self) -> int:
        """Number of the last picture that it is in."""
        return self.first + len(self.boxes) - 1


def asked_of(settings: Mapping[str, Any]) -> CountOptions:
    """Return what a stage's settings ask, without what is not asked of the past.

    Raises:
        ValueError: a `pydantic.ValidationError`, if they are wrong.
    """
    options = {name: settings[name] for name in _WATCHED if name in settings}
    # Objects that were handed over to another track then are one object already.
    unneeded = {"handover_s": 0.0} if "handover_s" in CountOptions.model_fields else {}
    return CountOptions.model_validate({**options, **unneeded})


def replay(
    archive: Archive,
    options: CountOptions,
    span: Span,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Event]:
    """Yield the events that the stage makes of a stream's trajectories, those within the span.

    Args:
        archive: the stream's.
        options: see `asked_of`.
        span: when something must have happened.
        progress: is told which share of the trajectories has been shown.

    Raises:
        ConfigError: if something does not fit the pictures.
        SourceError: if files cannot be read.
    """
    sizes = archive.sizes(span)
    total, shown = max(1, sum(sizes.values())), count(1)

    def note() -> None:
        if progress:
            progress(min(1.0, next(shown) / total))

    for width, height in sizes:
        stage = CountStage(options, StageContext(archive.stream))
        info = StreamInfo(archive.stream, "", "past", width, height)
        stage.open(info)
        try:
            paths = _paths(archive, span, (width, height), _bounds(options, info))
            for event in _events(stage, paths, info, note):
                if span.holds(np.array([event.moment.time_ns]))[0]:
                    yield event
        finally:
            stage.close()


def _events(
    stage: CountStage, paths: Iterator[Remembered], info: StreamInfo, note: Callable[[], None]
) -> Iterator[Event]:
    """Show what was there, picture by picture; nothing only for so long as parts need to notice."""
    picture = BgrPicture(np.zeros((info.height, info.width, 3), np.uint8))
    following = next(paths, None)
    if following is None:
        return
    base_ns = following[0]
    number, sequence, next_id = 0, 0, 1
    active: dict[int, _Shown] = {}
    idle_until = 0
    idle = ceil(stage.options.forget_s / STEP_S) + 1
    while following is not None or active or number <= idle_until:
        while following is not None and (following[0] - base_ns) / 1e9 <= (number + 1) * STEP_S:
            shown = _shown((following[0] - base_ns) / 1e9, following[1], following[2])
            if shown is not None:
                active[next_id] = shown
                next_id += 1
            note()
            following = next(paths, None)
        active = {key: each for key, each in active.items() if each.last >= number}
        time_s = round(number * STEP_S, 6)
        moment = Moment(time_s, base_ns + round(time_s * 1e9), Clock.FILE)
        frame = Frame(info.stream, info.run, sequence, moment, picture)
        frame.tracks = _tracks(active, number)
        stage.process(frame)
        yield from frame.events
        sequence += 1
        begins = inf if following is None else floor((following[0] - base_ns) / 1e9 / STEP_S)
        if active:
            number, idle_until = number + 1, number + idle
        elif number <= idle_until:
            number = int(min(number + _IDLE, max(begins, number + 1)))
        elif following is not None:
            number = int(max(begins, number + 1))
    yield from stage.finish()


def _paths(
    archive: Archive, span: Span, size: tuple[int, int], bounds: Sequence[Bounds]
) -> Iterator[Remembered]:
    """Yield trajectories in the order of their beginnings."""
    long = sorted(archive.long_paths(span, size, bounds), key=itemgetter(0))
    yield from merge(archive.paths(span, size, bounds), long, key=itemgetter(0))


def _shown(start_s: float, path: Path, kinds: Sequence[Kind]) -> _Shown | None:
    """Return where an object is in each picture; None where it is in none, as it was there too shortly."""
    first = ceil(start_s / STEP_S - 1e-9)
    length_s = float(path.times_s[-1] - path.times_s[0])
    last = floor((start_s + length_s) / STEP_S + 1e-9)
    if last < first:
        return None
    times_s = path.times_s[0] + (np.arange(first, last + 1) * STEP_S - start_s)
    after = np.searchsorted(path.times_s, times_s, "right").clip(0, len(path) - 1)
    on_point = times_s - path.times_s[np.maximum(after - 1, 0)] < 1e-9
    visible = ~(path.vanished[after] & (times_s < path.times_s[after]) & ~on_point)
    since_s = [kind.since_s for kind in kinds]
    which = (np.searchsorted(since_s, times_s, "right") - 1).clip(0)
    boxes = path.at(times_s).astype(np.float32)
    names, attributes = [kind.label for kind in kinds], [kind.attributes for kind in kinds]
    return _Shown(first, boxes, visible, which, names, attributes)


def _tracks(active: Mapping[int, _Shown], number: int) -> Tracks:
    ids, boxes, labels, attributes = [], [], [], []
    for key, each in active.items():
        at = number - each.first
        if at < 0 or not each.visible[at]:
            continue
        ids.append(key)
        boxes.append(each.boxes[at])
        labels.append(each.names[each.kinds[at]])
        attributes.append(each.attributes[each.kinds[at]])
    n = len(ids)
    if not n:
        return Tracks.empty()
    column = np.empty(n, np.object_)
    column[:] = attributes
    return Tracks(
        np.array(ids, np.int64),
        np.array(boxes, np.float32),
        np.ones(n, np.float32),
        np.array(labels, np.str_),
        np.arange(n),
        np.zeros(n, np.float32),
        attributes=column if any(attributes) else None,
    )


def _bounds(options: CountOptions, info: StreamInfo) -> Sequence[Bounds]:
    """Return boxes outside of which nothing happens that is asked for."""
    if options.ground is not None:
        return _EVERYWHERE  # anybody may be too fast, anywhere
    boxes = [zone.laid(f"zone '{name}'", info).bounds for name, zone in options.zones.items()]
    for name, line in options.lines.items():
        for gate in line.laid(name, info):
            x, y = zip(*gate.points, strict=True)
            boxes.append((min(x), min(y), max(x), max(y)))
    reach = 0.05 * max(info.width, info.height)  # a zone's band, and some way to come from
    return [(left - reach, top - reach, right + reach, bottom + reach) for left, top, right, bottom in boxes]

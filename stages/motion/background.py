"""The stage `background`: what was left in a place, and what is missing from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, StringConstraints

from pipeline.event import Event, Producer
from pipeline.frame import Area, Frame
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from stages.motion.resting import Change, F32Array, Resting, Thing
from stages.vision.long_term import LongTermBackground
from stages.vision.luma import reduced_luma

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class BackgroundOptions(Options):
    """Options of the stage `background`.

    Attributes:
        after_s: seconds for which a thing must rest, or be missing, before it is told.
        learn_s: seconds over which the first background is gathered; what stays for less than half of them
            is not in it.
        history_s: seconds in which the background follows the light.
        stayed_s: a thing that has been there for so long after it was told belongs to the place.
        min_area: smallest thing, as a share of the picture's area.
        width: px that the picture is reduced to.
        every_s: look no more often than this, in media time.
        ignore_labels: nothing is found in boxes of these classes, if a detector comes before.
    """

    after_s: Annotated[float, Field(ge=1, le=86_400)] = 20.0
    learn_s: Annotated[float, Field(ge=1, le=3600)] = 10.0
    history_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    stayed_s: Annotated[float, Field(ge=1)] = 1800.0
    min_area: Annotated[float, Field(gt=0, lt=0.3)] = 0.0008
    width: Annotated[int, Field(ge=64, le=1280)] = 320
    every_s: Annotated[float, Field(ge=0, le=1)] = 0.2
    ignore_labels: frozenset[Label] = frozenset({"person"})


class BackgroundStage(Stage):
    """Appends `object.left` and `object.removed` events, and sets `frame.areas` while a thing is there.

    Each thing has two events, `state` "begin" and "end". The moment of the first is when the thing came to
    rest (or was taken away), that of the second when its end was seen.
    """

    Options: ClassVar[type[Options]] = BackgroundOptions
    emits: ClassVar[Mapping[str, str]] = {
        "object.left": "a thing was left; and when that ends",
        "object.removed": "a thing is missing; and when that ends",
    }
    options: BackgroundOptions

    def __init__(self, options: BackgroundOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._background = LongTermBackground(options.learn_s, options.after_s, options.history_s)
        self._resting = Resting(options.min_area, options.stayed_s)
        self._latest: Frame | None = None
        self._looked_s = 0.0
        self._reduction = np.ones(4, np.float32)
        self._areas: dict[str, Area] = {}

    def open(self, info: StreamInfo) -> None:  # noqa: ARG002
        """Begin with an unknown place."""
        self._begin()

    def process(self, frame: Frame) -> None:
        """Compare the picture with the place as it was, and tell what has come to rest or is missing."""
        latest, self._latest = self._latest, frame
        if latest is not None and not frame.follows(latest):
            frame.events.extend(self._events(self._resting.end("end"), latest))  # media time begins anew
            self._begin()
            latest = None
        pts_s = frame.moment.pts_s
        step_s = 0.0 if latest is None else pts_s - self._looked_s
        # A time stamp is rounded: a picture that comes a hair too early is not left out.
        if latest is None or step_s >= self.options.every_s - 1e-3:
            self._looked_s = pts_s
            frame.events.extend(self._events(self._changes(frame, step_s), frame))
            self._areas = {
                f"{thing.kind} {thing.number}": _corners(self._full_size(thing))
                for thing in self._resting.things
            }
        if self._areas:
            frame.areas = MappingProxyType({**(frame.areas or {}), **self._areas})
        self._latest = frame

    def finish(self) -> Sequence[Event]:
        """Return the ends of the things that are still there."""
        frame = self._latest
        events = [] if frame is None else self._events(self._resting.end("end"), frame)
        self._begin()
        return events

    def close(self) -> None:
        """Forget the place."""
        self._begin()

    def _begin(self) -> None:
        self._background.restart()
        self._resting.end("end")
        self._latest = None
        self._areas = {}

    def _changes(self, frame: Frame, step_s: float) -> list[Change]:
        picture = frame.picture
        luma = reduced_luma(picture.luma(), self.options.width)
        height, width = luma.shape
        self._reduction = np.array([picture.width / width, picture.height / height] * 2, np.float32)
        known = self._background.update(luma, frame.moment.pts_s, step_s)
        if known is None:
            return self._resting.end("scene")
        if not known:
            return []
        return self._resting.look(self._background, frame.moment.pts_s, step_s, self._ignored(frame))

    def _ignored(self, frame: Frame) -> F32Array:
        """Return (M, 4) float32 px of the reduced picture: boxes in which nothing is found."""
        found = frame.tracks if frame.tracks is not None else frame.detections
        if found is None or not self.options.ignore_labels:
            return np.zeros((0, 4), np.float32)
        chosen = np.isin(found.label, sorted(self.options.ignore_labels))
        return np.asarray(found.xyxy[chosen] / self._reduction, np.float32)

    def _events(self, changes: Iterable[Change], frame: Frame) -> list[Event]:
        return [self._event(change, frame) for change in changes]

    def _event(self, change: Change, frame: Frame) -> Event:
        thing, pts_s = change.thing, frame.moment.pts_s
        left, top, right, bottom = self._full_size(thing)
        begins = change.reason is None
        data = {
            "state": "begin" if begins else "end",
            "object": thing.number,
            "xyxy": [left, top, right, bottom],
            "rested_s": round(pts_s - thing.since_s, 3),
        }
        return frame.event(
            f"object.{thing.kind}",
            f"{thing.number}:{data['state']}",
            Producer("background", "", self.context.config_hash, frame.model_hash),
            moment=frame.moment.shifted(thing.since_s - pts_s) if begins else frame.moment,
            position=((left + right) / 2, (top + bottom) / 2),
            data=data if begins else {**data, "reason": change.reason},
        )

    def _full_size(self, thing: Thing) -> list[float]:
        """Return the thing's box, xyxy in px of the full picture."""
        return [round(v, 2) for v in (thing.xyxy * self._reduction).astype(float).tolist()]


def _corners(xyxy: list[float]) -> Area:
    left, top, right, bottom = xyxy
    return ((left, top), (right, top), (right, bottom), (left, bottom))

"""What all detectors have in common: pictures in, tables of detections out, and no more looks than needed."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import FrameLost, FramesLost
from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import Stage, StageContext, StreamInfo
from stages.detect.spend.options import SpendOptions
from stages.detect.spend.spender import Spender

Found = Detections | FrameLost
"""What a look gave: a table, or the reason why this picture is lost while others are not."""

_EVERY_PICTURE = SpendOptions(gate=False, every=1)


class Detector(Stage):
    """A stage that finds objects in each picture by itself, whatever came before.

    A subclass implements `detect`, and sets `model_hash` if it has weights. Its options derive from
    `DetectorOptions`; by those it is asked only for the pictures that need a look, and in the others the
    objects stay where they are or are carried on by optical flow (`frame.carried_s` says for how long). A
    subclass that overrides `open` or `statistics` calls these.
    """

    model_hash: str | None = None
    gives = frozenset({"detections"})

    def __init__(self, options: Any, context: StageContext) -> None:
        super().__init__(options, context)
        self._spender = Spender(getattr(options, "spend", _EVERY_PICTURE))

    @classmethod
    def known_labels(cls, options: Any) -> frozenset[str] | None:
        """Return the classes that the options name; None where they leave it to the model."""
        label = getattr(options, "label", None)
        if label is not None:
            return frozenset({label})
        for named in (getattr(options, "labels", None), getattr(options, "classes", None)):
            if isinstance(named, tuple):
                return frozenset(named)
        return None

    @abstractmethod
    def detect(self, pictures: Sequence[Picture]) -> Sequence[Found]:
        """Return the detections of each picture, in the pictures' order.

        Raises:
            FrameLost: if all of them are lost; where only some are, the reason stands in their place.
        """

    def open(self, info: StreamInfo) -> None:
        """Begin with pictures of perhaps another size."""
        self._spender.begin(live=info.live)

    def process_batch(self, frames: Sequence[Frame]) -> None:
        """Fill in `detections`, `carried_s` and `model_hash` of each frame.

        Raises:
            FramesLost: which frames have no detections; the others have theirs.
        """
        spender = self._spender
        plans = [spender.plan(frame) for frame in frames]
        found = iter(self._timed_look([plan.picture for plan in plans if plan.picture is not None]))
        losses: dict[int, FrameLost] = {}
        for place, (frame, plan) in enumerate(zip(frames, plans, strict=True)):
            given = next(found) if plan.picture is not None else None
            if isinstance(given, FrameLost):
                losses[place] = given
                spender.lost()
            elif not spender.settle(frame, plan, given):
                losses[place] = next(iter(losses.values()), FrameLost("no detections", "no look succeeded"))
            frame.model_hash = self.model_hash
        if losses:
            raise FramesLost(losses)

    def statistics(self) -> Mapping[str, Any]:
        """Return what was looked at, and what it cost not to look at the rest."""
        return self._spender.statistics()

    def _timed_look(self, pictures: Sequence[Picture]) -> Sequence[Found]:
        if not pictures:
            return ()
        begun_s = time.perf_counter()
        try:
            return self.detect(pictures)
        except FrameLost as loss:
            return [loss] * len(pictures)
        finally:
            self._spender.paid(time.perf_counter() - begun_s, len(pictures))

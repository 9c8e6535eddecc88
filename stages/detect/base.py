"""What all detectors have in common: pictures in, tables of detections out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from pipeline.errors import FrameLost, FramesLost
from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import Stage


class Detector(Stage):
    """A stage that finds objects in each picture by itself, whatever came before.

    A subclass implements `detect`, and sets `model_hash` if it has weights.
    """

    model_hash: str | None = None
    gives = frozenset({"detections"})

    @abstractmethod
    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Return the detections of each picture, in the pictures' order.

        Raises:
            FrameLost: if one of them is lost.
        """

    def look(self, pictures: Sequence[Picture]) -> list[Detections | FrameLost]:
        """Return what `detect` does, or why a picture is lost; who can tell which, overrides this."""
        try:
            return list(self.detect(pictures))
        except FrameLost as lost:
            return [lost] * len(pictures)

    def process_batch(self, frames: Sequence[Frame]) -> None:
        """Fill in `detections` and `model_hash` of each frame."""
        losses = {}
        found = self.look([frame.picture for frame in frames])
        for place, (frame, detections) in enumerate(zip(frames, found, strict=True)):
            if isinstance(detections, FrameLost):
                losses[place] = detections
                continue
            frame.detections = detections
            frame.model_hash = self.model_hash
        if losses:
            raise FramesLost(losses)

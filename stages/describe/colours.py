"""The stage `colours`: names the colour of each object, so that one can count the red cars."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints

from pipeline.errors import ConfigError
from pipeline.frame import Frame
from pipeline.objects import Detections, ObjectArray, Tracks
from pipeline.plugin import NO_EVENTS, Options, Stage
from stages.vision.colour_name import colour_name, sampled

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class ColoursOptions(Options):
    """Options of the stage `colours`.

    Attributes:
        labels: name the colours of these classes only; of all when left out.
        inner: the share of a box's width and height to look at, around its middle.
        attribute: what the attribute is called.
    """

    labels: frozenset[Label] | None = None
    inner: Annotated[float, Field(gt=0, le=1)] = 0.6
    attribute: Label = "colour"


class ColoursStage(Stage):
    """Gives objects an attribute with one of eleven names: black, white, grey, red, orange, yellow, ...

    After a tracker it describes the tracks that were seen, else the detections: a tracker hands it on.
    Each picture is looked at for itself; who counts takes the vote of all.
    """

    Options: ClassVar[type[Options]] = ColoursOptions
    emits = NO_EVENTS
    needs = frozenset({"detections"})
    options: ColoursOptions

    def process(self, frame: Frame) -> None:
        """Name the colours of the frame's objects.

        Raises:
            ConfigError: if no stage before this one finds any.
        """
        tracks, detections = frame.tracks, frame.detections
        if tracks is not None:
            frame.tracks = replace(tracks, attributes=self._named(frame, tracks, tracks.detection >= 0))
        elif detections is not None:
            everyone = np.ones(len(detections), np.bool_)
            frame.detections = replace(detections, attributes=self._named(frame, detections, everyone))
        else:
            raise ConfigError("stage 'colours' needs detections; put a detector before it, e.g. 'motion'")

    def _named(self, frame: Frame, objects: Detections | Tracks, seen: npt.NDArray[np.bool_]) -> ObjectArray:
        """Return the objects' attributes with their colours among them."""
        column = np.empty(len(objects), np.object_)
        wanted = self.options.labels
        for row, (xyxy, label) in enumerate(zip(objects.xyxy.tolist(), objects.label.tolist(), strict=True)):
            known = {} if objects.attributes is None else dict(objects.attributes[row])
            if seen[row] and (wanted is None or label in wanted):
                name = colour_name(sampled(frame.picture, xyxy, self.options.inner))
                if name is not None:
                    known[self.options.attribute] = name
            column[row] = known
        return column

"""From a network's candidates to the detections of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.objects import Detections
from stages.detect.boxes import rotated_corners, suppress, suppress_rotated
from stages.detect.layouts.base import Candidates, I64Array
from stages.detect.letterbox import Letterbox

_MOST_COMPARED = 3000
"""Most candidates, the best ones, that suppression compares: a crowd of 300 has fewer at any useful score."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What is kept of a network's candidates, and by which names.

    Attributes:
        names: of the classes.
        wanted: (classes,) bool.
        nms_iou: overlap above which the better box suppresses the other.
        agnostic: whether boxes of different classes suppress each other.
        most: detections at most, the best ones.
    """

    names: tuple[str, ...]
    wanted: npt.NDArray[np.bool_]
    nms_iou: float
    agnostic: bool
    most: int

    def __call__(self, found: Candidates, place: Letterbox) -> Detections:
        """Return the detections in px of the picture, best first.

        Raises:
            ModelError: if the network speaks of a class that has no name.
        """
        self._check_numbers(found.number)
        rows = np.flatnonzero(self.wanted[found.number])
        rows = rows[np.argsort(-found.score[rows], kind="stable")][:_MOST_COMPARED]
        if found.suppress and len(rows) > 1:
            rows = rows[self._suppressed(found, rows)]
        boxes = place.boxes_to_picture(found.xyxy[rows])
        # What lies in the grey beside the picture is nothing.
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        rows, boxes = rows[inside][: self.most], boxes[inside][: self.most]
        more: dict[str, object] = {}
        if found.keypoints is not None:
            points = found.keypoints[rows].copy()
            points[..., :2] = place.to_picture(points[..., :2])
            points[..., 2] = np.clip(points[..., 2], 0, 1)
            more["keypoints"] = points
        if found.rotated is not None:
            more["corners"] = place.to_picture(rotated_corners(found.rotated[rows]))
        if found.outlines is not None:
            outline = np.empty(len(rows), np.object_)
            edges = np.array([place.picture_width, place.picture_height], np.float32)
            outline[:] = [np.clip(place.to_picture(line), 0, edges) for line in found.outlines(rows)]
            more["outline"] = outline
        names = np.array(self.names)[found.number[rows]] if len(rows) else np.empty(0, np.str_)
        return Detections(boxes, np.clip(found.score[rows], 0, 1), names, **more)  # type: ignore[arg-type]

    def _suppressed(self, found: Candidates, rows: I64Array) -> I64Array:
        number = found.number[rows]
        group = np.zeros_like(number) if self.agnostic else number
        if found.rotated is not None:
            return suppress_rotated(found.rotated[rows], found.score[rows], group, self.nms_iou)
        return suppress(found.xyxy[rows], found.score[rows], group, self.nms_iou)

    def _check_numbers(self, number: I64Array) -> None:
        if len(number) and not (number.min() >= 0 and number.max() < len(self.names)):
            wrong = int(number.max()) if number.min() >= 0 else int(number.min())
            raise ModelError(
                f"the network found class number {wrong}, but its classes have {len(self.names)} names; "
                f"set 'classes' to all of them, in the order of its training"
            )

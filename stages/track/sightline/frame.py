"""The detections of one frame, as the filter measures them."""

from __future__ import annotations

import numpy as np

from pipeline.objects import Detections, F32Array
from stages.track.boxes import FloatArray
from stages.track.kernels import replaceable

_LEAST_SIDE_PX = 1.0


class Measured:
    """The M detections of one frame that can be tracked: those at least 1 px wide and high.

    Attributes:
        row: (M,) of each in the frame's table.
        table: (10, M) float64, what follows side by side, so that one look-up finds all of it.
        vector: (4, M) view: x and y of the centre in px, log height, log aspect (width / height).
        corners: (4, M) view: xyxy px.
        area: (M,) view: px^2.
        score: (M,) view.
        label: (M,) str.
    """

    def __init__(self, detections: Detections) -> None:
        self.row = np.arange(len(detections))
        self.label = detections.label
        table, least_px = measure(detections.xyxy, detections.score)
        if least_px < _LEAST_SIDE_PX:
            self.row = ((table[6:8] - table[4:6]).min(axis=0) >= _LEAST_SIDE_PX).nonzero()[0]
            table, _ = measure(detections.xyxy[self.row], detections.score[self.row])
            self.label = self.label[self.row]
        self.table, self.vector, self.corners = table, table[:4], table[4:8]
        self.area, self.score = table[8], table[9]

    def __len__(self) -> int:
        return len(self.row)


@replaceable
def measure(xyxy: F32Array, score: F32Array) -> tuple[FloatArray, float]:
    """Return the (10, M) table of `Measured` and the shortest side of all boxes, px.

    When that is shorter than 1 px, only corners and scores are filled in.
    """
    table = np.empty((10, len(xyxy)))
    table[4:8] = xyxy.T
    table[9] = score
    size = table[6:8] - table[4:6]
    least_px = size.item(size.argmin()) if len(xyxy) else np.inf
    if least_px < _LEAST_SIDE_PX:
        return table, least_px
    np.multiply(size[0], size[1], out=table[8])
    centre = table[:2]
    np.add(table[4:6], table[6:8], out=centre)
    centre *= 0.5
    log_width, log_height = np.log(size)
    table[2] = log_height
    np.subtract(log_width, log_height, out=table[3])
    return table, least_px

"""The detections of one frame, as the filter measures them."""

from __future__ import annotations

import numpy as np

from pipeline.objects import Detections

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
        table = np.empty((10, len(self.row)))
        table[4:8] = detections.xyxy.T
        table[9] = detections.score
        size = table[6:8] - table[4:6]
        if len(self.row) and size.item(size.argmin()) < _LEAST_SIDE_PX:
            self.row = np.flatnonzero((size >= _LEAST_SIDE_PX).all(axis=0))
            table, size = table.take(self.row, axis=1), size.take(self.row, axis=1)
            self.label = self.label[self.row]
        self.table, self.vector, self.corners = table, table[:4], table[4:8]
        self.area, self.score = table[8], table[9]
        np.multiply(size[0], size[1], out=self.area)
        centre = table[:2]
        np.add(table[4:6], table[6:8], out=centre)
        centre *= 0.5
        log_width, log_height = np.log(size)
        table[2] = log_height
        np.subtract(log_width, log_height, out=table[3])

    def __len__(self) -> int:
        return len(self.row)

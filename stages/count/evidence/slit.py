"""Slit-scan: takes the pixels on a line, and a little to either side of it, out of a picture.

A slit-scan camera exposes a narrow slit again and again and lays the exposures side by side: what passes the
slit becomes visible, what stands still becomes a streak. Here the slit is a counting line.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.picture import Picture, U8Array
from stages.count.place import LinePlace, lengths_px

F64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
F32Array = npt.NDArray[np.float32]


def slit_points(place: LinePlace, rows: int, across: int, reach_px: float) -> F64Array:
    """Return the places of a slit's pixels, (rows, across, 2) float64 px.

    Row 0 is the start of the line. Column 0 lies `reach_px` to its right, the last one as far to its left:
    what goes over the line to the right shows its front first, as it does in the slits that follow.
    One column lies on the line itself.
    """
    starts, steps, lengths = [], [], []
    for gate in place.gates:
        corners = np.asarray(gate, np.float64)
        starts.append(corners[:-1])
        steps.append(np.diff(corners, axis=0))
        lengths.append(lengths_px(gate))
    start, step, length = np.concatenate(starts), np.concatenate(steps), np.concatenate(lengths)
    ends = np.cumsum(length)
    at = (np.arange(rows) + 0.5) / rows * ends[-1]
    piece = np.minimum(np.searchsorted(ends, at, side="right"), len(ends) - 1)
    share = (at - (ends - length)[piece]) / length[piece]
    middle = start[piece] + step[piece] * share[:, None]
    right = np.stack([-step[piece, 1], step[piece, 0]], axis=1) / length[piece, None]
    offsets = np.linspace(reach_px, -reach_px, across) if across > 1 else np.zeros(1)
    return np.asarray(middle[:, None, :] + right[:, None, :] * offsets[None, :, None], np.float64)


class SlitReader:
    """Takes the slits of all lines of a stream out of a picture at once.

    Args:
        places: by name; none is an error.
        width: of the pictures, px.
        height: of the pictures, px.
        rows: most pixels along a line.
        across: pixels across a line.
        reach_px: how far a slit reaches to either side.

    Attributes:
        rows: name of the line -> its rows, those of one line after those of the other.
        across: as given.
    """

    def __init__(
        self,
        places: Mapping[str, LinePlace],
        width: int,
        height: int,
        *,
        rows: int,
        across: int,
        reach_px: float,
    ) -> None:
        self.rows: dict[str, slice] = {}
        self.across = across
        xs, ys, begin = [], [], 0
        for name, place in places.items():
            count = max(1, min(rows, round(place.length_px)))
            points = slit_points(place, count, across, reach_px)
            xs.append(points[..., 0].clip(0, width - 1).astype(np.intp))
            ys.append(points[..., 1].clip(0, height - 1).astype(np.intp))
            self.rows[name] = slice(begin, begin + count)
            begin += count
        self._x, self._y = np.concatenate(xs), np.concatenate(ys)
        self._chroma: tuple[IntArray, IntArray] = (self._y // 2, self._x // 2)

    def __len__(self) -> int:
        """Return the rows of all lines together."""
        return len(self._x)

    def read(self, picture: Picture, into: U8Array) -> F32Array | None:
        """Take the slits of all lines.

        Args:
            picture: of the size given.
            into: (rows, across, 3) uint8, written to: the decoder's Y, U, V where it has them, else B, G, R.

        Returns:
            The (3, 4) matrix from (Y, U, V, 1) to (B, G, R), None when `into` is BGR already.
        """
        planes = picture.planes()
        if planes is None:
            into[:] = picture.bgr()[self._y, self._x]
            return None
        into[..., 0] = planes.y[self._y, self._x]
        into[..., 1] = planes.u[self._chroma]
        into[..., 2] = planes.v[self._chroma]
        return planes.to_bgr


def to_bgr(slits: U8Array, matrix: F32Array | None) -> U8Array:
    """Return slits (rows, columns, 3) uint8, as `SlitReader.read` gave them, as BGR."""
    if matrix is None:
        return slits
    return np.asarray(cv2.transform(np.ascontiguousarray(slits), matrix), np.uint8)

"""Hiding parts of pictures so that nobody can bring them back: pure functions of pictures.

What is left of a hidden part is bounded by counting, not by how clever an attack is. `mask` leaves nothing.
`pixelate` reduces a part to a few cells, of each of which only the mean stays, in eight levels; `blur` draws
the same cells smoothly. (A Gaussian blur alone can be undone in part, by deconvolution, and a fine mosaic can
be recognised by a network: McPherson, Shokri and Shmatikov 2016, "Defeating Image Obfuscation with Deep
Learning".)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.picture import BgrPicture, Picture, U8Array, YuvPicture
from pipeline.privacy.options import Corners, Method

LEVELS = 8
"""Levels that a cell can have, of each component."""

_STEP = 256 // LEVELS
_BLACK_Y, _NO_COLOUR = 16, 128
_COARSE = np.clip((np.rint((np.arange(256) - 128) / _STEP) * _STEP) + 128, 0, 255).astype(np.uint8)
_SAMPLES = 32
"""The mean of a cell is taken over about so many pixels in each direction: more would tell nothing."""
_FIXED_BITS = 4
"""Fractions of a pixel in OpenCV's polygons."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a picture: a rectangle, or what a stencil leaves of it.

    Attributes:
        left: even px.
        top: even px.
        right: px, even or the picture's width.
        bottom: px, even or the picture's height.
        stencil: (bottom - top, right - left) uint8, 255 where it is hidden; None: everywhere.
        half: the same for chroma, of half the size, rounded up.
    """

    left: int
    top: int
    right: int
    bottom: int
    stencil: U8Array | None = None
    half: U8Array | None = None


def parts_of_boxes(boxes: npt.NDArray[np.floating], width: int, height: int) -> list[Part]:
    """Return what boxes (N, 4) xyxy px cover of a picture, rounded outwards to even px.

    What lies within another part is left out: that hides it more coarsely.
    """
    if not len(boxes):
        return []
    low = np.floor(np.clip(boxes[:, :2], 0, [width, height]) / 2).astype(np.int64) * 2
    high = np.ceil(np.clip(boxes[:, 2:], 0, [width, height]) / 2).astype(np.int64) * 2
    high = np.minimum(high, [width, height])
    inside = ((boxes[:, 2:] > 0) & (boxes[:, :2] < [width, height]) & (high > low)).all(axis=1)
    found = np.unique(np.concatenate([low, high], axis=1)[inside], axis=0)
    low, high = found[:, :2], found[:, 2:]
    within = (low[:, None] >= low[None]).all(axis=2) & (high[:, None] <= high[None]).all(axis=2)
    return [Part(*found[row].tolist()) for row in np.flatnonzero(within.sum(axis=1) == 1)]


def parts_of_areas(areas: Sequence[Corners], keep: Sequence[Corners], width: int, height: int) -> list[Part]:
    """Return what polygons in fractions cover of a picture, and what lies outside of those to keep.

    Where the border of a polygon touches a pixel, that is hidden. A polygon that crosses itself hides what it
    encloses in any way, and keeps only what it encloses surely (the even-odd rule).
    """
    parts = []
    for area in areas:
        parts += _cut_out(_filled([area], width, height, holes=False), width, height)
    if keep:
        kept = _filled(keep, width, height, holes=True)
        # A kept polygon's border pixels are partly outside of it.
        kept = np.asarray(
            cv2.erode(kept, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=255),
            np.uint8,
        )
        parts += _cut_out(np.asarray(255 - kept, np.uint8), width, height)
    return parts


def hide(picture: Picture, parts: Sequence[Part], method: Method, cells: int) -> Picture:
    """Return the picture with some parts hidden; it shares no memory with the one that it came from.

    Args:
        picture: left as it is; returned itself when there is nothing to hide.
        parts: where.
        method: how.
        cells: into how many cells the longer side of each part is divided, at least 1.
    """
    if not parts:
        return picture
    if isinstance(picture, YuvPicture):
        planes = picture.planes()
        y, u, v = planes.y.copy(), planes.u.copy(), planes.v.copy()
        for part in parts:
            left, top, right, bottom = part.left, part.top, part.right, part.bottom
            cell = _cell(part, cells)
            luma = y[top:bottom, left:right]
            _hide_plane(luma, part.stencil, method, cell, _BLACK_Y)
            chroma = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
            for plane in (u[chroma], v[chroma]):
                _hide_plane(plane, part.half, method, cell / 2, _NO_COLOUR)
        return picture.with_planes(y, u, v)
    bgr = picture.bgr().copy()
    for part in parts:
        place = bgr[part.top : part.bottom, part.left : part.right]
        _hide_plane(place, part.stencil, method, _cell(part, cells), 0)
    return BgrPicture(bgr)


class Blank(Picture):
    """A black picture that takes no room until somebody looks at it."""

    @property
    def nbytes(self) -> int:
        """None."""
        return 0

    def luma(self) -> U8Array:
        """Return black, (height, width) uint8."""
        return np.zeros((self.height, self.width), np.uint8)

    def _convert(self, width: int, height: int) -> U8Array:
        return np.zeros((height, width, 3), np.uint8)


def whole(width: int, height: int) -> Part:
    """Return the whole of a picture."""
    return Part(0, 0, width, height)


def _cell(part: Part, cells: int) -> float:
    return max(part.right - part.left, part.bottom - part.top) / cells


def _hide_plane(plane: U8Array, stencil: U8Array | None, method: Method, cell: float, level: int) -> None:
    """Hide in place; `cell` is the side of a cell in px of this plane."""
    if method == "mask":
        if stencil is None:
            plane[:] = level
        else:
            cv2.copyTo(np.full_like(plane, level), stencil, plane)
        return
    height, width = plane.shape[:2]
    size = (max(1, round(width / cell)), max(1, round(height / cell)))
    step = max(1, min(int(cell) // _SAMPLES, width, height))
    sampled = np.ascontiguousarray(plane[step // 2 :: step, step // 2 :: step]) if step > 1 else plane
    coarse = cv2.LUT(cv2.resize(sampled, size, interpolation=cv2.INTER_AREA), _COARSE)
    way = cv2.INTER_NEAREST if method == "pixelate" else cv2.INTER_LINEAR
    hidden = np.asarray(cv2.resize(coarse, (width, height), interpolation=way), np.uint8)
    if stencil is None:
        plane[:] = hidden
    else:
        cv2.copyTo(hidden, stencil, plane)


def _filled(areas: Sequence[Corners], width: int, height: int, *, holes: bool) -> U8Array:
    """Return (height, width) uint8, 255 in the polygons and on their borders."""
    canvas: U8Array = np.zeros((height, width), np.uint8)
    for corners in areas:
        # Corners are places between pixels, OpenCV's are the middles of pixels.
        points = np.asarray(corners, np.float64) * [width, height] - 0.5
        fixed = np.rint(points * (1 << _FIXED_BITS)).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_8, _FIXED_BITS)
    if not holes:
        outer, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outer, -1, 255, cv2.FILLED)
    return canvas


def _cut_out(mask: U8Array, width: int, height: int) -> list[Part]:
    """Return the part of a mask that is set, none when nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = rows[0].item() // 2 * 2, columns[0].item() // 2 * 2
    bottom = min(height, (rows[-1].item() + 2) // 2 * 2)
    right = min(width, (columns[-1].item() + 2) // 2 * 2)
    cut = mask[top:bottom, left:right]
    if cut.all():
        return [Part(left, top, right, bottom)]
    odd = ((0, cut.shape[0] % 2), (0, cut.shape[1] % 2))
    padded = np.pad(cut, odd)
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2)
    half = np.asarray(blocks.max(axis=(1, 3)), np.uint8)
    return [Part(left, top, right, bottom, np.ascontiguousarray(cut), half)]

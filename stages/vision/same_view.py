"""Whether a picture still shows what a reference shows, in the same place, and with structure at all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from stages.vision.exposure import coarse
from stages.vision.sparse_flow import FlowView, corners

U8Array = npt.NDArray[np.uint8]
F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
C64Array = npt.NDArray[np.complex64]

CELLS = (16, 9)
"""Cells (across, down) in which structure is compared."""
LANDMARKS = 80
"""About how many corners of a reference are looked for."""

# Structure of a cell: how far it deviates from coarse brightness. What is below this is plain, or noise.
_PLAIN_LEVELS = 2.5
# A cell that has kept less than this share of its structure, under the cell's own light, has lost it.
_GONE_SHARE = 0.35
_DARKEST_LIGHT = 0.2
# Correlation from which on two cells show the same; and how often cells that do not reach it by chance is
# found by moving the reference against itself by these shares of its size.
_SAME = 0.5
_CHANCE_SHIFTS = ((0.23, 0.0), (0.0, 0.29), (0.37, 0.41), (-0.31, 0.17), (0.5, -0.37))
_MOST_CHANCE = 0.8
# A cell as dark as this tells nothing: black is 16 in most video.
_DARK_LEVELS = 30.0
# Gradients below this many levels per px are noise.
_WEAK_GRADIENT = 3.0
# Frequencies with less than this share of the strongest one are not raised to its height.
_FLOOR = 1e-3


class SceneView(FlowView):
    """One reduced picture as it is compared; what is made of it is kept.

    Args:
        luma: (H, W) uint8, 160 to 320 px wide, the same size as the reference's.
    """

    @cached_property
    def relief(self) -> F32Array:
        """(H, W) float32 levels: the picture without its coarse brightness, about 0."""
        return np.asarray(self.flat, np.float32) - np.float32(128.0)

    @cached_property
    def structure(self) -> F32Array:
        """(9, 16) float32 levels: deviation of each cell's relief."""
        return np.sqrt(_cells(self.relief * self.relief))

    @cached_property
    def brightness(self) -> F32Array:
        """(9, 16) float32 levels: mean of each cell."""
        return _cells(self.luma)

    @cached_property
    def backdrop(self) -> F32Array:
        """(N,) float32 coarse brightness, see `exposure.coarse`."""
        return coarse(self.luma)

    @cached_property
    def outlines(self) -> C64Array:
        """(H // 2, W // 2) complex64: spectrum of the orientations of edges, at half the size.

        Each pixel is a number of size 1 at twice the angle of its gradient, 0 where there is no edge: neither
        exposure nor a change of sign alters it.
        """
        half = cv2.resize(self.luma, (self.width // 2, self.height // 2), interpolation=cv2.INTER_AREA)
        gradient = cv2.Scharr(half, cv2.CV_32F, 1, 0, scale=1 / 16) + 1j * cv2.Scharr(
            half, cv2.CV_32F, 0, 1, scale=1 / 16
        )
        size = np.abs(gradient)
        unit = np.where(size >= _WEAK_GRADIENT, gradient / np.maximum(size, 1e-6), 0)
        return np.asarray(scipy.fft.fft2((unit * unit).astype(np.complex64)), np.complex64)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a picture agrees with its reference in place, cell by cell.

    Attributes:
        structured: cells that have structure in the reference: what can be compared.
        told: share of these that are bright enough in the picture to tell anything.
        same: share of these that show the same, be it with the opposite sign, beyond what chance would give:
            1 for all, about 0 for another view.
        gone: share of the cells that tell something that have lost their structure; 0 when there are none.
        backdrop: correlation of coarse brightness, -1..1: near 1 also for a picture out of focus.
        busy: cells of the picture that have structure, as a share of `structured`.
        light: mean brightness of the picture, as a share of the reference's.
    """

    structured: int
    told: float
    same: float
    gone: float
    backdrop: float
    busy: float
    light: float


class ReferenceView:
    """A reference, with what it takes to recognise it.

    Memory: about 1 MB for 320 x 180 px.

    Args:
        luma: (H, W) uint8, 160 to 320 px wide; best a median over time, without what passes.
    """

    def __init__(self, luma: U8Array) -> None:
        self.view = SceneView(luma)
        self.landmarks = corners(self.view, LANDMARKS)
        self.structured: BoolArray = self.view.structure >= _PLAIN_LEVELS
        self._chance = self._same_by_chance()

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) px."""
        return self.view.height, self.view.width

    def agreement(self, view: SceneView) -> Agreement:
        """Compare a picture of the same size in place; 0.3 ms at 240 x 135."""
        mine = self.view
        total = int(self.structured.sum())
        if total == 0:
            return Agreement(0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        same = self.structured & _alike(_cells(mine.relief * view.relief), mine.structure, view.structure)
        light = np.clip(view.brightness / np.maximum(mine.brightness, 1.0), _DARKEST_LIGHT, 1.0)
        told = self.structured & (view.brightness >= _DARK_LEVELS)
        gone = told & ~same & (view.structure < _GONE_SHARE * light * mine.structure)
        return Agreement(
            structured=total,
            told=float(told.sum()) / total,
            same=(float(same.sum()) / total - self._chance) / (1 - self._chance),
            gone=float(gone.sum()) / max(float(told.sum()), 1.0),
            backdrop=_correlation(mine.backdrop, view.backdrop),
            busy=float((view.structure >= _PLAIN_LEVELS).sum()) / total,
            light=float(view.brightness.mean()) / max(float(mine.brightness.mean()), 1.0),
        )

    def outline_shift(self, view: SceneView) -> tuple[float, float, float]:
        """Find where most edges have gone, by their orientations: 0.5 ms at 240 x 135.

        Orientation correlation (Fitch, Kadyrov, Christmas and Kittler, 2002) with the angles doubled, so that
        edges may change their sign (day and infra-red), and with all frequencies of the same weight (phase
        correlation, Kuglin and Hines, 1975), so that one direction of edges does not outweigh the others.
        It reaches half the picture and is blind to more than a little turn and zoom.

        Returns:
            (x, y) px of the motion, good to 1 px, and how far its peak stands out, in standard deviations:
            unrelated pictures reach 6, the same place 10 to 80.
        """
        cross = view.outlines * np.conj(self.view.outlines)
        size = np.abs(cross)
        floor = np.float32(max(_FLOOR * float(size.max()), 1e-9))
        white = np.asarray(cross / np.maximum(size, floor), np.complex64)
        sharp = np.asarray(scipy.fft.ifft2(white).real, np.float32)
        surface = np.asarray(cv2.blur(sharp, (3, 3), borderType=cv2.BORDER_REFLECT), np.float32)
        spread = float(surface.std())
        if spread <= 1e-9:
            return 0.0, 0.0, 0.0
        rows, columns = surface.shape
        y, x = divmod(int(surface.argmax()), columns)
        height = (float(surface[y, x]) - float(surface.mean())) / spread
        # The peak itself is where the middle of the weight is highest; between pixels, by its neighbours.
        around = np.arange(-2, 3)
        near = sharp[np.ix_((y + around) % rows, (x + around) % columns)]
        v, u = divmod(int(near[1:4, 1:4].argmax()), 3)
        right = (x - columns if x > columns // 2 else x) + u - 1 + _vertex(near[v + 1, u : u + 3])
        down = (y - rows if y > rows // 2 else y) + v - 1 + _vertex(near[v : v + 3, u + 1])
        return 2.0 * right, 2.0 * down, height

    def _same_by_chance(self) -> float:
        """Return the share of structured cells that are alike where the reference lies upon itself elsewhere.

        In a plain scene a cell holds a bend of brightness and little more, and many bends are alike.
        """
        relief, total = self.view.relief, int(self.structured.sum())
        if total == 0:
            return 0.0
        alike = 0
        for x, y in _CHANCE_SHIFTS:
            other = np.roll(relief, (round(y * self.view.height), round(x * self.view.width)), (0, 1))
            same = _alike(_cells(relief * other), self.view.structure, np.sqrt(_cells(other * other)))
            alike += int((same & self.structured).sum())
        return min(alike / (len(_CHANCE_SHIFTS) * total), _MOST_CHANCE)


def _vertex(values: F32Array) -> float:
    """Return where within -0.5..0.5 a parabola through three values has its top; the middle is highest."""
    before, middle, after = values.tolist()
    bend = before - 2 * middle + after
    return 0.0 if bend >= 0 else min(max((before - after) / (2 * bend), -0.5), 0.5)


def _alike(product: F32Array, first: F32Array, second: F32Array) -> BoolArray:
    return np.asarray(np.abs(product) >= _SAME * np.maximum(first * second, 1e-3), np.bool_)


def _cells(picture: npt.NDArray[np.uint8] | F32Array) -> F32Array:
    """Return the mean of each cell, (9, 16) float32."""
    values = np.asarray(picture, np.float32)
    return np.asarray(cv2.resize(values, CELLS, interpolation=cv2.INTER_AREA), np.float32)


def _correlation(first: F32Array, second: F32Array) -> float:
    a, b = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 1e-6 else 0.0

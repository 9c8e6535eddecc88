"""A decoded picture that is converted only when, and only as far as, somebody asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]
Matrix = Literal["bt601", "bt709"]

# Luma weights (Kr, Kb) of ITU-R BT.601-7 section 2.5.1 and BT.709-6 section 3.2.
_LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A picture as the decoder left it, for who converts it elsewhere (on a GPU).

    Attributes:
        y: (H, W) uint8 luma, read-only.
        u: (ceil(H/2), ceil(W/2)) uint8 blue difference, read-only.
        v: the same shape, red difference, read-only.
        to_bgr: (3, 4) float32, maps (Y, U, V, 1) to (B, G, R), levels 0..255.
    """

    y: U8Array
    u: U8Array
    v: U8Array
    to_bgr: npt.NDArray[np.float32]


class Picture(ABC):
    """One picture of `width` x `height` pixels; every array handed out is shared and read-only.

    Conversions are made at most once and kept. A picture is used by one thread at a time (it travels with
    its frame), so the cache needs no lock. Who wants to paint takes a copy.
    """

    width: int
    height: int

    def __init__(self, width: int, height: int) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"a picture needs at least 1 x 1 pixels, got {width} x {height}")
        self.width = width
        self.height = height
        self._bgr: U8Array | None = None
        self._fitted: tuple[tuple[int, int], U8Array] | None = None

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes the decoded picture holds, without conversions made later."""

    @abstractmethod
    def luma(self) -> U8Array:
        """Return the luma plane, (height, width) uint8, without a copy where the decoder has one."""

    def planes(self) -> Planes | None:
        """Return the decoder's planes, without a copy; None for what came as BGR."""
        return None

    def part(self, left: int, top: int, right: int, bottom: int) -> Picture:
        """Return a part as a picture of its own, without a copy.

        Args:
            left: even px, at least 0.
            top: even px, at least 0.
            right: px, after `left`, at most the width.
            bottom: px, after `top`, at most the height.

        Raises:
            ValueError: if it does not lie in the picture, or begins at an odd px (chroma has half the size).
        """
        self._check_part(left, top, right, bottom)
        return BgrPicture(self.bgr()[top:bottom, left:right])

    def _check_part(self, left: int, top: int, right: int, bottom: int) -> None:
        inside = 0 <= left < right <= self.width and 0 <= top < bottom <= self.height
        if not inside or left % 2 or top % 2:
            raise ValueError(
                f"({left}, {top})-({right}, {bottom}) is no part, beginning at an even px, of a picture of "
                f"{self.width} x {self.height} px"
            )

    @abstractmethod
    def _convert(self, width: int, height: int) -> U8Array:
        """Make a new (height, width, 3) BGR array of the whole picture, resized where needed."""

    def bgr(self) -> U8Array:
        """Return the picture as (height, width, 3) uint8 BGR; made at the first call."""
        if self._bgr is None:
            self._bgr = _frozen(self._convert(self.width, self.height))
        return self._bgr

    def fit(self, width: int, height: int) -> U8Array:
        """Return the whole picture stretched to (height, width, 3) uint8 BGR, straight from the planes.

        Resizing the planes before converting them costs a third of converting first. The latest size is
        kept. Raises ValueError for a size below 1 x 1.
        """
        if width < 1 or height < 1:
            raise ValueError(f"cannot fit a picture to {width} x {height} pixels")
        if (width, height) == (self.width, self.height):
            return self.bgr()
        if self._fitted is None or self._fitted[0] != (width, height):
            self._fitted = ((width, height), _frozen(self._convert(width, height)))
        return self._fitted[1]


class YuvPicture(Picture):
    """A picture as the decoder left it: planar YUV with 4:2:0 chroma.

    Args:
        y: (H, W) uint8 luma; may be a strided view of the decoder's buffer.
        u: (ceil(H/2), ceil(W/2)) uint8 blue difference.
        v: the same shape, red difference.
        matrix: which recommendation's luma weights the stream uses.
        full_range: True for 0..255 ("JPEG") levels, False for 16..235.

    Raises:
        ValueError: if the chroma planes do not belong to the luma plane.
    """

    def __init__(
        self, y: U8Array, u: U8Array, v: U8Array, *, matrix: Matrix = "bt601", full_range: bool = False
    ) -> None:
        super().__init__(y.shape[1], y.shape[0])
        wanted = ((self.height + 1) // 2, (self.width + 1) // 2)
        if u.shape != wanted or v.shape != wanted:
            raise ValueError(
                f"a {self.width} x {self.height} luma plane needs chroma planes of shape {wanted}, "
                f"got {u.shape} and {v.shape}"
            )
        self._planes = (_frozen(y), _frozen(u), _frozen(v))
        self._matrix: Matrix = matrix
        self._full_range = full_range

    @property
    def nbytes(self) -> int:
        """Bytes of the three planes."""
        return self.width * self.height + 2 * ((self.width + 1) // 2) * ((self.height + 1) // 2)

    def luma(self) -> U8Array:
        """Return the decoder's luma plane itself, (height, width) uint8, in the stream's own range."""
        return self._yuv()[0]

    def planes(self) -> Planes:
        """Return the decoder's planes, without a copy."""
        return Planes(*self._yuv(), _yuv_to_bgr(self._matrix, self._full_range))

    def part(self, left: int, top: int, right: int, bottom: int) -> YuvPicture:
        """Return a part as a picture of its own, see `Picture.part`."""
        self._check_part(left, top, right, bottom)
        y, u, v = self._yuv()
        chroma = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        return YuvPicture(
            y[top:bottom, left:right],
            u[chroma],
            v[chroma],
            matrix=self._matrix,
            full_range=self._full_range,
        )

    def with_planes(self, y: U8Array, u: U8Array, v: U8Array) -> YuvPicture:
        """Return a picture of other planes, of the same shapes, whose colours are coded like this one's."""
        return YuvPicture(y, u, v, matrix=self._matrix, full_range=self._full_range)

    def _yuv(self) -> tuple[U8Array, U8Array, U8Array]:
        return self._planes

    def _convert(self, width: int, height: int) -> U8Array:
        y, u, v = self._yuv()
        even = width % 2 == 0 and height % 2 == 0
        if (width, height) != (self.width, self.height):
            y = _resized(y, width, height)
        if even and self._matrix == "bt601" and not self._full_range:
            u, v = _resized(u, width // 2, height // 2), _resized(v, width // 2, height // 2)
            packed = np.concatenate([y.reshape(-1), u.reshape(-1), v.reshape(-1)])
            return _u8(cv2.cvtColor(packed.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420))
        planes = [y, _resized(u, width, height), _resized(v, width, height)]
        return _u8(cv2.transform(cv2.merge(planes), _yuv_to_bgr(self._matrix, self._full_range)))


class BgrPicture(Picture):
    """A picture that arrived as (H, W, 3) uint8 BGR, e.g. from an image file.

    Raises:
        ValueError: if the array has another shape or dtype.
    """

    def __init__(self, bgr: U8Array) -> None:
        if bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.dtype != np.uint8:
            raise ValueError(f"a BGR picture is (H, W, 3) uint8, got {bgr.shape} {bgr.dtype}")
        super().__init__(bgr.shape[1], bgr.shape[0])
        self._bgr = _frozen(bgr)
        self._luma: U8Array | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the BGR array."""
        return self.bgr().nbytes

    def luma(self) -> U8Array:
        """Return full-range BT.601 luma, (height, width) uint8; made at the first call."""
        if self._luma is None:
            self._luma = _frozen(_u8(cv2.cvtColor(self.bgr(), cv2.COLOR_BGR2GRAY)))
        return self._luma

    def _convert(self, width: int, height: int) -> U8Array:
        return _resized(self.bgr(), width, height)


def _u8(array: object) -> U8Array:
    return np.asarray(array, dtype=np.uint8)


def _frozen(array: U8Array) -> U8Array:
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _resized(plane: U8Array, width: int, height: int) -> U8Array:
    if plane.shape[:2] == (height, width):
        return plane
    step, rest = divmod(plane.shape[0], height)
    if plane.ndim == 2 and step % 2 and not rest and plane.shape[1] == step * width:
        # The middle of each block is what interpolation gives there, at a quarter of its price.
        return np.ascontiguousarray(plane[step // 2 :: step, step // 2 :: step])
    return _u8(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR))


@cache
def _yuv_to_bgr(matrix: Matrix, full_range: bool) -> npt.NDArray[np.float32]:
    """Return the (3, 4) affine map from (Y, U, V, 1) levels to (B, G, R) of BT.601 or BT.709."""
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1.0 - kr - kb
    y_scale, c_scale, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    blue_u, red_v = 2 * (1 - kb) * c_scale, 2 * (1 - kr) * c_scale
    rows = np.array(
        [[y_scale, blue_u, 0.0], [y_scale, -blue_u * kb / kg, -red_v * kr / kg], [y_scale, 0.0, red_v]]
    )
    offset = rows @ np.array([-black, -128.0, -128.0])
    found = np.column_stack([rows, offset]).astype(np.float32)
    found.flags.writeable = False  # it is handed out, and there is one for all
    return found

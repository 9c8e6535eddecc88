"""Turns stored pictures the way they are meant to be seen, as the container's display matrix says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame

from pipeline.picture import U8Array


@dataclass(frozen=True, slots=True)
class Upright:
    """A quarter turn or mirroring: transpose first, then flip.

    Attributes:
        transpose: swap rows and columns.
        flip_x: then mirror left and right.
        flip_y: then mirror top and bottom.
        turn_deg: the clockwise turn that this amounts to (after mirroring left and right, if it mirrors).
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False
    turn_deg: int = 0

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """Read the display matrix of a decoded frame; angles between quarter turns go to the nearest."""
        return cls.from_matrix(*_display_matrix(frame))

    @classmethod
    def turned(cls, frame: VideoFrame) -> Self:
        """Read only the turn of a decoded frame, not whether it is mirrored.

        For sources that connect again and again: PyAV's `side_data`, which has the whole matrix, holds on to
        its frame until the next full garbage collection.
        """
        return cls.from_matrix(*_turn(frame))

    @classmethod
    def from_matrix(cls, a: float, b: float, c: float, d: float) -> Self:
        """Make it from ISO/IEC 14496-12's matrix (6.2.2): (x, y) goes to (a x + c y, b x + d y), y down."""
        mirrors = a * d - b * c < 0
        turn_deg = math.degrees(math.atan2(-b, -a) if mirrors else math.atan2(b, a))
        quarters = round(turn_deg / 90) % 4
        if abs(b) > abs(a):
            return cls(True, c < 0, b < 0, quarters * 90)
        return cls(False, a < 0, d < 0, quarters * 90)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of a stored picture once it is upright."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, image: U8Array) -> U8Array:
        """Return a plane or picture, (H, W) or (H, W, 3), upright; the same array where nothing is to do."""
        if self.transpose:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.flip_x or self.flip_y:
            code = -1 if self.flip_x and self.flip_y else int(self.flip_x)
            image = np.asarray(cv2.flip(image, code), np.uint8)
        return image


def _turn(frame: VideoFrame) -> tuple[float, float, float, float]:
    turn = math.radians(-frame.rotation)
    return math.cos(turn), math.sin(turn), -math.sin(turn), math.cos(turn)


def _display_matrix(frame: VideoFrame) -> tuple[float, float, float, float]:
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except (
        ValueError
    ):  # PyAV gives up on all side data at a kind that it cannot name (EXIF): the angle is left
        return _turn(frame)
    if not isinstance(matrix, SideData):
        return 1.0, 0.0, 0.0, 1.0
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    return a, b, c, d

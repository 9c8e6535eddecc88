"""The picture that stands in for a source which is gone, so that players stay connected."""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.moment import iso_utc
from pipeline.picture import U8Array

_GROUND = (40, 36, 32)
_INK = (225, 225, 225)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WIDEST = 0.86
"""Of the picture's width, what a line of text may take."""


def stub_picture(width: int, height: int, stream: str, since_ns: int | None) -> U8Array:
    """Return (height, width, 3) uint8 BGR that says which stream has no signal, and since when.

    Args:
        width: px.
        height: px.
        stream: its name.
        since_ns: UTC of its last picture; None when there was none.
    """
    canvas = np.full((height, width, 3), _GROUND, np.uint8)
    since = "no signal yet" if since_ns is None else f"since {iso_utc(since_ns)[:19].replace('T', ' ')} UTC"
    # OpenCV's letters are ASCII.
    lines = [("no signal" if since_ns is not None else "", 0.10), (since, 0.06), (ascii(stream)[1:-1], 0.05)]
    middle = 0.40
    for text, part in lines:
        if text:
            _write(canvas, text, round(height * middle), height * part)
        middle += 0.14
    return canvas


def _write(canvas: U8Array, text: str, baseline: int, high: float) -> None:
    width = canvas.shape[1]
    (wide, tall), _ = cv2.getTextSize(text, _FONT, 1.0, 2)
    scale = min(high / tall, _WIDEST * width / wide)
    left = round((width - wide * scale) / 2)
    cv2.putText(canvas, text, (left, baseline), _FONT, scale, _INK, max(1, round(2 * scale)), cv2.LINE_AA)

"""A drawn sequence with pictures: people of different colours cross behind a pillar, the camera pans."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from tests.stages.track.evaluate.folders import Row, info, write_sequence

FRAMES = 26
_COLOURS = ((40, 40, 200), (200, 60, 40), (60, 180, 60))
_PILLAR = 10, 15


def street(folder: Path, *, width: int = 320, pan_px: float = 0.0, frames: int = FRAMES) -> MotSequence:
    """Draw it and read it again.

    Args:
        folder: to write to.
        width: of the pictures, px.
        pan_px: how far the whole picture moves from frame to frame.
        frames: how many.
    """
    rng = np.random.default_rng(5)
    ground = cv2.resize(rng.integers(60, 190, (25, 80, 3), np.uint8), (2 * width, 200))
    truth: list[Row] = []
    detections: list[Row] = []
    (folder / "img1").mkdir(parents=True)
    for frame in range(1, frames + 1):
        shift = round(pan_px * frame)
        bgr = np.ascontiguousarray(ground[:, shift : shift + width])
        for ident, colour in enumerate(_COLOURS):
            speed = (-1) ** ident * (4.0 + ident)
            x = width / 2 + (frame - frames / 2) * speed - shift
            box = (x, 40.0 + 10 * ident, 30.0, 90.0)
            truth.append((frame, ident + 1, *box, 1, -1, -1, -1))
            left, top = round(box[0]), round(box[1])
            bgr[top : top + 90, max(left, 0) : max(left + 30, 0)] = colour
            if not _PILLAR[0] <= frame <= _PILLAR[1]:
                noisy = np.array(box) + rng.normal(0, 1, 4)
                detections.append((frame, -1, *noisy, 0.7 + 0.1 * ident, -1, -1, -1))
        cv2.imwrite(str(folder / f"img1/{frame:06d}.bmp"), bgr)
    write_sequence(folder, truth, detections, info(frames))
    return read_sequences([folder])[0]

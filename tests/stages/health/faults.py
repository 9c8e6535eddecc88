"""Footage of a camera that stands, and what can happen to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.frame import Frame
from pipeline.picture import YuvPicture
from tests.stages.detect.footage import frame

Luma = np.ndarray
Fault = Callable[[Luma, int], Luma]
"""What a picture looks like with the fault; the number is that of the picture since the fault began."""


def lumas(path: Path, every: int) -> list[Luma]:
    """Every k-th luma plane of a video."""
    with av.open(str(path)) as container:
        return [
            np.array(decoded.to_ndarray(format="yuv420p")[: decoded.height])
            for index, decoded in enumerate(container.decode(video=0))
            if index % every == 0
        ]


def looped(
    clip: Sequence[Luma], seconds: float, rate_hz: float = 1.0, start_s: float = 0.0
) -> Iterator[Frame]:
    """Play a clip over and over, a picture each 1 / `rate_hz` seconds, each with its own noise."""
    for index in range(round(seconds * rate_hz)):
        yield picture(noisy(clip[index % len(clip)], index), start_s + index / rate_hz, index)


def broken(
    clip: Sequence[Luma], fault: Fault, begin_s: float, end_s: float, seconds: float
) -> Iterator[Frame]:
    """Play a clip over and over at a picture a second, with a fault between two times."""
    for index in range(round(seconds)):
        luma = noisy(clip[index % len(clip)], index)
        if begin_s <= index < end_s:
            luma = fault(luma, index - round(begin_s))
        yield picture(luma, float(index), index)


def noisy(luma: Luma, seed: int) -> Luma:
    """The sensor's noise: a level or two."""
    noise = np.random.default_rng(seed).integers(-2, 3, luma.shape[1], np.int8)
    return np.clip(luma.astype(np.int16) + noise, 0, 255).astype(np.uint8)


def picture(luma: Luma, pts_s: float, index: int) -> Frame:
    """A frame of this luma, without colour."""
    height, width = luma.shape
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    return frame(YuvPicture(luma, chroma, chroma), pts_s, index)


def warped(matrix: np.ndarray) -> Fault:
    """The camera shows another part of the place, of which nothing is known beyond the picture's edge."""

    def fault(luma: Luma, _: int) -> Luma:
        size = luma.shape[1], luma.shape[0]
        return cv2.warpAffine(luma, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    return fault


def panned(right: float, down: float = 0.0) -> Fault:
    """Everything lies further right and down, by shares of the picture's width and height."""
    return lambda luma, index: warped(
        np.array([[1, 0, right * luma.shape[1]], [0, 1, down * luma.shape[0]]], float)
    )(luma, index)


def turned(degrees: float, zoom: float = 1.0) -> Fault:
    """Turned clockwise about the middle."""

    def fault(luma: Luma, index: int) -> Luma:
        middle = luma.shape[1] / 2, luma.shape[0] / 2
        return warped(cv2.getRotationMatrix2D(middle, -degrees, zoom))(luma, index)

    return fault


def blurred(sigma_px: float) -> Fault:
    """Out of focus; the sensor's noise is not."""
    return lambda luma, index: noisy(cv2.GaussianBlur(luma, (0, 0), sigma_px), index)


def clothed(share: float = 1.0) -> Fault:
    """A cloth hangs before the left part: folds, no detail, and the sensor's noise."""

    def fault(luma: Luma, index: int) -> Luma:
        height, width = luma.shape
        covered = round(share * width)
        rng = np.random.default_rng(index)
        folds = 90 + 15 * np.sin(np.arange(covered) * 9 / width) + rng.normal(0, 2, (height, covered))
        result = luma.copy()
        result[:, :covered] = np.clip(folds, 0, 255).astype(np.uint8)
        return result

    return fault


def sprayed(luma: Luma, index: int) -> Luma:
    """Paint on the glass: light comes through, nothing else."""
    rng = np.random.default_rng(index)
    height, width = luma.shape
    light = cv2.resize(cv2.resize(luma, (4, 3), interpolation=cv2.INTER_AREA), (width, height)).astype(float)
    return np.clip(0.2 * light + 60 + rng.normal(0, 2, luma.shape), 0, 255).astype(np.uint8)


def unlit(luma: Luma, index: int) -> Luma:
    """Night without any light, and the sensor's noise."""
    rng = np.random.default_rng(index)
    return np.clip(16 + 0.04 * luma.astype(float) + rng.normal(0, 1.5, luma.shape), 0, 255).astype(np.uint8)


def infrared(luma: Luma, index: int) -> Luma:
    """Night under the camera's own lamp: a spot, noise, and paint that looks the other way round."""
    height, width = luma.shape
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-(((x - width / 2) / (0.45 * width)) ** 2) - (((y - 0.6 * height) / (0.45 * height)) ** 2))
    rng = np.random.default_rng(index)
    lit = 20 + (235 - luma.astype(float)) * spot * 0.8 + rng.normal(0, 3, luma.shape)
    return np.clip(lit, 0, 255).astype(np.uint8)


def rainy(luma: Luma, index: int) -> Luma:
    """Streaks and grey air."""
    rng = np.random.default_rng(index)
    height, width = luma.shape
    result = np.clip(0.75 * luma.astype(float) + 35, 0, 255).astype(np.uint8)
    for x, y in rng.uniform(0, 1, (300, 2)):
        start = (round(x * width), round(y * height))
        cv2.line(result, start, (start[0] + 2, start[1] + height // 20), 190, 1, cv2.LINE_AA)
    return result


def dimmed(gain: float) -> Fault:
    """The exposure jumps."""
    return lambda luma, _: np.clip(luma.astype(float) * gain, 0, 255).astype(np.uint8)


class Stuck:
    """The same picture again and again."""

    def __init__(self) -> None:
        self._luma: Luma | None = None

    def __call__(self, luma: Luma, index: int) -> Luma:
        if index == 0 or self._luma is None:
            self._luma = luma
        return self._luma


def stamped(fault: Fault) -> Fault:
    """The camera writes its name and the time of day over whatever it sees."""

    def both(luma: Luma, index: int) -> Luma:
        result = fault(luma, index).copy()
        height, width = luma.shape
        for text, place in (
            ("CAMERA 01 GATE", (0.02, 0.95)),
            (f"2026-03-01 08:{index // 60:02d}:{index % 60:02d}", (0.45, 0.07)),
        ):
            at = round(place[0] * width), round(place[1] * height)
            cv2.putText(result, text, at, cv2.FONT_HERSHEY_SIMPLEX, width / 900, 235, 2, cv2.LINE_AA)
        return result

    return both


def sound(luma: Luma, _: int) -> Luma:
    """Nothing is wrong."""
    return luma

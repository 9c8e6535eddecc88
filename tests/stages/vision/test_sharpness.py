from math import erf, sqrt

import cv2
import numpy as np
import pytest

from stages.vision.sharpness import sharpness
from tests.shared_data import shared
from tests.stages.health import faults


def edges(contrast: float = 150, noise: float = 1.0) -> np.ndarray:
    """Rows with a step every 40 px."""
    row = 40 + contrast * (np.arange(640) // 40 % 2)
    rows = np.tile(row, (20, 1)) + np.random.default_rng(1).normal(0, noise, (20, 640))
    return np.clip(rows, 0, 255)


def blurred(rows: np.ndarray, sigma_px: float) -> np.ndarray:
    sharp = rows if sigma_px == 0 else cv2.GaussianBlur(rows, (0, 0), sigmaX=sigma_px, sigmaY=0.01)
    return np.rint(sharp).astype(np.uint8)


@pytest.mark.parametrize("sigma_px", [1.0, 1.5, 2.0, 3.0])
def test_it_is_the_slope_of_a_blurred_step(sigma_px: float) -> None:
    # Over 2 px about its middle a step blurred by a Gaussian rises by erf(1 / (sigma * sqrt(2))); the
    # sharpest tenth begins a pixel beside it.
    share = sharpness(blurred(edges(noise=0.0), sigma_px))
    assert share == pytest.approx(erf(1 / (sigma_px * sqrt(2))), abs=0.09)


def test_neither_contrast_nor_noise_changes_it() -> None:
    for sigma_px in (1.0, 2.0):
        values = [sharpness(blurred(edges(c, n), sigma_px)) for c in (60, 100, 200) for n in (0.0, 1.5)]
        assert max(values) - min(values) < 0.1


def test_without_strong_edges_there_is_no_answer() -> None:
    assert sharpness(np.full((20, 640), 90, np.uint8)) is None
    assert sharpness(blurred(edges(15), 0)) is None
    assert sharpness(np.zeros((20, 10), np.uint8)) is None


def test_real_pictures_lose_it_with_focus_and_keep_it_in_other_light() -> None:
    for path in ("video/traffic_a.mp4", "mot15/TUD-Stadtmitte/TUD-Stadtmitte.mp4"):
        clip = faults.lumas(shared(path), 40)
        normal = np.median([sharpness(luma[::10]) for luma in clip])
        for luma in clip:
            assert sharpness(luma[::10]) > 0.85 * normal
            assert sharpness(faults.dimmed(0.5)(luma, 0)[::10]) > 0.7 * normal
            assert sharpness(cv2.GaussianBlur(luma, (0, 0), 3)[::10]) < 0.65 * normal

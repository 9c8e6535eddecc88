"""Mean shift and CamShift on drawn back-projections."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.follow.shift import cam_shift, fullest, mean_shift
from tests.stages.follow.scenes import U8Array


def blob(x: float, y: float, width: float, height: float, size: tuple[int, int] = (200, 240)) -> U8Array:
    weights = np.zeros(size, np.uint8)
    cv2.ellipse(weights, ((x, y), (width, height), 0.0), 255, -1)
    return weights


@pytest.mark.parametrize(
    ("where", "begin"),
    [
        ("there already", (80, 60, 120, 120)),
        ("left and above", (60, 40, 100, 100)),
        ("a corner of it", (108, 95, 148, 155)),
    ],
)
def test_mean_shift_comes_to_rest_on_the_colour(where: str, begin: tuple[int, ...]) -> None:
    found = mean_shift(blob(100, 90, 40, 60), np.array(begin, np.float64))
    assert found is not None, where
    assert found.xyxy == pytest.approx([80, 60, 120, 120], abs=1.2), where


@pytest.mark.parametrize(
    ("what", "begin", "ellipse"),
    [
        ("the same size", (80, 60, 120, 120), (100, 90, 40, 60)),
        ("smaller now", (80, 60, 120, 120), (103, 92, 28, 40)),
        ("larger now", (80, 60, 120, 120), (98, 88, 52, 76)),
        ("moved", (80, 60, 120, 120), (115, 100, 40, 60)),
    ],
)
def test_cam_shift_takes_on_the_size_of_an_ellipse(
    what: str, begin: tuple[int, ...], ellipse: tuple[int, ...]
) -> None:
    x, y, width, height = ellipse
    weights = blob(*ellipse)
    window = np.array(begin, np.float64)
    for _ in range(3):
        found = cam_shift(weights, window)
        assert found is not None, what
        window = found.xyxy
    true = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    assert window == pytest.approx(true, abs=1.5), what


def test_what_leaves_the_picture_stays_in_the_middle_of_the_mean_shift_window() -> None:
    """Half of it is out: the window hangs over the edge, centred on what is left."""
    found = mean_shift(blob(0, 90, 40, 60), np.array([0.0, 60.0, 40.0, 120.0]))
    assert found is not None
    assert found.xyxy[0] < -8


@pytest.mark.parametrize("shift", [mean_shift, cam_shift])
@pytest.mark.parametrize("begin", [(150, 150, 190, 190), (-90, -90, -50, -50), (300, 20, 340, 60)])
def test_without_colour_there_is_nothing(shift: type[mean_shift], begin: tuple[int, ...]) -> None:  # type: ignore[valid-type]
    assert shift(blob(60, 60, 40, 40), np.array(begin, np.float64)) is None


@given(
    x=st.floats(-30, 270),
    y=st.floats(-30, 230),
    width=st.floats(3, 120),
    height=st.floats(3, 120),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_windows_are_finite_and_have_a_size(
    x: float, y: float, width: float, height: float, seed: int
) -> None:
    weights = np.random.default_rng(seed).integers(0, 256, (200, 240)).astype(np.uint8)
    weights[weights < 200] = 0
    box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    for shift in (mean_shift, cam_shift):
        found = shift(weights, box)
        if found is not None:
            assert np.isfinite(found.xyxy).all()
            assert (found.xyxy[2:] > found.xyxy[:2]).all()
            assert 0 <= found.angle_deg < 180


def test_the_fullest_places_come_in_order_and_apart() -> None:
    weights = blob(50, 50, 20, 20) | (blob(180, 140, 40, 40))
    places = fullest(weights, np.array([40.0, 40.0]))
    centres = [((box[:2] + box[2:]) / 2).tolist() for box in places]
    assert centres[0] == pytest.approx([180, 140], abs=2)
    assert centres[1] == pytest.approx([50, 50], abs=11)
    assert len(places) == 2
    assert fullest(np.zeros((50, 50), np.uint8), np.array([8.0, 8.0])) == []

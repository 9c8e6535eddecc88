"""Cutting boxes out of pictures, and the numbers that networks get."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.appearance.patches import Scaling, corners_within, covered_share, cut


@pytest.mark.parametrize(
    ("what", "box", "corners"),
    [
        ("whole pixels", (2, 3, 6, 9), (2, 3, 6, 9)),
        ("any part of a pixel counts", (2.4, 3.6, 5.1, 8.2), (2, 3, 6, 9)),
        ("cut off", (-5, -5, 4, 30), (0, 0, 4, 20)),
        ("beside the picture", (-9, 3, -2, 9), None),
        ("without area", (4, 4, 4, 9), None),
        ("not finite", (np.nan, 0, 4, 4), None),
    ],
)
def test_corners(what: str, box: tuple[float, ...], corners: tuple[int, ...] | None) -> None:
    inside, found = corners_within(10, 20, np.array([box], np.float32))
    assert inside.tolist() == ([] if corners is None else [0]), what
    assert found.tolist() == ([] if corners is None else [list(corners)]), what


def test_cut_takes_the_right_part() -> None:
    bgr = np.zeros((40, 40, 3), np.uint8)
    bgr[10:20, 4:9] = (10, 20, 30)
    out = np.empty((2, 8, 4, 3), np.uint8)
    cut(bgr, np.array([[4, 10, 9, 20], [20, 20, 21, 21]]), out)
    assert (out[0] == (10, 20, 30)).all()
    assert (out[1] == 0).all()


@pytest.mark.parametrize("rgb", [True, False])
def test_planes(rgb: bool) -> None:
    scaling = Scaling((0.1, 0.2, 0.3), (0.5, 0.25, 2.0), rgb)
    bgr = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), np.uint8)
    out = np.full((6, 3, 5, 4), 7, np.float32)
    scaling.planes(bgr, out)
    channels = bgr[..., ::-1] if rgb else bgr
    wanted = (channels / 255 - scaling.mean) / scaling.std
    np.testing.assert_allclose(out[:3], wanted.transpose(0, 3, 1, 2), atol=1e-5)
    assert (out[3:] == 7).all()


def test_raw_planes_are_the_pixels() -> None:
    bgr = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    out = np.empty((1, 3, 2, 4), np.float32)
    Scaling.raw().planes(bgr, out)
    np.testing.assert_allclose(out[0], bgr[0, ..., ::-1].transpose(2, 0, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0, 0, 0), (1, 0, 1)), ((0, np.nan, 0), (1, 1, 1)), ((0, 0), (1, 1)), ((0,) * 3, (-1,) * 3)],
)
def test_impossible_scalings_are_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="mean and std"):
        Scaling(mean, std)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "boxes", "shares"),
    [
        ("alone", [(0, 0, 10, 10)], [0]),
        ("apart", [(0, 0, 10, 10), (20, 0, 30, 10)], [0, 0]),
        ("a small one before a large one", [(0, 0, 10, 10), (0, 0, 5, 10)], [0.5, 1]),
        ("the one that covers most counts", [(0, 0, 10, 10), (8, 0, 18, 10), (0, 0, 3, 10)], [0.3, 0.2, 1]),
        ("doubles", [(0, 0, 4, 4), (0, 0, 4, 4)], [1, 1]),
        ("no boxes", [], []),
    ],
)
def test_covered_share(what: str, boxes: list[tuple[float, ...]], shares: list[float]) -> None:
    found = covered_share(np.array(boxes, np.float32).reshape(-1, 4))
    assert found == pytest.approx(shares), what

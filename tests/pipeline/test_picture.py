"""Pictures: lazy, cached, never mutated, and of the right colour."""

from __future__ import annotations

import re
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.picture import BgrPicture, Matrix, Picture, U8Array, YuvPicture

WEIGHTS: dict[Matrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def yuv_of(bgr: tuple[int, int, int], matrix: Matrix, full_range: bool) -> tuple[int, int, int]:
    """BT.601-7 section 2.5 / BT.709-6 section 3: R'G'B' to digital Y'CbCr."""
    kr, kb = WEIGHTS[matrix]
    b, g, r = (value / 255 for value in bgr)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    if full_range:
        return round(255 * y), round(128 + 255 * cb), round(128 + 255 * cr)
    return round(16 + 219 * y), round(128 + 224 * cb), round(128 + 224 * cr)


def flat(
    bgr: tuple[int, int, int], matrix: Matrix, full_range: bool, width: int = 16, height: int = 12
) -> YuvPicture:
    y, u, v = yuv_of(bgr, matrix, full_range)
    half = ((height + 1) // 2, (width + 1) // 2)
    return YuvPicture(
        np.full((height, width), y, np.uint8),
        np.full(half, u, np.uint8),
        np.full(half, v, np.uint8),
        matrix=matrix,
        full_range=full_range,
    )


@pytest.mark.parametrize("size", [(16, 12), (15, 11), (2, 2), (1, 1), (640, 360)])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("bgr", [(0, 0, 0), (255, 255, 255), (40, 60, 200), (200, 120, 30), (30, 190, 90)])
def test_colours_survive_the_way_through_yuv(
    bgr: tuple[int, int, int], matrix: Matrix, full_range: bool, size: tuple[int, int]
) -> None:
    picture = flat(bgr, matrix, full_range, *size)
    assert picture.bgr().shape == (size[1], size[0], 3)
    assert np.abs(picture.bgr().astype(int) - np.array(bgr)).max() <= 3
    assert np.abs(picture.fit(10, 6).astype(int) - np.array(bgr)).max() <= 3


def gradient(width: int, height: int) -> YuvPicture:
    x = np.linspace(20, 230, width).astype(np.uint8)
    half = ((height + 1) // 2, (width + 1) // 2)
    return YuvPicture(np.tile(x, (height, 1)), np.full(half, 128, np.uint8), np.full(half, 128, np.uint8))


PICTURES = [gradient(64, 48), BgrPicture(gradient(64, 48).bgr().copy())]


@pytest.mark.parametrize("picture", PICTURES)
def test_conversions_are_made_once_and_read_only(picture: Picture) -> None:
    assert picture.bgr() is picture.bgr()
    assert picture.fit(32, 24) is picture.fit(32, 24)
    assert picture.luma() is picture.luma()
    for array in (picture.bgr(), picture.fit(32, 24), picture.luma()):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@pytest.mark.parametrize("picture", PICTURES)
def test_fit_shows_the_same_as_resizing_the_converted_picture(picture: Picture) -> None:
    fitted = picture.fit(32, 24).astype(int)
    assert fitted.shape == (24, 32, 3)
    assert np.abs(fitted - picture.bgr()[::2, ::2].astype(int)).max() <= 6
    assert picture.fit(64, 48) is picture.bgr()


def test_luma_is_the_decoders_own_plane() -> None:
    plane = np.arange(48, dtype=np.uint8).reshape(6, 8)
    chroma = np.full((3, 4), 128, np.uint8)
    picture = YuvPicture(plane, chroma, chroma)
    assert np.shares_memory(picture.luma(), plane)
    assert picture.nbytes == 48 + 12 + 12


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_every_size_fits_every_size(width: int, height: int, to_width: int, to_height: int) -> None:
    assert gradient(width, height).fit(to_width, to_height).shape == (to_height, to_width, 3)


def plane(height: int, width: int) -> U8Array:
    return np.zeros((height, width), np.uint8)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: YuvPicture(plane(6, 8), plane(6, 8), plane(3, 4)), "chroma planes"),
        (lambda: YuvPicture(plane(0, 8), plane(0, 4), plane(0, 4)), "at least 1 x 1"),
        (lambda: BgrPicture(np.zeros((6, 8), np.uint8)), "(H, W, 3)"),
        (lambda: BgrPicture(np.zeros((6, 8, 3), np.float32)), "float32"),
        (lambda: BgrPicture(np.zeros((0, 8, 3), np.uint8)), "at least 1 x 1"),
        (lambda: gradient(8, 6).fit(0, 4), "0 x 4"),
    ],
)
def test_bad_arrays_are_refused_at_the_door(make: object, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("size", "step"), [((1920, 1080), 3), ((640, 360), 5), ((96, 54), 1), ((84, 54), 3)])
def test_a_third_of_a_plane_is_what_interpolation_gives(size: tuple[int, int], step: int) -> None:
    width, height = size
    random = np.random.default_rng(1)
    y = random.integers(16, 236, (height // step * step, width // step * step), np.uint8)
    chroma = np.full((2, (y.shape[0] + 1) // 2, (y.shape[1] + 1) // 2), 128, np.uint8)
    small = (y.shape[1] // step, y.shape[0] // step)
    wanted = YuvPicture(
        cv2.resize(y, small), *(cv2.resize(u, ((small[0] + 1) // 2, (small[1] + 1) // 2)) for u in chroma)
    )
    assert np.array_equal(YuvPicture(y, *chroma).fit(*small), wanted.bgr())


@pytest.mark.parametrize("of", [lambda: gradient(640, 361), lambda: BgrPicture(gradient(640, 361).bgr())])
def test_a_part_is_a_picture_of_its_own(of: Callable[[], Picture]) -> None:
    picture = of()
    for left, top, right, bottom in [(0, 0, 640, 361), (100, 50, 331, 201), (638, 360, 640, 361)]:
        part = picture.part(left, top, right, bottom)
        assert (part.width, part.height) == (right - left, bottom - top)
        assert np.array_equal(part.luma(), picture.luma()[top:bottom, left:right])
        whole = picture.bgr()[top:bottom, left:right].astype(int)
        assert np.abs(part.bgr().astype(int) - whole).max() <= 2


@pytest.mark.parametrize(
    "box", [(1, 0, 20, 20), (0, 3, 20, 20), (20, 0, 20, 20), (0, 0, 641, 20), (-2, 0, 9, 9)]
)
def test_what_is_no_part_of_it_is_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="is no part"):
        gradient(640, 361).part(*box)

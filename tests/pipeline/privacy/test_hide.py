"""What is hidden is gone; what is not is untouched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.picture import BgrPicture, Picture, U8Array, YuvPicture
from pipeline.privacy.hide import LEVELS, Part, hide, parts_of_areas, parts_of_boxes, whole

METHODS = ("mask", "pixelate", "blur")
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def yuv(width: int, height: int, seed: int = 0) -> YuvPicture:
    rng = np.random.default_rng(seed)
    chroma = ((height + 1) // 2, (width + 1) // 2)
    planes = [rng.integers(0, 256, shape, np.uint8) for shape in ((height, width), chroma, chroma)]
    return YuvPicture(*planes)


def bgr(width: int, height: int, seed: int = 0) -> BgrPicture:
    return BgrPicture(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def planes_of(picture: Picture) -> list[U8Array]:
    planes = picture.planes()
    return [picture.bgr()] if planes is None else [planes.y, planes.u, planes.v]


def covered(parts: list[Part], width: int, height: int) -> np.ndarray:
    mask = np.zeros((height, width), np.bool_)
    for part in parts:
        stencil = True if part.stencil is None else part.stencil > 0
        mask[part.top : part.bottom, part.left : part.right] |= stencil
    return mask


def bases(array: np.ndarray) -> list[np.ndarray]:
    found = []
    while array is not None:
        found.append(array)
        array = array.base
    return found


sides = st.integers(1, 70)
coordinates = st.floats(-30, 100, width=32)
boxes = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=4).map(
    lambda drawn: np.array(
        [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in drawn], np.float64
    ).reshape(-1, 4)
)


@settings(max_examples=80, deadline=None)
@given(sides, sides, boxes, st.sampled_from(METHODS), st.integers(1, 8), st.booleans())
def test_nothing_else_changes_and_no_way_leads_back(width, height, drawn, method, cells, is_yuv) -> None:
    picture: Picture = yuv(width, height) if is_yuv else bgr(width, height)
    before = [plane.copy() for plane in planes_of(picture)]
    parts = parts_of_boxes(drawn, width, height)
    hidden = hide(picture, parts, method, cells)
    assert all(np.array_equal(a, b) for a, b in zip(before, planes_of(picture), strict=True))
    if not parts:
        assert hidden is picture
        return
    mask = covered(parts, width, height)
    for original, shown in zip(planes_of(picture), planes_of(hidden), strict=True):
        assert not any(np.shares_memory(original, base) for base in bases(shown))
        outside = ~mask if shown.shape[:2] == mask.shape else ~mask[::2, ::2]
        assert np.array_equal(shown[outside], original[outside])


@settings(max_examples=60, deadline=None)
@given(sides, sides, boxes)
def test_every_pixel_that_a_box_touches_is_hidden(width: int, height: int, drawn: np.ndarray) -> None:
    mask = covered(parts_of_boxes(drawn, width, height), width, height)
    for left, top, right, bottom in drawn:
        x, y = np.arange(width), np.arange(height)
        touched = np.outer((y + 1 > top) & (y < bottom), (x + 1 > left) & (x < right))
        assert mask[touched].all()


def test_what_lies_within_another_part_is_not_hidden_twice() -> None:
    boxes = [[10, 10, 50, 90], [20, 20, 40, 60], [10, 10, 50, 90], [10, 10, 60, 40], [-9, -9, -1, -1]]
    parts = parts_of_boxes(np.array(boxes, np.float64), 100, 100)
    assert [(p.left, p.top, p.right, p.bottom) for p in parts] == [(10, 10, 50, 90), (10, 10, 60, 40)]


@pytest.mark.parametrize("method", ["pixelate", "blur"])
@pytest.mark.parametrize("cells", [1, 3, 4, 8])
def test_what_is_left_is_bounded_by_counting(method: str, cells: int) -> None:
    """Whatever was there, it becomes one of LEVELS ** (cells of each plane) pictures."""
    part = [Part(10, 20, 106, 148)]
    seen: list[set[bytes]] = [set(), set(), set()]
    for seed in range(12):
        planes = [plane // 4 + 96 for plane in planes_of(yuv(160, 200, seed))]
        shown = planes_of(hide(YuvPicture(*planes), part, method, cells))
        for known, plane, half in zip(seen, shown, (1, 2, 2), strict=True):
            inside = plane[20 // half : 148 // half, 10 // half : 106 // half]
            columns, rows = max(1, round(96 * cells / 128)), cells
            if method == "pixelate":  # all pixels of a cell are alike, and of few levels
                assert len(np.unique(inside)) <= min(LEVELS + 1, rows * columns)
                edges = (np.diff(inside.astype(int), axis=1) != 0).any(axis=0).sum()
                assert edges <= columns - 1
            known.add(inside.tobytes())
    # Noise has the same mean everywhere: all that there was becomes the same.
    assert all(len(known) == 1 for known in seen)


def blocks(seed: int, side: int, amplitude: int) -> np.ndarray:
    """A pattern of 96 x 128 px around medium grey: black and white squares as drawn by a seed."""
    bits = np.random.default_rng(seed).integers(0, 2, (96 // side, 128 // side))
    return np.kron(bits * 2 - 1, np.ones((side, side))) * amplitude + 128


def with_pattern(pattern: np.ndarray, make) -> Picture:
    planes = [plane.copy() for plane in planes_of(make(320, 240))]
    planes[0][60:156, 100:228] = pattern[..., None] if planes[0].ndim == 3 else pattern
    return YuvPicture(*planes) if len(planes) == 3 else BgrPicture(planes[0])


def correlation(pattern: np.ndarray, shown: Picture) -> float:
    part = shown.luma()[60:156, 100:228].astype(float)
    part, known = part - part.mean(), pattern - pattern.mean()
    return float(abs((part * known).sum()) / max(1e-9, np.sqrt((part**2).sum() * (known**2).sum())))


AROUND = parts_of_boxes(np.array([[90, 50, 238, 166]]), 320, 240)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [yuv, bgr])
def test_a_pattern_is_not_found_again(method: str, make) -> None:
    """It correlates no better than patterns that were never there."""
    secret = blocks(5, side=4, amplitude=40)
    picture = with_pattern(secret, make)
    assert correlation(secret, picture) > 0.99
    hidden = hide(picture, AROUND, method, 4)
    decoys = [correlation(blocks(100 + seed, 4, 40), hidden) for seed in range(200)]
    assert correlation(secret, hidden) <= np.percentile(decoys, 95)


@pytest.mark.parametrize("method", METHODS)
def test_of_a_coarse_pattern_only_its_broad_shades_stay(method: str) -> None:
    """Squares as large as a third of a cell: bits cannot be read, but for `mask` something is left."""
    wrong = []
    for seed in range(30):
        secret = blocks(seed, side=16, amplitude=80)
        hidden = hide(with_pattern(secret, yuv), AROUND, method, 4).luma()[60:156, 100:228]
        read = hidden[8::16, 8::16] > 128
        wrong.append(float((read != (secret[8::16, 8::16] > 128)).mean()))
    assert np.mean(wrong) > (0.45 if method == "mask" else 0.3)


def test_areas_are_polygons_in_fractions() -> None:
    triangle = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))
    shown = hide(yuv(100, 80), parts_of_areas([triangle], [], 100, 80), "mask", 4).luma()
    assert (shown[0, :] == 16).all()
    assert (shown[:, 0] == 16).all()
    assert (shown[40, :49] == 16).all()
    original = yuv(100, 80).luma()
    assert np.array_equal(shown[41:, 60:], original[41:, 60:])


def test_what_is_not_kept_is_hidden_up_to_its_border() -> None:
    mask = covered(
        parts_of_areas([], [((0.3, 0.25), (0.7, 0.25), (0.7, 0.75), (0.3, 0.75))], 100, 80), 100, 80
    )
    assert not mask[21:59, 31:69].any()
    assert mask[:20].all()
    assert mask[60:].all()
    assert mask[:, :30].all()
    assert mask[:, 70:].all()


def test_keeping_all_hides_nothing_and_keeping_reaches_the_edges() -> None:
    everything = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    assert not parts_of_areas([], [everything], 101, 77)
    mask = covered(parts_of_areas([], [LEFT_HALF], 100, 80), 100, 80)
    assert not mask[:, :49].any()
    assert mask[:, 50:].all()


def test_a_polygon_that_crosses_itself_hides_all_that_it_encloses() -> None:
    """A pentagram: by the even-odd rule its middle would stay."""
    turns = np.array([0, 2, 4, 1, 3]) * 2 * np.pi / 5
    star = tuple((0.5 + 0.4 * float(np.sin(t)), 0.5 - 0.4 * float(np.cos(t))) for t in turns)
    assert covered(parts_of_areas([star], [], 200, 200), 200, 200)[100, 100]
    assert covered(parts_of_areas([], [star], 200, 200), 200, 200)[100, 100]


@settings(max_examples=20, deadline=None)
@given(sides, sides, st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=7))
def test_chroma_is_hidden_wherever_luma_is(width: int, height: int, corners: list) -> None:
    for part in [
        *parts_of_areas([tuple(corners)], [], width, height),
        *parts_of_areas([], [tuple(corners)], width, height),
        whole(width, height),
    ]:
        assert part.left % 2 == part.top % 2 == 0
        if part.stencil is None or part.half is None:
            assert part.stencil is part.half is None
            continue
        assert part.stencil.shape == (part.bottom - part.top, part.right - part.left)
        rows, columns = np.nonzero(part.stencil)
        assert (part.half[rows // 2, columns // 2] == 255).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("box", [(0, 0, 4, 1080), (0, 1, 1920, 3), (1919, 1079, 1920, 1080)])
def test_thin_parts(method: str, box: tuple[int, ...]) -> None:
    parts = parts_of_boxes(np.array([box], np.float64), 1920, 1080)
    assert hide(yuv(1920, 1080), parts, method, 4).width == 1920

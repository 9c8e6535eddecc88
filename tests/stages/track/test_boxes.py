"""Conversions, overlap of pairs, and the sweep that finds the pairs worth looking at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.track import boxes
from stages.track.boxes import (
    overlapping_pairs,
    paired_iou,
    points_within,
    touching_pairs,
    xyah_to_xyxy,
    xyxy_to_xyah,
    xyxy_to_xywh,
)

COORDINATE = st.floats(-500, 500, width=32)
SIDE = st.floats(1, 300, width=32)
BOX = st.tuples(COORDINATE, COORDINATE, SIDE, SIDE).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
CASES = settings(max_examples=100, deadline=None)


def table(rows: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


@pytest.mark.parametrize(
    ("xyxy", "xyah"),
    [
        ((0, 0, 10, 20), (5, 10, 0.5, 20)),
        ((-4, 2, 4, 6), (0, 4, 2, 4)),
        ((3, 3, 3, 5), (3, 4, 0, 2)),
    ],
)
def test_xyah(xyxy: tuple[float, ...], xyah: tuple[float, ...]) -> None:
    assert xyxy_to_xyah(table([xyxy])).tolist() == [list(xyah)]
    assert xyxy_to_xywh(table([xyxy])).tolist() == [[*xyah[:2], xyah[2] * xyah[3], xyah[3]]]
    assert xyah_to_xyxy(table([xyah])).tolist() == [list(xyxy)]


@CASES
@given(st.lists(BOX, min_size=1, max_size=5))
def test_xyah_and_back(rows: list[tuple[float, ...]]) -> None:
    xyxy = table(rows)
    np.testing.assert_allclose(xyah_to_xyxy(xyxy_to_xyah(xyxy)), xyxy, atol=1e-9)


def test_a_negative_size_becomes_a_box_without_area() -> None:
    assert xyah_to_xyxy(table([(5, 5, -1, 4), (5, 5, 1, -4)])).tolist() == [[5, 3, 5, 7], [5, 5, 5, 5]]


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 50 / 150),
        ((0, 0, 10, 10), (2, 2, 4, 4), 4 / 100),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0.0),
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),
    ],
)
def test_iou(a: tuple[float, ...], b: tuple[float, ...], iou: float) -> None:
    assert paired_iou(table([a, b]), table([b, a])).tolist() == pytest.approx([iou, iou])


@CASES
@given(BOX, BOX, COORDINATE, COORDINATE, st.floats(0.1, 10))
def test_iou_is_a_share_that_neither_place_nor_scale_change(
    a: tuple[float, ...], b: tuple[float, ...], x: float, y: float, scale: float
) -> None:
    pair = np.array([a, b], np.float64)
    iou = paired_iou(pair[:1], pair[1:])[0]
    assert 0 <= iou <= 1
    moved = scale * (pair + np.array([x, y, x, y]))
    assert paired_iou(moved[:1], moved[1:])[0] == pytest.approx(iou, abs=1e-9)
    assert paired_iou(pair, pair) == pytest.approx([1, 1])


@CASES
@given(st.lists(BOX, max_size=20), st.lists(BOX, max_size=20), st.booleans())
def test_touching_pairs_are_all_pairs_that_touch(
    a: list[tuple[float, ...]], b: list[tuple[float, ...]], sweep: bool
) -> None:
    truth = {
        (i, j)
        for i, p in enumerate(a)
        for j, q in enumerate(b)
        if p[0] <= q[2] and q[0] <= p[2] and p[1] <= q[3] and q[1] <= p[3]
    }
    with pytest.MonkeyPatch.context() as patch:
        if sweep:
            patch.setattr(boxes, "_DENSE_CELLS", -1)
            patch.setattr(boxes, "_BLOCK", 7)
        found = list(zip(*(side.tolist() for side in touching_pairs(table(a), table(b))), strict=True))
        i, j, iou = overlapping_pairs(table(a), table(b))
    assert len(found) == len(set(found))
    assert set(found) == truth
    rows, columns = (pairs.ravel() for pairs in np.indices((len(a), len(b))))
    matrix = paired_iou(table(a)[rows], table(b)[columns]).reshape(len(a), len(b))
    assert len(i) == np.count_nonzero(matrix)
    np.testing.assert_allclose(iou, matrix[i, j], rtol=1e-12)


POINT = st.tuples(COORDINATE, COORDINATE)


@CASES
@given(st.lists(st.tuples(POINT, SIDE, SIDE), max_size=20), st.lists(POINT, max_size=20))
def test_points_within_are_all_points_within(
    around: list[tuple[tuple[float, float], float, float]], points: list[tuple[float, float]]
) -> None:
    centre = np.array([c for c, _, _ in around], np.float64).reshape(-1, 2)
    reach = np.array([(rx, ry) for _, rx, ry in around], np.float64).reshape(-1, 2)
    place = np.array(points, np.float64).reshape(-1, 2)
    inside = (np.abs(centre[:, None] - place) <= reach[:, None]).all(axis=2)
    # What lies on the border to the last bit may be in or out.
    clear = (np.abs(np.abs(centre[:, None] - place) - reach[:, None]) > 1e-9).all(axis=2)
    found = np.zeros_like(inside)
    i, j = points_within(centre, reach, place)
    found[i, j] = True
    assert len(i) == found.sum()
    assert (found == inside)[clear].all()


def test_work_grows_with_the_pairs_not_with_their_product() -> None:
    """5,000 points and 5,000 boxes in a row: 25 million cells, about 10,000 pairs."""
    x = np.arange(5000.0)
    place = np.stack([10 * x, np.zeros(5000)], axis=1)
    i, j = points_within(place, np.full((5000, 2), 10.0), place)
    assert len(i) == 3 * 5000 - 2
    assert (np.abs(i - j) <= 1).all()
    corners = np.concatenate([place - 4, place + 4], axis=1)
    i, j = touching_pairs(corners, corners)
    assert len(i) == 5000
    assert (i == j).all()

import numpy as np
import pytest

from stages.detect.yolox import cell_count, decode


@pytest.mark.parametrize(("width", "height", "cells"), [(416, 416, 3549), (640, 640, 8400), (64, 32, 42)])
def test_cell_count(width: int, height: int, cells: int) -> None:
    assert cell_count(width, height) == cells


# row, its stride and cell (x, y) in an input of 64 x 32 px: 8 x 4 cells of 8, 4 x 2 of 16, 2 x 1 of 32 px
@pytest.mark.parametrize(
    ("row", "stride", "x", "y"), [(0, 8, 0, 0), (9, 8, 1, 1), (31, 8, 7, 3), (37, 16, 1, 1), (41, 32, 1, 0)]
)
def test_decode(row: int, stride: int, x: int, y: int) -> None:
    raw = np.zeros((42, 8), np.float32)
    raw[row] = [0.5, 0.25, np.log(2), np.log(3), 0.8, 0.1, 0.2, 0.9]
    cxcywh, score, number = decode(raw, 64, 32, 0.5)
    assert cxcywh == pytest.approx(
        np.array([[(x + 0.5) * stride, (y + 0.25) * stride, 2 * stride, 3 * stride]])
    )
    assert score == pytest.approx([0.72])
    assert number.tolist() == [2]
    assert len(decode(raw, 64, 32, 0.73)[1]) == 0


def test_damaged_weights_give_finite_boxes() -> None:
    raw = np.full((42, 8), 1e9, np.float32)
    raw[:, 4:] = 1
    assert np.isfinite(decode(raw, 64, 32, 0.5)[0]).all()

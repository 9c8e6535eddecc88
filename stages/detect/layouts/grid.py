"""The grid of predictions that anchor-free detectors make, one per cell and stride."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]


def cell_count(width: int, height: int, strides: Sequence[int], *, ceil: bool = False) -> int:
    """Return how many cells grids of these strides have in an input of this size."""
    return sum(columns * rows for columns, rows in _sides(width, height, tuple(strides), ceil))


@lru_cache(maxsize=16)
def grid(
    width: int, height: int, strides: tuple[int, ...], *, ceil: bool = False
) -> tuple[F32Array, F32Array]:
    """Return each cell's (x, y) in cells, (N, 2), and its stride in px, (N, 1); row by row, stride by stride.

    With `ceil`, a cell that the input covers in part counts, as after a convolution with padding.
    """
    cells, sizes = [], []
    for stride, (columns, rows) in zip(strides, _sides(width, height, strides, ceil), strict=True):
        y, x = np.mgrid[:rows, :columns].astype(np.float32)
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        sizes.append(np.full((x.size, 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(sizes)


def check_rows(rows: int, cells: F32Array) -> None:
    """Raise ValueError unless a network gives one row for each cell."""
    if rows != len(cells):
        raise ValueError(f"{rows} rows for {len(cells)} cells")


def _sides(width: int, height: int, strides: tuple[int, ...], ceil: bool) -> list[tuple[int, int]]:
    up = 1 if ceil else 0
    return [((width + up * (s - 1)) // s, (height + up * (s - 1)) // s) for s in strides]

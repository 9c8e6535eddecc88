"""How sharp a picture is, by its sharpest edges: independent of exposure, contrast and how much there is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U8Array = npt.NDArray[np.uint8]

# A strong edge is one of so many levels across 16 px; noise does not make one, and blur up to about 5 px
# leaves it one.
_REACH_PX = 8
_STRONG_LEVELS = 24
_FEWEST = 50
# What focus allows is shown by the sharpest tenth; the others are soft by themselves.
_SHARPEST = 90.0


def sharpness(rows: U8Array) -> float | None:
    """Return the sharpness of strong edges: their steepest step over 2 px, as a share of their whole step.

    About 0.5 to 0.8 for a good camera, 0.35 when blurred by 2 px (standard deviation), 0.2 by 5 px. It says
    something only against what the same camera gave before. Edges in rows are looked at, so a blur along
    columns only is not noticed.

    Args:
        rows: (N, W) uint8: some rows of the luma at full size; neighbours are no use.

    Returns:
        None where there are too few strong edges to tell.
    """
    if rows.shape[1] <= 2 * _REACH_PX:
        return None
    levels = rows.astype(np.int16)
    whole = np.abs(levels[:, 2 * _REACH_PX :] - levels[:, : -2 * _REACH_PX])
    strong = whole >= _STRONG_LEVELS
    if np.count_nonzero(strong) < _FEWEST:
        return None
    middle = levels[:, _REACH_PX - 1 : 1 - _REACH_PX]
    steep = np.abs(middle[:, 2:] - middle[:, :-2])
    share = steep[strong].astype(np.float32) / whole[strong]
    return float(np.percentile(np.minimum(share, 1.5), _SHARPEST))

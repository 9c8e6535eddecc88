"""A set of training crops, and which ones to keep where there are too many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stages.track.appearance.patches import U8Array
from stages.track.boxes import IntArray


@dataclass(frozen=True, eq=False)
class CropSet:
    """Crops of one size with the identity of each.

    Attributes:
        patches: (N, H, W, 3) uint8 BGR; those of one identity follow each other in order of time.
        identity: (N,) number of the identity, from 0.
        names: of the identities.
        left_out: identities that had fewer than 2 crops.
    """

    patches: U8Array
    identity: IntArray
    names: tuple[str, ...]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.patches)


def chosen(count: int, most: int) -> IntArray:
    """Return at most `most` of `count` indices, evenly spread with both ends."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.intp))


def share_of_each(counts: Iterable[int], max_crops: int, max_per_identity: int) -> int:
    """Return how many crops each identity may keep so that all together stay within the bound."""
    numbers = np.array(list(counts), np.int64)
    each = max_per_identity
    while each > 2 and int(np.minimum(numbers, each).sum()) > max_crops:
        each -= 1
    return each

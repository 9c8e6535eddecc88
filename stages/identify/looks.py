"""What each object looks like: the mean of what was made of its boxes, as long as it is in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.identify.records import Vector

_OTHERS = 8


@dataclass(slots=True, eq=False)
class _Mean:
    """Sums of weighted unit embeddings, every other one in the second half."""

    halves: npt.NDArray[np.float64]
    counts: list[int]
    last_s: float


class Looks:
    """One description for each object of one camera.

    Args:
        forget_s: an object unseen for longer is forgotten.
        most: most objects remembered; of more, those unseen for longest go first.
    """

    def __init__(self, forget_s: float, most: int) -> None:
        self._forget_s = forget_s
        self._most = most
        self._means: dict[int, _Mean] = {}  # in the order of their latest look

    def __len__(self) -> int:
        return len(self._means)

    def see(
        self,
        time_s: float,
        ids: Sequence[int],
        xyxy: npt.NDArray[np.floating[Any]],
        embedding: npt.NDArray[np.floating[Any]],
    ) -> None:
        """Take what was made of the boxes of one picture.

        Args:
            time_s: media time, never less than before.
            ids: (N,) objects, each once.
            xyxy: (N, 4) px; what another box covers says less of who is behind it.
            embedding: (N, D); a row of zeros was not described.
        """
        length = np.linalg.norm(embedding, axis=1)
        clear = 1.0 - _covered(xyxy)
        for row in np.flatnonzero((length > 0) & np.isfinite(length)).tolist():
            mean = self._means.pop(ids[row], None)
            if mean is None or mean.halves.shape[1] != embedding.shape[1]:
                mean = _Mean(np.zeros((2, embedding.shape[1])), [0, 0], time_s)
            half = sum(mean.counts) % 2
            mean.halves[half] += (0.05 + clear[row]) * embedding[row] / length[row]
            mean.counts[half] += 1
            mean.last_s = time_s
            self._means[ids[row]] = mean
        while self._means:
            oldest = next(iter(self._means))
            if time_s - self._means[oldest].last_s <= self._forget_s and len(self._means) <= self._most:
                break
            del self._means[oldest]

    def of(self, ids: Sequence[int]) -> tuple[Vector | None, float | None]:
        """Return the look of an object, and how alike two halves of its looks are, a cosine.

        Args:
            ids: of the tracks that it had.
        """
        means = [self._means[each] for each in ids if each in self._means]
        means = [mean for mean in means if mean.halves.shape == means[-1].halves.shape]
        if not means:
            return None, None
        halves = np.sum([mean.halves for mean in means], axis=0)
        whole = _unit(halves.sum(axis=0))
        few = min(sum(mean.counts[half] for mean in means) for half in (0, 1)) < 2
        return whole, None if few or whole is None else _alike(halves[0], halves[1])

    def others(self, look: Vector, but: Sequence[int], time_s: float) -> tuple[float, ...]:
        """Return how much those in the picture at this moment look like it, at most 8 cosines."""
        found: list[float] = []
        for each, mean in reversed(self._means.items()):
            if mean.last_s < time_s or len(found) == _OTHERS:
                break
            if each not in but and mean.halves.shape[1] == len(look):
                found.append(_alike(mean.halves.sum(axis=0), look.astype(np.float64)))
        return tuple(found)

    def forget(self) -> None:
        """Forget all objects."""
        self._means.clear()


def _covered(xyxy: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return (N,) the largest share of each box that one other box covers."""
    boxes = xyxy.astype(np.float64)
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    np.fill_diagonal(shared, 0.0)
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9)
    return np.asarray(shared.max(axis=1, initial=0.0) / area).clip(0.0, 1.0)


def _unit(vector: npt.NDArray[np.float64]) -> Vector | None:
    length = float(np.linalg.norm(vector))
    return None if length == 0 else (vector / length).astype(np.float32)


def _alike(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0

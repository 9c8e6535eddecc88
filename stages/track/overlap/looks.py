"""The smoothed appearance of every track (Aharon et al.: BoT-SORT, 2022, section 3.3)."""

from __future__ import annotations

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.gallery import F32Array, unit_rows
from stages.track.population import BoolArray

# Share of the earlier appearance that a new one leaves (the paper's alpha).
_KEPT = 0.9


class Looks:
    """One unit embedding for each of N tracks, row for row with their population; zeros for none yet."""

    def __init__(self) -> None:
        self._unit: F32Array = np.zeros((0, 0), np.float32)

    def __len__(self) -> int:
        return len(self._unit)

    def check(self, embedding: F32Array) -> None:
        """Take the length of the first embeddings, (M, D), as the length of all.

        Raises:
            ValueError: if D is 0, or differs from that of the embeddings before.
        """
        length, before = embedding.shape[1], self._unit.shape[1]
        if length == 0 or (before and length != before):
            raise ValueError(f"embeddings must keep their length: it was {before}, now {length}")
        if not before:
            self._unit = np.zeros((len(self), length), np.float32)

    def keep(self, rows: BoolArray) -> None:
        """Drop all other tracks."""
        self._unit = self._unit[rows]

    def append(self, count: int, embedding: F32Array | None) -> None:
        """Add tracks, with their first (count, D) unit rows where there are any."""
        born = np.zeros((count, self._unit.shape[1]), np.float32) if embedding is None else embedding
        self._unit = np.concatenate([self._unit, born])

    def add(self, rows: IntArray, embedding: F32Array) -> None:
        """Smooth (K, D) unit rows into the tracks `rows`; rows of zeros change nothing."""
        before = self._unit[rows]
        seen = embedding.any(axis=1, keepdims=True)
        self._unit[rows] = unit_rows(np.where(seen, _KEPT * before + (1 - _KEPT) * embedding, before))

    def likeness(self, track: IntArray, embedding: F32Array) -> FloatArray:
        """Return 1 - half the cosine distance of row k of `embedding` to `track[k]`, (P,); 0 without one."""
        if not len(track):
            return np.zeros(0)
        before = self._unit[track]
        cosine = np.einsum("pd,pd->p", before, embedding).astype(np.float64)
        known = before.any(axis=1) & embedding.any(axis=1)
        return np.where(known, (1 + cosine) / 2, 0.0)

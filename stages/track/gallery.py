"""The latest appearance embeddings of every track, in one array of ring buffers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray, IntArray

F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# How many of the newest embeddings are compared before the whole gallery is.
_NEWEST = 4
# Embeddings compared at once: 128 numbers each, they should fit the processor's cache.
_BLOCK = 1600


def unit_rows(embedding: npt.NDArray[np.floating]) -> F32Array:
    """Scale each row of (N, D) to length 1; rows without length stay 0 and resemble nothing.

    Raises:
        ValueError: if a value is not finite.
    """
    rows = np.asarray(embedding, np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    if not np.isfinite(length).all():
        raise ValueError("embeddings must be finite")
    unit: F32Array = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return unit


class Gallery:
    """At most `budget` unit embeddings for each of a growing number of slots; a track owns one slot.

    Slots are used again, so the memory follows the largest number of tracks alive at one time.

    Args:
        budget: embeddings kept of one track; the oldest gives way.
    """

    def __init__(self, budget: int) -> None:
        if budget < 1:
            raise ValueError(f"a gallery needs a budget of at least 1 embedding, got {budget}")
        self.budget = budget
        self._ring: F32Array = np.zeros((0, budget, 0), np.float32)
        self._added = np.zeros(0, np.int64)
        self._used = np.zeros(0, np.bool_)

    @property
    def capacity(self) -> int:
        """Slots there is room for now."""
        return len(self._used)

    def acquire(self, count: int) -> IntArray:
        """Return `count` empty slots, (count,)."""
        missing = count - int(self.capacity - np.count_nonzero(self._used))
        if missing > 0:
            self._grow(max(self.capacity + missing, 2 * self.capacity))
        slots = np.flatnonzero(~self._used)[:count]
        self._used[slots] = True
        self._added[slots] = 0
        return slots

    def release(self, slots: IntArray) -> None:
        """Give slots back; what they held is forgotten."""
        self._used[slots] = False

    def check(self, embedding: F32Array) -> None:
        """Take the length of the first embeddings, (N, D), as the length of all.

        Raises:
            ValueError: if D is 0, or differs from that of the embeddings before.
        """
        length = embedding.shape[1]
        if self._ring.shape[2] == 0 and length > 0:
            self._ring = np.zeros((self.capacity, self.budget, length), np.float32)
        if length != self._ring.shape[2] or length == 0:
            raise ValueError(f"embeddings must keep their length: it was {self._ring.shape[2]}, now {length}")

    def add(self, slots: IntArray, embedding: F32Array) -> None:
        """Append row k of `embedding`, (N, D) checked unit rows, to the gallery of `slots[k]`, each once."""
        self._ring[slots, self._added[slots] % self.budget] = embedding
        self._added[slots] += 1

    def distance(self, slots: IntArray, embedding: F32Array) -> FloatArray:
        """Return the smallest cosine distance of row k of `embedding` to the gallery of `slots[k]`.

        (P,), in 0..2; 1 where the gallery is empty (paper, equation 3).
        """
        distance = np.ones(len(slots))
        depth = min(int(self._added[slots].max(initial=0)), self.budget)
        pairs = max(_BLOCK // max(depth, 1), 1)
        for begin in range(0, len(slots) if depth else 0, pairs):
            block = slice(begin, begin + pairs)
            filled = np.arange(depth) < self._added[slots[block], None]
            distance[block] = _nearest(self._ring[slots[block], :depth], filled, embedding[block])
        return distance

    def distance_up_to(self, slots: IntArray, embedding: F32Array, enough: FloatArray) -> FloatArray:
        """Like `distance`, but exact only above `enough`, (P,): at or below it, it may be too large.

        For pairs without a rival only the threshold matters. An object mostly looks like it just did, so a
        few of its newest embeddings answer that without reading its whole gallery.
        """
        added = self._added[slots, None]
        age = np.arange(min(_NEWEST, self.budget))
        newest = self._ring[slots[:, None], (added - 1 - age) % self.budget]
        distance = _nearest(newest, age < added, embedding)
        far = np.flatnonzero((distance > enough) & (added[:, 0] > _NEWEST))
        distance[far] = self.distance(slots[far], embedding[far])
        return distance

    def _grow(self, capacity: int) -> None:
        ring = np.zeros((capacity, *self._ring.shape[1:]), np.float32)
        ring[: self.capacity] = self._ring
        added, used = np.zeros(capacity, np.int64), np.zeros(capacity, np.bool_)
        added[: self.capacity], used[: self.capacity] = self._added, self._used
        self._ring, self._added, self._used = ring, added, used


def _nearest(galleries: F32Array, filled: BoolArray, embedding: F32Array) -> FloatArray:
    """Return the distance of each row of `embedding`, (P, D), to its of (P, K, D) galleries, (P,)."""
    likeness = np.matmul(galleries, embedding[:, :, None])[:, :, 0]
    likeness[~filled] = -np.inf
    return np.where(filled.any(axis=1), 1.0 - likeness.max(axis=1), 1.0)

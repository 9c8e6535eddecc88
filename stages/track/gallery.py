"""The latest appearance embeddings of every track, in one array of ring buffers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stages.track.boxes import FloatArray, IntArray
from stages.track.kernels import replaceable

F32Array = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# When the newest embeddings of more than so many tracks are not near enough, this many of the newest are
# compared before their whole galleries.
_MANY, _NEWEST = 32, 8
# So few galleries are quicker read where they are than gathered first.
_FEW = 16
# Embeddings compared at once: 128 numbers each, they should fit the processor's cache.
_BLOCK = 1600
# So far, as squares, lengths may be from 1 and still be 1 in float32.
_UNIT = 1e-6
# Shorter vectors have no direction.
_SHORTEST = np.float32(1e-12)


@replaceable
def unit_rows(embedding: npt.NDArray[np.floating]) -> F32Array:
    """Scale each row of (N, D) to length 1; rows without length stay 0 and resemble nothing.

    Rows that all have that length already are returned as they are.

    Raises:
        ValueError: if a value is not finite, or so large that its square is not.
    """
    rows = np.asarray(embedding, np.float32)
    power = np.vecdot(rows, rows)
    least, most = np.minimum.reduce(power, initial=1.0), np.maximum.reduce(power, initial=1.0)
    if not (least >= 0 and most < np.inf):
        raise ValueError("embeddings must be finite")
    if most - least < _UNIT:
        return rows
    unit: F32Array = rows / np.maximum(np.sqrt(power), _SHORTEST)[:, None]
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
        # The newest of each ring once more, side by side: most questions end there.
        self._newest: F32Array = np.zeros((0, 0), np.float32)
        self._added = np.zeros(0, np.int64)
        # A stack of slots; those below `_spare` are free.
        self._stack: IntArray = np.zeros(0, np.intp)
        self._spare = 0

    @property
    def capacity(self) -> int:
        """Slots there is room for now."""
        return len(self._added)

    def acquire(self, count: int) -> IntArray:
        """Return `count` empty slots, (count,)."""
        if count > self._spare:
            self._grow(max(self.capacity + count - self._spare, 2 * self.capacity))
        self._spare -= count
        slots = self._stack[self._spare : self._spare + count].copy()
        self._added[slots] = 0
        self._newest[slots] = 0
        return slots

    def release(self, slots: IntArray) -> None:
        """Give slots back; what they held is forgotten."""
        self._stack[self._spare : self._spare + len(slots)] = slots
        self._spare += len(slots)

    def check(self, embedding: F32Array) -> None:
        """Take the length of the first embeddings, (N, D), as the length of all.

        Raises:
            ValueError: if D is 0, or differs from that of the embeddings before.
        """
        length = embedding.shape[1]
        if self._ring.shape[2] == 0 and length > 0:
            self._ring = np.zeros((self.capacity, self.budget, length), np.float32)
            self._newest = np.zeros((self.capacity, length), np.float32)
        if length != self._ring.shape[2] or length == 0:
            raise ValueError(f"embeddings must keep their length: it was {self._ring.shape[2]}, now {length}")

    def add(self, slots: IntArray, embedding: F32Array) -> None:
        """Append row k of `embedding`, (N, D) checked unit rows, to the gallery of `slots[k]`, each once."""
        append_looks(self._newest, self._ring, self._added, slots, embedding)

    def distance(self, slots: IntArray, embedding: F32Array) -> FloatArray:
        """Return the smallest cosine distance of row k of `embedding` to the gallery of `slots[k]`.

        (P,), in 0..2; 1 where the gallery is empty (paper, equation 3).
        """
        return gallery_distance(self._ring, self._added, slots, embedding)

    def within(self, slots: IntArray, embedding: F32Array, limit: float) -> BoolArray:
        """Return whether `distance` of row k of `embedding` to the gallery of `slots[k]` is at most `limit`.

        An object mostly looks like it just did, so its newest embeddings answer that for most without
        reading whole galleries.
        """
        near = np.ones(len(slots), np.bool_)
        far = unlike_newest(self._newest, slots, embedding, limit)
        if not len(far):
            return near
        near[far] = False
        if len(far) > _MANY:
            near[far] = self._distance_to_newest(slots.take(far), embedding.take(far, axis=0)) <= limit
            far = (~near).nonzero()[0]
        near[far] = self.distance(slots.take(far), embedding.take(far, axis=0)) <= limit
        return near

    def _distance_to_newest(self, slots: IntArray, embedding: F32Array) -> FloatArray:
        added = self._added.take(slots)
        age = np.arange(1, min(_NEWEST, self.budget) + 1)
        place = (added[:, None] - age) % self.budget
        return _nearest(self._ring[slots[:, None], place], added, embedding)

    def _grow(self, capacity: int) -> None:
        before = self.capacity
        ring = np.zeros((capacity, *self._ring.shape[1:]), np.float32)
        newest = np.zeros((capacity, self._ring.shape[2]), np.float32)
        added = np.zeros(capacity, np.int64)
        ring[:before], newest[:before], added[:before] = self._ring, self._newest, self._added
        self._ring, self._newest, self._added = ring, newest, added
        # The lowest slots come out first.
        fresh = np.arange(capacity - 1, before - 1, -1)
        self._stack = np.concatenate(
            [self._stack[: self._spare], fresh, np.zeros(before - self._spare, np.intp)]
        )
        self._spare += len(fresh)


@replaceable
def append_looks(
    newest: F32Array, ring: F32Array, added: IntArray, slots: IntArray, embedding: F32Array
) -> None:
    """Put row k of `embedding` into the ring `slots[k]` and make it the newest there; each once, in place."""
    counted = added.take(slots)
    newest[slots] = embedding
    ring[slots, counted % ring.shape[1]] = embedding
    counted += 1
    added[slots] = counted


@replaceable
def unlike_newest(newest: F32Array, slots: IntArray, embedding: F32Array, limit: float) -> IntArray:
    """Return which rows of `embedding` are further than `limit` from the newest in their slots."""
    likeness: F32Array = np.vecdot(newest.take(slots, axis=0), embedding)
    return (likeness < 1 - limit).nonzero()[0]


@replaceable
def gallery_distance(ring: F32Array, added: IntArray, slots: IntArray, embedding: F32Array) -> FloatArray:
    """Return (P,) the smallest cosine distance of row k of `embedding` to what is in the ring `slots[k]`."""
    distance, budget = np.ones(len(slots)), ring.shape[1]
    counted = added.take(slots)
    if len(slots) <= _FEW:
        for pair, (slot, depth) in enumerate(zip(slots.tolist(), counted.tolist(), strict=True)):
            if depth:
                distance[pair] -= np.dot(ring[slot, :depth], embedding[pair]).max()
        return distance
    depth = min(int(counted.max(initial=0)), budget)
    pairs = max(_BLOCK // max(depth, 1), 1)
    for begin in range(0, len(slots) if depth else 0, pairs):
        block = slice(begin, begin + pairs)
        galleries = ring[slots[block], :depth]
        distance[block] = _nearest(galleries, counted[block], embedding[block])
    return distance


def _nearest(galleries: F32Array, added: IntArray, embedding: F32Array) -> FloatArray:
    """Return the distance of each row of `embedding`, (P, D), to its of (P, K, D) galleries, (P,).

    The first `added`, (P,), of the K are compared, or all.
    """
    likeness = np.matmul(galleries, embedding[:, :, None])[:, :, 0]
    depth = likeness.shape[1]
    if added.min() < depth:
        likeness[np.arange(depth) >= added[:, None]] = -np.inf
        likeness[added == 0] = 0
    return np.asarray(1.0 - likeness.max(axis=1), np.float64)

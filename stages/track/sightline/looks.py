"""What each track looks like, and how much a likeness says in this scene.

One smoothed embedding a track: averaging takes the noise of single looks away. How far apart two looks at one
object are, and looks at two objects, differs from network to network and from street to street; both
distributions are learned while tracking: "same" from matches that are sure, "different" from objects that are
seen at the same time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipeline.objects import F32Array
from stages.track.boxes import FloatArray, IntArray
from stages.track.gallery import unit_rows
from stages.track.kernels import replaceable
from stages.track.sightline.statistics import Normal, Terms, log_ratio, terms_of

MOST_FOR, MOST_AGAINST = 6.0, -6.0
"""Bounds of the log ratio of looks: no likeness outweighs everything else."""

# Mean and deviation of cosine distances before anything was learned, as shares of the limit between them.
_SAME, _DIFFERENT = (0.57, 0.29), (1.43, 0.34)
_OPINION, _MEMORY = 20.0, 500.0
# However alike looks are, they could always be off by this.
_FLOOR = 0.03
# A later look counts for at least this much in the average, so that a change of view is followed.
_LEAST_SHARE = 0.1

Embed = Callable[[IntArray], F32Array]
"""Takes rows of the frame's detections, (K,), and returns their embeddings, (K, D)."""


class FrameLooks:
    """The embeddings of one frame's detections: given, or made for those rows that somebody asks for.

    Args:
        given: (M, D) embeddings, or what makes them.
        m: number of detections.

    Raises:
        ValueError: if a given embedding is not finite.
    """

    def __init__(self, given: F32Array | Embed, m: int) -> None:
        self._unit: F32Array = np.zeros((m, 0), np.float32)
        if isinstance(given, np.ndarray):
            self._unit, self._embed = unit_rows(given), None
        else:
            self._embed, self._known = given, np.zeros(m, np.bool_)

    def of(self, rows: IntArray) -> F32Array:
        """Return (K, D) unit rows; 0 for what has no looks.

        Raises:
            ValueError: if an embedding that was made is not finite.
        """
        if self._embed is not None:
            self._make(self._embed, rows)
        looks: F32Array = self._unit.take(rows, axis=0)
        return looks

    def _make(self, embed: Embed, rows: IntArray) -> None:
        wanted = np.zeros(len(self._known), np.bool_)
        wanted[rows] = True
        missing = (wanted & ~self._known).nonzero()[0]
        if len(missing):
            made = unit_rows(embed(missing))
            if not self._unit.shape[1]:
                self._unit = np.zeros((len(self._known), made.shape[1]), np.float32)
            self._unit[missing] = made
            self._known[missing] = True


class Looks:
    """The smoothed embeddings of all tracks, in slots that are used again.

    Args:
        limit: cosine distance half way between looks at the same and at different objects, as an opinion.
    """

    def __init__(self, limit: float = 0.35) -> None:
        self._mean: F32Array = np.zeros((0, 0), np.float32)
        self._scale = np.zeros(0)
        self._looks = np.zeros(0, np.int64)
        self._free = np.zeros(0, np.intp)
        self._same = Normal(limit * _SAME[0], limit * _SAME[1], _OPINION, _MEMORY)
        self._different = Normal(limit * _DIFFERENT[0], limit * _DIFFERENT[1], _OPINION, _MEMORY)

    def check(self, length: int) -> None:
        """Take the first length of an embedding as that of all.

        Raises:
            ValueError: if it is 0, or not that of the embeddings before.
        """
        if not self._mean.shape[1] and length:
            self._mean = np.zeros((len(self._mean), length), np.float32)
        if length != self._mean.shape[1] or not length:
            raise ValueError(f"embeddings must keep their length: it was {self._mean.shape[1]}, now {length}")

    def acquire(self, count: int) -> IntArray:
        """Return `count` empty slots, (count,)."""
        if count > len(self._free):
            size = len(self._mean)
            more = max(count - len(self._free), size, 64)
            self._mean = np.pad(self._mean, ((0, more), (0, 0)))
            self._scale = np.pad(self._scale, (0, more))
            self._looks = np.pad(self._looks, (0, more))
            self._free = np.concatenate([self._free, np.arange(size + more - 1, size - 1, -1)])
        left = len(self._free) - count
        slots, self._free = self._free[left:], self._free[:left]
        self._looks[slots] = 0
        self._scale[slots] = 0.0
        return slots

    def release(self, slots: IntArray) -> None:
        """Give slots back."""
        self._free = np.concatenate([self._free, slots])

    @property
    def has_learned(self) -> bool:
        """Whether the scene's own samples outweigh the opinion that it began with by far."""
        return self._same.samples >= _MEMORY / 2

    def distance(self, slots: IntArray, unit: F32Array) -> FloatArray:
        """Return (P,): the cosine distance of row k of `unit`, (P, D), to what `slots[k]` looks like."""
        return look_distance(self._mean, self._scale, slots, unit)

    def log_ratio(self, slots: IntArray, unit: F32Array) -> FloatArray:
        """Return (P,): what the looks say for row k of `unit` being the object of `slots[k]`.

        0 where either has no looks.
        """
        terms = terms_of(self._same, self._different, _FLOOR)
        return look_ratio(self._mean, self._scale, slots, unit, terms)

    def learn(self, slots: IntArray, unit: F32Array) -> None:
        """Learn from K sure and simultaneous matches what the same and different objects look like."""
        self._same.learn(self.distance(slots, unit))
        if len(slots) > 1:
            self._different.learn(self.distance(slots, np.concatenate([unit[-1:], unit[:-1]])))

    def add(self, slots: IntArray, unit: F32Array, trust: FloatArray) -> None:
        """Smooth row k of `unit` into what `slots[k]` looks like, with weight `trust[k]`, 0..1; each once."""
        smooth_looks(self._mean, self._scale, self._looks, slots, unit, trust)


@replaceable
def look_distance(mean: F32Array, scale: FloatArray, slots: IntArray, unit: F32Array) -> FloatArray:
    """Return (P,): the cosine distance of row k of `unit`, (P, D), to row `slots[k]` of `mean`.

    `scale` is 1 / length of those rows, 0 where there are no looks.
    """
    distance: FloatArray = np.vecdot(mean.take(slots, axis=0), unit) * scale[slots]
    return np.subtract(1.0, distance, out=distance)


@replaceable
def look_ratio(
    mean: F32Array, scale: FloatArray, slots: IntArray, unit: F32Array, terms: Terms
) -> FloatArray:
    """Return (P,): what the looks say for row k of `unit` being the object of `slots[k]`; 0 without looks."""
    distance = look_distance(mean, scale, slots, unit)
    ratio = log_ratio(distance, terms)
    np.maximum(ratio, MOST_AGAINST, out=ratio)
    np.minimum(ratio, MOST_FOR, out=ratio)
    unlike = (distance == 1.0).nonzero()[0]
    if len(unlike):  # no looks at all, or nothing in common
        has_none = (scale[slots[unlike]] == 0.0) | ~unit[unlike].any(axis=1)
        ratio[unlike[has_none]] = 0.0
    return ratio


@replaceable
def smooth_looks(
    mean: F32Array,
    scale: FloatArray,
    looks: IntArray,
    slots: IntArray,
    unit: F32Array,
    trust: FloatArray,
) -> None:
    """Smooth row k of `unit` into row `slots[k]` of `mean`, with weight `trust[k]`, 0..1, in place.

    Each slot comes once. `looks` counts them; `scale` is 1 / length of the rows.
    """
    counted = looks[slots]
    counted += 1
    looks[slots] = counted
    share = np.maximum(1 / counted, _LEAST_SHARE)
    share *= trust
    share[scale[slots] == 0.0] = 1.0
    part = mean.take(slots, axis=0)
    step = unit - part
    step *= share.astype(np.float32)[:, None]
    part += step
    mean[slots] = part
    length = np.sqrt(np.vecdot(part, part))
    scale[slots] = np.divide(1.0, length, out=np.zeros(len(length)), where=length > 1e-6)

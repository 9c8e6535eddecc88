"""Random input of each kernel: what its numpy function and its compiled twin are both given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stages.track.kalman import ConstantVelocity
from stages.track.sightline import motion
from stages.track.sightline.rows import (
    CONFIRMED,
    COUNTS,
    DETECTION,
    EVIDENCE,
    HITS,
    ID,
    LEAD,
    NUMBERS,
    RESTLESS,
    SCORE,
    SCORES,
    SEEN_S,
    SHOWN,
)

Rng = np.random.Generator
LENGTH = 13  # neither a multiple of a vector register nor smaller than one
TERMS = (0.2, 0.5, 30.0, 12.0, -0.4)
NEVER = -1.0


def boxes(rng: Rng, n: int) -> np.ndarray:
    """(n, 4) float32 xyxy in a picture where they meet, at least 2 px wide and high."""
    side = 100.0 * np.sqrt(n + 1)
    corner, size = rng.uniform(0, side, (n, 2)), rng.uniform(2, 120, (n, 2))
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def detections(rng: Rng, n: int) -> np.ndarray:
    """(10, n) of `Measured`."""
    xyxy = boxes(rng, n).astype(np.float64).T
    width, height = xyxy[2:] - xyxy[:2]
    middle = (xyxy[:2] + xyxy[2:]) / 2
    rest = [np.log(height), np.log(width / height)], xyxy, [width * height, rng.uniform(0, 1, n)]
    return np.concatenate([middle, *rest])


def tracks(rng: Rng, n: int) -> np.ndarray:
    """(NUMBERS, n) rows in every state."""
    number = motion.initiate(detections(rng, n)[:4])
    number[4:6] = rng.normal(0, 50, (2, n))
    number[7:12] *= rng.uniform(0.5, 3, (5, n))
    number[8] = rng.uniform(0, 5, n)
    number[RESTLESS] = rng.uniform(1, 15, n)
    number[SEEN_S] = rng.choice([9.0, 9.9, 9.97, 10.0], n)
    number[EVIDENCE] = rng.uniform(-5, 10, n)
    number[[SCORE, SCORES, LEAD]] = rng.uniform(0, 1, (3, n))
    number[SHOWN : SHOWN + 4] = boxes(rng, n).T
    assert number.shape == (NUMBERS, n)
    return number


def counts(rng: Rng, n: int) -> np.ndarray:
    """(COUNTS, n) rows."""
    count = np.zeros((COUNTS, n), np.int64)
    count[ID] = np.arange(1, n + 1)
    count[HITS], count[CONFIRMED] = rng.integers(1, 20, n), rng.integers(0, 2, n)
    count[DETECTION] = rng.integers(0, n + 1, n)
    return count


def absent(rng: Rng, n: int) -> np.ndarray:
    """(n,) s."""
    return rng.choice([0.0, 1 / 30, 0.1, 2.0], n)


def looks(rng: Rng, n: int) -> np.ndarray:
    """(n, LENGTH) float32 unit rows, and one of zeros."""
    rows = rng.standard_normal((n, LENGTH))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[3:4] = 0.0
    return rows.astype(np.float32)


def memory(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed looks of n + 1 slots, some of them empty, and 1 / their length."""
    mean = (looks(rng, n + 1) * rng.uniform(0.5, 1, (n + 1, 1))).astype(np.float32)
    length = np.linalg.norm(mean, axis=1)
    return mean, np.divide(1.0, length, out=np.zeros(n + 1), where=length > 0)


def states(rng: Rng, n: int) -> np.ndarray:
    """(5, n, 4) of DeepSORT's filter."""
    xyxy = boxes(rng, n).astype(np.float64)
    size = xyxy[:, 2:] - xyxy[:, :2]
    aspect = size[:, :1] / size[:, 1:]
    state = ConstantVelocity().initiate(
        np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, aspect, size[:, 1:]], axis=1)
    )
    state[1] = rng.normal(0, 0.3, (n, 4))
    state[3] = rng.uniform(0, 1e-4, (n, 4))
    return state


def near(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pairs, each once, in rows' order: about three of each, in small groups."""
    row, column = np.repeat(np.arange(n), 3), rng.integers(-2, 3, 3 * n)
    column = np.clip(row + column, 0, max(n - 1, 0))
    pairs = np.unique(np.stack([row, column]), axis=1) if n else np.zeros((2, 0), np.intp)
    pairs = pairs[:, rng.random(pairs.shape[1]) < 0.6]
    return pairs[0].astype(np.intp), pairs[1].astype(np.intp)


def some(rng: Rng, n: int) -> np.ndarray:
    """Some of n, ascending, each once."""
    return np.flatnonzero(rng.random(n) < 0.7)


def held(rng: Rng, n: int) -> np.ndarray:
    """(n,) -1 for some, others' numbers for the rest, each once."""
    return np.where(rng.random(n) < 0.5, -1, rng.permutation(n))


def _measure(rng: Rng, n: int) -> tuple[Any, ...]:
    xyxy = boxes(rng, n)
    if n > 3 and rng.random() < 0.3:
        xyxy[2, 2] = xyxy[2, 0] + np.float32(0.5)
    return xyxy, rng.uniform(0, 1, n).astype(np.float32)


def _absorb(rng: Rng, n: int) -> tuple[Any, ...]:
    hit, table = some(rng, n), detections(rng, n + 2)
    seen = rng.permutation(n + 2)[: len(hit)]
    table[:2, seen] = tracks(np.random.default_rng(0), n)[:2, hit] + rng.normal(0, 30, (2, len(hit)))
    terms = (TERMS, -0.7) if rng.random() < 0.7 else None
    return tracks(rng, n), counts(rng, n), hit, table, seen, np.arange(n + 2) + 5, 10.0, 3, terms


def _hidden_part(rng: Rng, n: int) -> tuple[Any, ...]:
    track, detection = near(rng, n)
    detection_of = held(rng, n)
    matched = np.flatnonzero(detection_of >= 0)
    table = detections(rng, n)
    table[7] = np.round(table[7], -2)  # many stand equally low
    return track, detection, detection_of, table, matched[rng.random(len(matched)) < 0.8]


def _undisputed(rng: Rng, n: int) -> tuple[Any, ...]:
    track, detection = near(rng, n)
    spread = rng.choice([4.0, 20.0])
    return rng.normal(8, spread, len(track)), track, detection, n, n


def _gallery(rng: Rng, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    ring = np.stack([looks(rng, 6) for _ in range(n + 1)])
    return looks(rng, n + 1), ring, rng.integers(0, 9, n + 1), rng.permutation(n + 1)[:n]


def _unlike_newest(rng: Rng, n: int) -> tuple[Any, ...]:
    newest, slots, asked = looks(rng, n + 1), rng.permutation(n + 1)[:n], looks(rng, n)
    # The sum's order must not decide: what lies at the limit is moved away.
    close = np.abs(np.vecdot(newest[slots].astype(np.float64), asked) - 0.6) < 1e-4
    asked[close] = 0.0
    return newest, slots, asked, 0.4


def _unit_rows(rng: Rng, n: int) -> tuple[Any, ...]:
    return (looks(rng, n) * np.float32(rng.choice([1.0, 3.0])),)


def _smooth(rng: Rng, n: int) -> tuple[Any, ...]:
    mean, scale = memory(rng, n)
    slots = rng.permutation(n + 1)[:n]
    return mean, scale, rng.integers(0, 30, n + 1), slots, looks(rng, n), rng.uniform(0, 1, n)


INPUTS: dict[str, Callable[[Rng, int], tuple[Any, ...]]] = {
    "absorb": _absorb,
    "advance": lambda rng, n: (states(rng, n), ConstantVelocity()._process, rng.uniform(0.1, 9)),
    "amend": lambda rng, n: (
        states(rng, n),
        states(rng, n)[0],
        ConstantVelocity().innovation_variance(states(rng, n)),
        rng.integers(0, 2, n).astype(np.uint8) if rng.random() < 0.5 else None,
    ),
    "append_looks": lambda rng, n: (*_gallery(rng, n), looks(rng, n)),
    "gallery_distance": lambda rng, n: (*_gallery(rng, n)[1:], looks(rng, n)),
    "gated_pairs": lambda rng, n: (
        states(rng, n)[0],
        ConstantVelocity().innovation_variance(states(rng, n)),
        states(rng, n + 3)[0],
    ),
    "best_columns": lambda rng, n: (gains(rng, n),),
    "hidden_part": _hidden_part,
    "look_distance": lambda rng, n: (*memory(rng, n), rng.integers(0, n + 1, n), looks(rng, n)),
    "look_ratio": lambda rng, n: (*memory(rng, n), rng.integers(0, n + 1, n), looks(rng, n), TERMS),
    "match_pairs": lambda rng, n: (*(pairs := near(rng, n)), rng.uniform(-1, 1, len(pairs[0])), 0.5),
    "measure": _measure,
    "near_pairs": lambda rng, n: (
        tracks(rng, n)[:2],
        rng.choice([1.0, 60.0, 300.0], n),
        detections(rng, n + 3)[:2],
    ),
    "newborn": lambda rng, n: (detections(rng, n), 10.0, (TERMS, -0.7) if rng.random() < 0.7 else None),
    "open_pairs": lambda rng, n: (
        *(pairs := near(rng, n)),
        rng.normal(0, 5, len(pairs[0])),
        held(rng, n),
        held(rng, n),
        -6.0,
    ),
    "overdue": lambda rng, n: (tracks(rng, n), counts(rng, n), 10.01, 0.05, 0.5),
    "overlapping_pairs": lambda rng, n: (boxes(rng, n).astype(np.float64), boxes(rng, n + 2)),
    "pair_ratio": lambda rng, n: (
        motion_table(rng, n),
        *((pairs := near(rng, n))[0], detections(rng, n), pairs[1]),
        2.0,
        0.3,
    ),
    "predict": lambda rng, n: (tracks(rng, n), rng.uniform(0.01, 2)),
    "prospects": lambda rng, n: (tracks(rng, n), absent(rng, n), rng.uniform(0.01, 1)),
    "reach": lambda rng, n: (motion_table(rng, n), some(rng, n), 6.0),
    "shown": lambda rng, n: (tracks(rng, n), counts(rng, n), absent(rng, n), 0.15),
    "smooth_looks": _smooth,
    "spread_of": lambda rng, n: (states(rng, n), ConstantVelocity()._measured),
    "undisputed": _undisputed,
    "unit_rows": _unit_rows,
    "unlike_newest": _unlike_newest,
    "weaken": lambda rng, n: (tracks(rng, n), absent(rng, n), 0.15),
    "xyah_to_xyxy": lambda rng, n: (states(rng, n)[0] * rng.choice([1.0, -1.0], (n, 4)),),
}
"""By the kernel's name."""


def gains(rng: Rng, n: int) -> np.ndarray:
    """(n, about n) of which many are equal, and most none; at most 150 rows, as the cost grows with n^3."""
    n = min(n, 150)
    table = rng.uniform(0, 1, (n, max(n + rng.integers(-3, 4), 0)))
    if rng.random() < 0.5:
        table = np.rint(3 * table)
    return table * (rng.random(table.shape) < 0.5)


def motion_table(rng: Rng, n: int) -> np.ndarray:
    """(12, n) as `prospects` returns it."""
    expected = detections(rng, n)
    spread = rng.uniform([[5.0], [0.01]], [[500.0], [0.1]], (2, n))
    rest = [spread, rng.normal(0, 5, (1, n)), expected[4:9], rng.uniform(10, 90, (1, n))]
    return np.concatenate([expected[:3], *rest])

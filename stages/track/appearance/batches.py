"""The batches of a training: every identity equally often, every crop a little different each time."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from stages.track.appearance.patches import U8Array
from stages.track.boxes import IntArray

_SHIFT, _ZOOM = 0.06, 0.08
_GAIN, _OFFSET = 0.2, 16.0
_ERASED_SHARE, _ERASED_SIDE = 0.3, (0.15, 0.4)


def balanced_batches(
    identity: IntArray, identities: int, crops: int, rng: np.random.Generator
) -> Iterator[IntArray]:
    """Yield without end the rows of P x K crops: P different identities, K crops of each (Hermans, 2.1).

    Args:
        identity: (N,) of each crop.
        identities: P; all when there are fewer.
        crops: K; an identity with fewer gives some of them twice.
        rng: chooses.
    """
    rows = [np.flatnonzero(identity == one) for one in np.unique(identity)]
    count = min(identities, len(rows))
    queue: list[int] = []
    while True:
        if len(queue) < count:
            # Those that still wait come last in the new round, so that a batch never has one twice.
            waiting = set(queue)
            queue += sorted(rng.permutation(len(rows)).tolist(), key=waiting.__contains__)
        chosen, queue = queue[:count], queue[count:]
        yield np.concatenate([rng.choice(rows[one], crops, replace=len(rows[one]) < crops) for one in chosen])


def augmented(patches: U8Array, rng: np.random.Generator) -> U8Array:
    """Return (N, H, W, 3) patches as a detector or another light might have given them.

    Mirrored, shifted and zoomed by a few hundredths as boxes are, brighter or darker, and some with a part
    hidden (Zhong et al., "Random erasing", 2017).
    """
    height, width = patches.shape[1:3]
    out = np.empty_like(patches)
    for source, target in zip(patches, out, strict=True):
        zoom = 1 + rng.uniform(-_ZOOM, _ZOOM)
        mirror = -1 if rng.random() < 0.5 else 1
        shift = rng.uniform(-_SHIFT, _SHIFT, 2) * (width, height)
        centre = np.array([width - 1, height - 1]) / 2
        linear = np.diag([mirror * zoom, zoom])
        affine = np.column_stack([linear, centre - linear @ centre + shift])
        cv2.warpAffine(source, affine, (width, height), dst=target, borderMode=cv2.BORDER_REPLICATE)
        gain, offset = 1 + rng.uniform(-_GAIN, _GAIN), rng.uniform(-_OFFSET, _OFFSET)
        # Saturates; convertScaleAbs would mirror what falls below 0.
        cv2.addWeighted(target, gain, target, 0, offset, dst=target)
        if rng.random() < _ERASED_SHARE:
            _erase(target, rng)
    return out


def _erase(patch: U8Array, rng: np.random.Generator) -> None:
    height, width = patch.shape[:2]
    w, h = (max(int(side * rng.uniform(*_ERASED_SIDE)), 1) for side in (width, height))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    patch[y : y + h, x : x + w] = rng.integers(0, 256, (h, w, 3), np.uint8)

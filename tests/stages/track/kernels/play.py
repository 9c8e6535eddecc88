"""Plays sequences to the methods and saves what they say: run once with the kernels and once without.

SIGHTLINE_PURE=1 python -m tests.stages.track.kernels.play crowds OUT.npz
python -m tests.stages.track.kernels.play FOLDER OUT.npz              # a folder of MOTChallenge sequences
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.objects import Detections
from stages.track.evaluate.motchallenge import read_sequences
from stages.track.kernels import describe
from stages.track.methods import METHODS, make_tracker

_RATE_HZ = 30.0
_LABELS = np.array(["person", "car", "truck"])


def crowd(n: int, frames: int, seed: int, labels: int) -> Iterator[Detections]:
    """N objects that walk, hide, are missed and mistaken for others, among false detections."""
    rng = np.random.default_rng([seed, n])
    area = np.array([1920.0, 1080.0]) * np.sqrt(n / 50)
    place, step, height = rng.uniform(0, area, (n, 2)), rng.normal(0, 3, (n, 2)), rng.uniform(60, 140, n)
    face, hidden, label = rng.standard_normal((n, 32)), np.zeros(n, int), rng.integers(0, labels, n)
    for _ in range(frames):
        step += rng.normal(0, 0.1, step.shape)
        place += step
        step[(place < 0) | (place > area)] *= -1
        hidden = np.where(rng.random(n) < 0.01, rng.integers(2, 40, n), np.maximum(hidden - 1, 0))
        seen = np.flatnonzero((hidden == 0) & (rng.random(n) > 0.03))
        false = rng.poisson(0.03 * n)
        centre = np.concatenate(
            [place[seen] + rng.normal(0, 2, (len(seen), 2)), rng.uniform(0, area, (false, 2))]
        )
        tall = np.concatenate([height[seen] * rng.normal(1, 0.02, len(seen)), rng.uniform(50, 150, false)])
        half = np.stack([0.2 * tall, 0.5 * tall], axis=1)
        look = np.concatenate(
            [face[seen] + 0.35 * rng.standard_normal((len(seen), 32)), rng.standard_normal((false, 32))]
        )
        score = np.concatenate([rng.uniform(0.5, 1, len(seen)), rng.uniform(0.1, 0.6, false)])
        mistaken = rng.random(len(seen)) < 0.05
        named = np.concatenate(
            [np.where(mistaken, rng.integers(0, labels, len(seen)), label[seen]), np.zeros(false, int)]
        )
        xyxy = np.concatenate([centre - half, centre + half], axis=1)
        yield Detections(xyxy, score, _LABELS[named], look)


def sequences(what: str) -> Iterator[tuple[str, float, list[Detections]]]:
    """Name, frames per second, and the tables of each sequence."""
    if what == "crowds":
        for n, frames in ((6, 300), (40, 200), (150, 60)):
            for labels in (1, 3):
                yield f"{n} objects, {labels} labels", _RATE_HZ, list(crowd(n, frames, labels, labels))
    else:
        for read in read_sequences([Path(what)]):
            assert read.detections is not None
            tables = [read.detections.of(frame) for frame in range(1, read.frames + 1)]
            yield read.name, read.rate_hz, tables


def main(what: str, out: str) -> None:
    said = {}
    for name, rate_hz, tables in sequences(what):
        for method in METHODS:
            tracker, rows = make_tracker(method), []
            for k, table in enumerate(tables):
                tracks = tracker.update(table, k / rate_hz)
                rows.append(
                    np.column_stack([np.full(len(tracks), k), tracks.id, tracks.detection, tracks.xyxy])
                )
            said[f"{method}: {name}"] = np.concatenate(rows)
    np.savez(out, **said)
    print(describe())  # noqa: T201 - for the test to read


if __name__ == "__main__":
    main(*sys.argv[1:])

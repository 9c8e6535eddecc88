"""Scenes for the default method's tests: boxes by hand, faces with noise, crowds, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.objects import Detections, Tracks
from stages.track.sightline.settings import Settings
from stages.track.sightline.tracker import Sightline

DT = 1 / 30
Box = tuple[float, float, float, float]
Embedding = npt.NDArray[np.float32]
EMPTY = Detections.empty()


def box(x: float, y: float = 200.0, w: float = 40.0, h: float = 100.0) -> Box:
    """The corners of a box around a centre; 100 px high unless said otherwise."""
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def seen(boxes: Iterable[Box], looks: Any = None, score: Any = 0.9, label: Any = "person") -> Detections:
    """A table of detections; a single score or label counts for all."""
    xyxy = np.array(list(boxes), np.float32).reshape(-1, 4)
    n = len(xyxy)
    embedding = None if looks is None else np.asarray(looks, np.float32)
    return Detections(
        xyxy, np.array(np.broadcast_to(score, n)), np.array(np.broadcast_to(label, n), np.str_), embedding
    )


def faces(n: int, length: int = 32, seed: int = 0) -> Embedding:
    """(n, length) unit vectors: what n objects look like."""
    rows = np.random.default_rng(seed).standard_normal((n, length))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def glimpse(face: Embedding, rng: np.random.Generator, noise: float = 0.6) -> Embedding:
    """What a network makes of faces at one moment: about 0.13 from another glimpse, in cosine distance."""
    rows = np.atleast_2d(face)
    return np.asarray(rows + noise * rng.standard_normal(rows.shape) / np.sqrt(rows.shape[1]), np.float32)


def play(
    tracker: Any, frames: Iterable[Detections], dt_s: float = DT, start_s: float = 0.0, **keywords: Any
) -> list[Tracks]:
    """What the tracker says to each frame; every table is checked."""
    return [
        checked(tracker.update(detections, start_s + k * dt_s, **keywords))
        for k, detections in enumerate(frames)
    ]


def follow(frames: Iterable[Detections], dt_s: float = DT, **settings: Any) -> list[Tracks]:
    """Play the frames to a new tracker."""
    return play(Sightline(Settings(**settings)), frames, dt_s)


def checked(tracks: Tracks) -> Tracks:
    """The same tracks, after all that `Tracks` promises was checked, and that no detection serves two."""
    Tracks(**{field.name: getattr(tracks, field.name) for field in fields(tracks)})
    assert tracks.xyxy.dtype == np.float32
    assert (tracks.id.dtype, tracks.detection.dtype) == (np.int64, np.int64)
    assert (np.diff(tracks.id) > 0).all()
    assert (tracks.id >= 1).all()
    assert (tracks.predicted == (tracks.missed_s > 0)).all()
    own = tracks.detection[~tracks.predicted].tolist()
    assert len(set(own)) == len(own), "two tracks matched the same detection"
    return tracks


def ids(history: Iterable[Tracks]) -> list[list[int]]:
    """The ids of each frame."""
    return [tracks.id.tolist() for tracks in history]


def all_ids(history: Iterable[Tracks]) -> set[int]:
    """The ids of all frames."""
    return {ident for tracks in history for ident in tracks.id.tolist()}


def links(tracks: Tracks) -> dict[int, int]:
    """Detection -> id, without the predicted."""
    return {d: i for d, i in zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True) if d >= 0}


def partition(tables: Sequence[Detections], history: Sequence[Tracks]) -> set[frozenset[tuple[int, bytes]]]:
    """The tracks as sets of (frame, box), whatever their ids."""
    members: dict[int, set[tuple[int, bytes]]] = {}
    for k, (table, tracks) in enumerate(zip(tables, history, strict=True)):
        for row, ident in links(tracks).items():
            members.setdefault(ident, set()).add((k, table.xyxy[row].tobytes()))
    return {frozenset(member) for member in members.values()}


def crowd(seed: int, frames: int = 60, n: int = 20, *, looks: bool = True) -> list[Detections]:
    """Objects that walk, are missed now and then, change their score; two false detections a frame."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 1200, (n, 2)), rng.normal(0, 3, (n, 2))
    face = faces(n, seed=seed)
    tables = []
    for k in range(frames):
        shown = np.flatnonzero(rng.random(n) < 0.9)
        centre = np.concatenate([place[shown] + k * speed[shown], rng.uniform(0, 1200, (2, 2))])
        centre += rng.normal(0, 2, centre.shape)
        look = np.concatenate([glimpse(face[shown], rng), rng.standard_normal((2, 32)).astype(np.float32)])
        score = np.concatenate([rng.uniform(0.4, 1, len(shown)), rng.uniform(0.1, 0.6, 2)])
        tables.append(seen([box(*c) for c in centre], look if looks else None, score))
    return tables


def same_tracks(one: Tracks, two: Tracks) -> bool:
    """Whether two tables are equal to the last bit."""
    return all(np.array_equal(getattr(one, field.name), getattr(two, field.name)) for field in fields(one))

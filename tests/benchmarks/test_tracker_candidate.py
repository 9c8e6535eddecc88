"""Our methods behind the interface of the bench's adapters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import tracker_candidate
from benchmarks.tracker_candidate import CANDIDATES
from stages.track.methods import METHODS


def boxes(frame: int, count: int) -> np.ndarray:
    left = 200.0 * np.arange(count) + 2 * frame
    return np.column_stack([left, np.full(count, 50.0), left + 40, np.full(count, 150.0)]).astype(np.float32)


def followed(name: str, scores: list[float], patience_s: float | None = None, hidden: int = 0) -> Any:
    """The rows after 12 frames; all objects are hidden for so many frames before the last one."""
    count = len(scores)
    tracker = CANDIDATES[name](fps=30.0, patience_s=patience_s)
    looks = np.eye(count, 16, dtype=np.float32)
    for frame in range(12 + hidden):
        shown = 0 if 11 <= frame < 11 + hidden else count
        rows = tracker.update(
            frame,
            boxes(min(frame, 12), count)[:shown],
            np.array(scores[:shown], np.float32),
            np.zeros(shown, int),
            looks[:shown],
        )
    return rows


def test_every_method_has_one() -> None:
    assert {kind.method for kind in CANDIDATES.values()} == set(METHODS)
    assert len({kind.__name__ for kind in CANDIDATES.values()}) == len(CANDIDATES)
    for name in ("Sightline", "SightlinePublished", "SightlineMotion"):
        assert hasattr(tracker_candidate, name)


@pytest.mark.parametrize("name", CANDIDATES)
def test_objects_keep_their_ids(name: str) -> None:
    rows = followed(name, [0.9, 0.8, 0.95])
    assert rows.shape == (3, 5)
    assert rows[np.argsort(rows[:, 0]), 4].tolist() == [1, 2, 3]
    np.testing.assert_allclose(rows[np.argsort(rows[:, 0]), :4], boxes(11, 3), atol=3)


@pytest.mark.parametrize(
    ("name", "all_scores"),
    [
        ("sightline", True),
        ("sightline (motion)", True),
        ("bytetrack", True),
        ("ocsort", True),
        ("botsort", True),
        ("deepsort", False),
        ("sort", False),
    ],
)
def test_who_sees_weak_detections(name: str, all_scores: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    candidate = CANDIDATES[name]()
    update = candidate._tracker.update

    def noting(detections: Any, pts_s: float) -> Any:
        seen.append(len(detections))
        assert (detections.embedding is not None) is candidate.uses_embeddings
        return update(detections, pts_s)

    monkeypatch.setattr(candidate._tracker, "update", noting)
    candidate.update(0, boxes(0, 3), np.array([0.9, 0.2, 0.3], np.float32), np.zeros(3, int), np.eye(3, 8))
    assert seen == [3 if all_scores else 2]


@pytest.mark.parametrize(("patience_s", "same"), [(0.1, False), (3.0, True)])
def test_patience_is_the_memory(patience_s: float, same: bool) -> None:
    before = followed("deepsort", [0.9])
    after = followed("deepsort", [0.9], patience_s, hidden=20)
    assert before[0, 4] == 1
    assert (after[:, 4].tolist() == [1]) is same

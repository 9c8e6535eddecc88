"""Which stretches of a recording count as beyond doubt."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from stages.track.tune.recording import Recording
from stages.track.tune.reference import References, find_references
from tests.shared_data import shared
from tests.stages.track.tune.scenes import recording, walk

Path_ = list[tuple[float, tuple[float, ...]]]


def without(path: Path_, begin_s: float, end_s: float) -> Path_:
    return [(at, box) for at, box in path if not begin_s - 1e-6 <= at <= end_s + 1e-6]


CASES: dict[str, tuple[list[Path_], list[tuple[float, float]]]] = {
    # name: paths; first and last time of each reference object
    "alone": ([walk(100, 0, 4)], [(0, 4)]),
    "too short": ([walk(100, 0, 1.2)], []),
    "two lanes": ([walk(100, 0, 4), walk(400, 1, 5)], [(0, 4), (1, 5)]),
    "missed for a moment": ([without(walk(100, 0, 4), 2.0, 2.1)], [(0, 4)]),
    "missed for longer": ([without(walk(100, 0, 5), 2.0, 2.6)], [(0, 1.9), (2.7, 5)]),
    "seen only now and then": ([[step for k, step in enumerate(walk(100, 0, 6)) if k % 3 == 0]], []),
    "jumps": ([walk(100, 0, 2), walk(100, 2.1, 4, x=500)], [(0, 2), (2.1, 4)]),
    "side by side in doubt": ([walk(100, 0, 4), walk(110, 0, 4, x=210)], []),
    "grows at once": (
        [[(at, (a, b, a + (40 if at < 2 else 90), d)) for at, (a, b, _, d) in walk(100, 0, 4)]],
        [(0, 1.9), (2, 4)],
    ),
    "nobody": ([], []),
}


@pytest.mark.parametrize("name", CASES)
def test_stretches(name: str) -> None:
    paths, wanted = CASES[name]
    found = find_references(recording(paths))
    got = sorted(zip(found.first_s.tolist(), found.last_s.tolist(), strict=True))
    assert [pytest.approx(pair) for pair in wanted] == got


def test_no_stretch_goes_through_a_meeting() -> None:
    stands, passes = walk(100, 0, 8, speed=0), walk(100, 0, 8, x=0, speed=50)  # at one place at 4 s
    found = find_references(recording([stands, passes]))
    assert len(found) == 4
    assert not ((found.first_s < 3.8) & (found.last_s > 4.2)).any()


def test_rows_know_their_object() -> None:
    made = recording([walk(100, 0, 3), walk(400, 0, 3)])
    found = find_references(made)
    assert found.object_of.reshape(-1, 2).T.tolist() == [[0] * 31, [1] * 31]


def test_what_is_too_short_for_an_identity_may_be_real() -> None:
    made = recording([walk(100, 0, 3), walk(300, 0, 1), walk(500, 0, 0.4)])
    found = find_references(made)
    lanes = [found.real_of[made.xyxy[:, 1] == lane] for lane in (100, 300, 500)]
    assert [np.unique(lane >= 0).tolist() for lane in lanes] == [[True], [True], [False]]
    assert (found.object_of[made.xyxy[:, 1] == 300] == -1).all()


def test_who_was_there_together() -> None:
    times = np.array([0.0, 2.0, 5.0]), np.array([3.0, 4.0, 6.0])
    nobody = np.zeros(0, np.intp)
    together = References(nobody, nobody, *times).coexist()
    assert together.tolist() == [[False, True, False], [True, False, False], [False, False, False]]


def test_detections_of_real_sequences_are_joined_to_one_person_each() -> None:
    """Of 51 stretches in all six sequences 50 were of one person, by the truth."""
    folder = shared("mot15/ETH-Sunnyday").parent
    shares = [share for each in read_sequences([folder], names=SEQUENCES) for share in _purity(each)]
    assert len(shares) >= 20
    assert np.mean(np.array(shares) >= 0.9) >= 0.95


SEQUENCES = ("ETH-Sunnyday", "KITTI-17")


def _purity(sequence: MotSequence) -> list[float]:
    """Return for each stretch what share of it is the person it shows most."""
    assert sequence.detections is not None
    frames = range(1, sequence.frames + 1)
    tables = [sequence.detections.of(frame) for frame in frames]
    made = Recording.of([sequence.pts_s(frame) for frame in frames], tables, 1920, 1080)
    person = np.full(len(made), -1)
    for frame in frames:
        truth = sequence.truth[sequence.truth[:, 0] == frame]
        rows = np.arange(made.start[frame - 1], made.start[frame])
        if len(truth) and len(rows):
            overlap = _iou(made.xyxy[rows].astype(float), truth[:, 2:6])
            sure = overlap.max(axis=1) >= 0.5
            person[rows[sure]] = truth[overlap.argmax(axis=1)[sure], 1]
    found = find_references(made)
    shares = []
    for each in range(len(found)):
        seen = person[(found.object_of == each) & (person >= 0)]
        if len(seen) >= 5:
            shares.append(float(np.unique(seen, return_counts=True)[1].max() / len(seen)))
    return shares


def _iou(xyxy: np.ndarray, xywh: np.ndarray) -> np.ndarray:
    other = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    low, high = np.maximum(xyxy[:, None, :2], other[:, :2]), np.minimum(xyxy[:, None, 2:], other[:, 2:])
    shared_area = np.clip(high - low, 0, None).prod(axis=2)
    areas = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)[:, None] + xywh[:, 2:].prod(axis=1)
    return shared_area / (areas - shared_area)

"""When a track counts as an object."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.sightline import evidence
from stages.track.sightline.evidence import Scores, after_hit, after_miss, strengthen
from tests.stages.track.sightline.scenes import EMPTY, all_ids, box, follow, ids, seen


def taught(objects: float, false: float, n: int = 300) -> Scores:
    rng, scores = np.random.default_rng(0), Scores()
    for _ in range(n // 10):
        scores.of_objects.learn(rng.normal(objects, 0.08, 10))
        scores.of_false.learn(rng.normal(false, 0.08, 10))
    return scores


def test_scores_say_nothing_before_anything_was_learned() -> None:
    scores = Scores()
    assert scores.log_odds(np.array([0.0, 0.5, 1.0])).tolist() == [0, 0, 0]
    scores.of_objects.learn(np.full(100, 0.9))
    assert scores.log_odds(np.array([0.0, 0.5, 1.0])).tolist() == [0, 0, 0]


def test_high_scores_speak_for_an_object_and_low_ones_against() -> None:
    odds = taught(0.8, 0.4).log_odds(np.linspace(0, 1, 21))
    assert (np.diff(odds) >= 0).all()
    assert odds[0] < -0.5
    assert odds[-1] > 0.5


def test_scores_that_tell_the_wrong_way_round_are_not_believed() -> None:
    assert taught(0.4, 0.8).log_odds(np.array([0.2, 0.9])).tolist() == [0, 0]


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_scores_say_more_the_more_was_learned(n: int) -> None:
    few, many = taught(0.8, 0.4, n), taught(0.8, 0.4, 10 * n)
    assert abs(few.log_odds(np.array([0.35]))[0]) <= abs(many.log_odds(np.array([0.35]))[0]) <= 1


def test_tracks_are_strengthened_as_if_one_by_one() -> None:
    """Those who have the most already are not asked what their score says."""
    rng, scores = np.random.default_rng(1), taught(0.8, 0.4)
    before, score = rng.uniform(-5, 10, 200), rng.uniform(0, 1, 200)
    after = before.copy()
    strengthen(after, score, scores.terms())
    slow = [after_hit(before[k : k + 1], scores.log_odds(score[k : k + 1]))[0] for k in range(200)]
    np.testing.assert_allclose(after, slow, rtol=1e-12)


def test_evidence_is_bounded_both_ways() -> None:
    for_it, against = np.zeros(2), np.zeros(2)
    for _ in range(1000):
        for_it = after_hit(for_it, np.ones(2))
        after_miss(against, np.array([True, False]))
    assert (for_it < 20).all()
    assert -20 < against[0] < evidence.HIDDEN
    assert against[1] == 0


@pytest.mark.parametrize("score", [0.4, 0.6, 0.95])
def test_clutter_that_fires_half_the_time_is_not_reported(score: float) -> None:
    frames = [seen([box(100)] if k % 2 else [], score=score) for k in range(200)]
    assert all_ids(follow(frames)) == set()


def objects_and(scores_of_clutter: tuple[float, float], frames: int = 600) -> list:
    """Three steady objects, and weak false detections all over the place that never come again."""
    rng = np.random.default_rng(5)
    tables = []
    for k in range(frames):
        steady = [box(100 + k % 2), box(400, 300), box(700)]
        clutter = [box(x, 900) for x in rng.uniform(0, 5000, rng.integers(0, 4))]
        score = np.concatenate([rng.uniform(0.8, 0.95, 3), rng.uniform(*scores_of_clutter, len(clutter))])
        tables.append((steady, clutter, score))
    return tables


def test_what_fires_at_random_is_suppressed_once_scores_are_known() -> None:
    """In one place, every second frame by chance: three in a row come soon, but their scores tell."""
    rng = np.random.default_rng(6)
    frames = []
    for k, (steady, clutter, score) in enumerate(objects_and((0.32, 0.5))):
        lamp = [box(1000, 400)] if k > 300 and rng.random() < 0.5 else []
        weak = np.full(len(lamp), 0.4)
        frames.append(seen([*steady, *lamp, *clutter], score=np.r_[score[:3], weak, score[3:]]))
    history = follow(frames)
    lamp_shown = sum(bool((np.abs(t.xyxy[:, 0] - 980) < 60).any()) for t in history)
    assert lamp_shown < 30  # of 300
    assert set(ids(history)[-1]) >= {1, 2, 3}


def test_an_object_with_low_scores_that_is_seen_steadily_is_reported() -> None:
    frames = []
    for k, (steady, clutter, score) in enumerate(objects_and((0.32, 0.5))):
        faint = [box(1000 + k, 400)] if k > 300 else []
        frames.append(
            seen([*steady, *faint, *clutter], score=np.r_[score[:3], np.full(len(faint), 0.4), score[3:]])
        )
    history = follow(frames)
    shown = [(np.abs(t.xyxy[:, 0] - (980 + k)) < 20).any() for k, t in enumerate(history)]
    assert not any(shown[:301])
    assert all(shown[340:])


@pytest.mark.parametrize(
    ("what", "pattern", "shown_at_last"),
    [
        ("hardly a track, then hardly ever seen", "###...#...", False),
        ("the same after a second of certainty", 30 * "#" + "...#...", True),
        ("hidden, and then seen again", "###...#..." + 5 * "#", True),
    ],
)
def test_a_doubtful_track_that_is_missed_is_no_longer_shown(
    what: str, pattern: str, shown_at_last: bool
) -> None:
    frames = [seen([box(100)]) if mark == "#" else EMPTY for mark in pattern]
    history = ids(follow(frames, report_predicted_s=1.0))
    assert history[pattern.index(".") - 1] == [1]
    assert history[-1] == ([1] if shown_at_last else []), what

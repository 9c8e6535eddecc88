"""What is hidden and dropped, and when."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.tune.recording import Recording
from stages.track.tune.reference import References, find_references
from stages.track.tune.trials import Absences, Trials, draw_trials, hidden_rows, lengths_up_to
from tests.stages.track.tune.scenes import recording, walk


@pytest.fixture(scope="module")
def scene() -> tuple[Recording, References]:
    made = recording([walk(20 + 110 * lane, 0, 10) for lane in range(6)])
    return made, find_references(made)


def drawn(scene: tuple[Recording, References], seed: int = 0, rounds: int = 4) -> Trials:
    return draw_trials(*scene, (0.3, 1.0, 2.0, 4.0), rounds, seed)


@pytest.mark.parametrize(
    ("longest_s", "lengths_s"),
    [(4.0, (0.3, 1, 2, 4)), (0.5, (0.3, 0.5)), (6.0, (0.3, 1, 2, 4, 6)), (1.0, (0.3, 1))],
)
def test_lengths(longest_s: float, lengths_s: tuple[float, ...]) -> None:
    assert lengths_up_to(longest_s) == lengths_s


def test_equal_seeds_draw_equal_trials(scene: tuple[Recording, References]) -> None:
    one, same, other = drawn(scene), drawn(scene), drawn(scene, seed=1)
    assert np.array_equal(one.hidden, same.hidden)
    assert np.array_equal(one.dropped, same.dropped)
    assert not np.array_equal(one.hidden, other.hidden)
    assert one.runs == 1 + 4 + 3


@pytest.mark.parametrize("seed", range(5))
def test_an_object_is_seen_before_and_after(scene: tuple[Recording, References], seed: int) -> None:
    recorded, references = scene
    for absences, hidden in zip(*(drawn(scene, seed).absences, drawn(scene, seed).hidden), strict=True):
        for each in range(len(absences)):
            mine = references.object_of == absences.object[each]
            seen_s = recorded.time_of[mine & ~hidden]
            before = seen_s[seen_s < absences.begin_s[each]]
            assert len(before) >= 4
            if absences.length[each] < 0:
                assert before.max() == seen_s.max()
                continue
            length = absences.end_s[each] - absences.begin_s[each]
            assert length == pytest.approx((0.3, 1.0, 2.0, 4.0)[absences.length[each]])
            assert np.count_nonzero(seen_s >= absences.end_s[each]) >= 4
            away = mine & (recorded.time_of >= absences.begin_s[each])
            away &= recorded.time_of < absences.end_s[each]
            assert hidden[away].all()


def test_all_objects_and_lengths_take_part(scene: tuple[Recording, References]) -> None:
    trials = drawn(scene)
    assert set(np.concatenate([each.object for each in trials.absences]).tolist()) == set(range(6))
    kinds = np.concatenate([each.length for each in trials.absences])
    assert all(np.count_nonzero(kinds == kind) >= 3 for kind in range(4))
    for even, odd in ((0, 1), (2, 3)):  # while one half is hidden the other is there
        assert not set(trials.absences[even].object) & set(trials.absences[odd].object)


def test_shares_of_dropped_detections(scene: tuple[Recording, References]) -> None:
    assert [each.mean() for each in drawn(scene).dropped] == pytest.approx([0.1, 0.2, 0.3], abs=0.05)


def test_short_stretches_are_not_hidden_for_long() -> None:
    made = recording([walk(20 + 110 * lane, 0, 2) for lane in range(4)])
    trials = draw_trials(made, find_references(made), (0.3, 4.0), 2, 0)
    assert not (np.concatenate([each.length for each in trials.absences]) == 1).any()


def test_without_objects_nothing_is_hidden() -> None:
    made = recording([])
    trials = draw_trials(made, find_references(made), (0.3,), 2, 0)
    assert sum(map(len, trials.absences)) == 0


def test_what_an_absence_hides() -> None:
    made = recording([walk(100, 0, 2), walk(400, 0, 2)])
    absences = Absences(np.array([1]), np.array([0.5]), np.array([0.75]), np.array([0]))
    hidden = hidden_rows(made, find_references(made), absences).reshape(-1, 2)
    assert np.flatnonzero(hidden[:, 1]).tolist() == [5, 6, 7]
    assert not hidden[:, 0].any()

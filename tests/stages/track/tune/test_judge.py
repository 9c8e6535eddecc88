"""Sums done by hand: trackers that say what the test wants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.objects import Detections, Tracks
from stages.track.tune.judge import WEIGHTS, Evidence, Figures, judge
from stages.track.tune.recording import Recording
from stages.track.tune.reference import References, find_references
from stages.track.tune.trials import Absences, Trials, hidden_rows
from tests.stages.track.tune.scenes import recording, walk

Naming = Callable[[int, float], int]
"""(lane, media time) -> id, 0 for none."""


class Says:
    """A tracker that names the walker of a lane as it is told."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming

    def update(self, detections: Detections, pts_s: float, *, camera: object = None) -> Tracks:
        lanes = (detections.xyxy[:, 1] // 200).astype(int).tolist()
        ids = np.array([self.naming(lane, pts_s) for lane in lanes], np.int64)
        rows = np.flatnonzero(ids > 0)
        chosen = detections[rows]
        return Tracks(ids[rows], chosen.xyxy, chosen.score, chosen.label, rows, np.zeros(len(rows)))


@pytest.fixture(scope="module")
def scene() -> tuple[Recording, References]:
    made = recording([walk(10 + 200 * lane, 0, 6) for lane in range(3)])
    return made, find_references(made)


def figures(scene: tuple[Recording, References], naming: Naming, *, leaves: bool = False) -> Figures:
    """Lane 0 is hidden from 2 to 3 s, or from 2 s for good."""
    end_s, length = (np.inf, -1) if leaves else (3.0, 0)
    absences = Absences(np.array([0]), np.array([2.0]), np.array([end_s]), np.array([length]))
    nothing = np.zeros(len(scene[0]), np.bool_)
    trials = Trials((1.0, 2.0), (absences,), (hidden_rows(*scene, absences),), (nothing,))
    return judge(*scene, trials, lambda: Says(naming)).figures()


def perfect(lane: int, pts_s: float) -> int:
    return lane + 1


ABSENCES: dict[str, tuple[Naming, float, float]] = {
    # name: what the tracker says; back, own
    "same id again": (perfect, 1.0, 1.0),
    "new id": (lambda lane, t: 9 if lane == 0 and t >= 2.5 else lane + 1, 0.0, 1.0),
    "id taken by another": (lambda lane, t: [9, 1, 3][lane] if t >= 2.5 else lane + 1, 0.0, 0.0),
    "no id before": (lambda lane, t: 0 if lane == 0 and t < 2 else lane + 1, 0.0, 1.0),
    "no id after": (lambda lane, t: 0 if lane == 0 and t >= 2 else lane + 1, 0.0, 1.0),
    "named a little later": (lambda lane, t: 0 if lane == 0 and 2 <= t < 3.4 else lane + 1, 1.0, 1.0),
}


@pytest.mark.parametrize("name", ABSENCES)
def test_after_an_absence(name: str, scene: tuple[Recording, References]) -> None:
    naming, back, own = ABSENCES[name]
    found = figures(scene, naming)
    assert found.back[0] == back
    assert np.isnan(found.back[1])  # never tried
    assert found.own == own


def test_an_id_that_is_taken_for_a_moment_counts(scene: tuple[Recording, References]) -> None:
    found = figures(scene, lambda lane, t: [1 if not 2 <= t < 2.9 else 7, 1 if 2 <= t < 2.9 else 2, 3][lane])
    assert (found.back[0], found.own) == (1.0, 0.0)


def test_who_leaves_may_not_hand_the_id_on(scene: tuple[Recording, References]) -> None:
    assert figures(scene, perfect, leaves=True).own == 1.0

    def handed_on(lane: int, pts_s: float) -> int:
        return [1 if pts_s < 2 else 50, 2, 1 if pts_s >= 5 else 3][lane]

    late = figures(scene, handed_on, leaves=True)
    assert late.own == 0.0
    assert np.isnan(late.back).all()


def test_ids_of_flickering_objects_and_what_was_found(scene: tuple[Recording, References]) -> None:
    found = figures(scene, lambda lane, t: [1, 2 if t < 3 else 5, 0][lane])
    assert found.steady == pytest.approx((1 + 1 / 2) / 2)  # the third has none, which `found` tells
    assert found.found == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("naming", "brief"),
    [
        (perfect, 0),
        (lambda lane, t: 7 if lane == 1 and 2 <= t < 2.5 else lane + 1, 1),
        (lambda lane, t: 7 if lane == 1 and 2 <= t < 4 else lane + 1, 0),  # lasts
        (lambda lane, t: 7 if lane == 0 and 2 <= t < 2.5 else lane + 1, 0),  # at the picture's edge
        (lambda lane, t: 7 if lane == 1 and t < 0.4 else lane + 1, 0),  # may have begun before
        (lambda lane, t: 7 if lane == 1 and t >= 5.7 else lane + 1, 0),  # may go on
        (lambda lane, t: int(t * 2) + 10 if lane == 1 and 1 <= t < 4 else lane + 1, 6),
    ],
)
def test_brief_ids(naming: Naming, brief: int, scene: tuple[Recording, References]) -> None:
    found = figures(scene, naming)
    assert found.brief_per_minute == pytest.approx(brief * 10)  # of 6 s
    assert (found.lasting == 1) == (brief == 0)


def test_the_figure_is_the_weighted_mean_of_what_could_be_tried() -> None:
    assert sum(WEIGHTS.values()) == 100
    assert Figures((1.0, 1.0), 1.0, 1.0, 1.0, 1.0, 0.0).total == 100
    assert Figures((1.0, 0.0), 1.0, 1.0, 1.0, 1.0, 0.0).total == pytest.approx(87.5)
    assert Figures((np.nan, np.nan), np.nan, 0.5, 0.5, 0.5, 3.0).total == pytest.approx(50)
    assert Figures((np.nan,), np.nan, np.nan, np.nan, np.nan, 0.0).total == 0


def test_leaving_groups_out(scene: tuple[Recording, References]) -> None:
    two = np.array([1.0, 3.0])
    zero = np.zeros(2)
    made = Evidence(
        away=np.array([[2.0], [2.0]]),
        back=np.array([[0.0], [2.0]]),
        hidden=two,
        taken=np.array([1.0, 0.0]),
        flickered=zero,
        steady=zero,
        shown=two,
        found=two,
        ids=two,
        brief=zero,
        minutes=two,
    )
    assert (made.figures().back, made.figures(without=0).back, made.figures(without=1).back) == (
        (0.5,),
        (1,),
        (0,),
    )
    assert (made.figures().own, made.figures(without=0).own) == (0.75, 1.0)

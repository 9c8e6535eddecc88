"""Near pairs against brute force, all with all and by the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.track.sightline import candidates
from stages.track.sightline.candidates import near_pairs

WAYS = {"dense": 10**9, "grid": 0}
both_ways = pytest.mark.parametrize("cells", WAYS.values(), ids=WAYS)
WHOLE = st.integers(-8, 8).map(float)
POINTS = st.lists(st.tuples(WHOLE, WHOLE), min_size=1, max_size=12)


def brute(centre: np.ndarray, reach: np.ndarray, points: np.ndarray) -> list[tuple[int, int]]:
    return [
        (i, j)
        for i, (x, y) in enumerate(centre.T.tolist())
        for j, (px, py) in enumerate(points.T.tolist())
        if abs(px - x) <= reach[i] and abs(py - y) <= reach[i]
    ]


def found(centre: np.ndarray, reach: np.ndarray, points: np.ndarray) -> list[tuple[int, int]]:
    track, detection = near_pairs(centre, reach, points)
    assert (np.diff(track) >= 0).all(), "ordered by track"
    return sorted(zip(track.tolist(), detection.tolist(), strict=True))


@both_ways
@settings(max_examples=60, deadline=None)
@given(tracks=POINTS, detections=POINTS, reaches=st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_all_near_pairs_and_no_other_are_found(cells, tracks, detections, reaches) -> None:
    """Whole numbers: many points lie exactly at the edge of reach, where they still count."""
    centre, points = np.array(tracks).T, np.array(detections).T
    reach = np.array(reaches[: len(tracks)], np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "_DENSE_CELLS", cells)
        assert found(centre, reach, points) == brute(centre, reach, points)


@both_ways
@pytest.mark.parametrize(
    ("offset", "near"),
    [((5.0, 0.0), True), ((-5.0, 5.0), True), ((0.0, -5.0), True), ((5.5, 0.0), False), ((0.0, -5.5), False)],
)
def test_the_edge_belongs_to_it(cells: int, offset: tuple[float, float], near: bool, monkeypatch) -> None:
    monkeypatch.setattr(candidates, "_DENSE_CELLS", cells)
    centre = np.array([[10.0], [20.0]])
    assert bool(found(centre, np.array([5.0]), centre + np.array([offset]).T)) is near


@both_ways
@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0)])
def test_nothing_has_no_pairs(cells: int, n: int, m: int, monkeypatch) -> None:
    monkeypatch.setattr(candidates, "_DENSE_CELLS", cells)
    assert found(np.zeros((2, n)), np.ones(n), np.zeros((2, m))) == []


RNG = np.random.default_rng(2)
PLACE, OTHERS = RNG.uniform(0, 4000, (2, 40)), RNG.uniform(0, 4000, (2, 50))
ODD = {
    "coordinates of 1e30": (1e27 * PLACE, np.full(40, 3e29), 1e27 * OTHERS),
    "one track far off": (np.hstack([PLACE, [[-1e30], [1e30]]]), np.full(41, 500.0), OTHERS),
    "one point far off": (PLACE, np.full(40, 500.0), np.hstack([OTHERS, [[1e30], [-1e30]]])),
    "reaches from 0 to all": (PLACE, np.r_[np.zeros(10), np.full(20, 1e-6), np.full(10, 1e9)], OTHERS),
    "all in one point": (np.full((2, 9), 5.0), np.zeros(9), np.full((2, 9), 5.0)),
    "all in one line": (
        np.array([[0.0, 3, 9], [7, 7, 7]]),
        np.full(3, 2.0),
        np.array([[1.0, 2, 5], [7, 7, 7]]),
    ),
    "left of the picture": (PLACE - 5000, np.full(40, 300.0), OTHERS - 5000),
}


@both_ways
@pytest.mark.parametrize("case", ODD.values(), ids=ODD)
def test_odd_places(cells: int, case: tuple[np.ndarray, ...], monkeypatch) -> None:
    monkeypatch.setattr(candidates, "_DENSE_CELLS", cells)
    assert found(*case) == brute(*case)


def test_three_thousand() -> None:
    rng = np.random.default_rng(0)
    centre, points = rng.uniform(0, 4000, (2, 3000)), rng.uniform(0, 4000, (2, 3000))
    reach = rng.uniform(0, 80, 3000)
    near = np.abs(np.subtract.outer(centre[0], points[0])) <= reach[:, None]
    near &= np.abs(np.subtract.outer(centre[1], points[1])) <= reach[:, None]
    track, detection = near_pairs(centre, reach, points)
    got = np.zeros_like(near)
    got[track, detection] = True
    np.testing.assert_array_equal(got, near)
    assert len(track) == near.sum() > 4000


def test_one_reach_over_everything_finds_everything() -> None:
    rng = np.random.default_rng(1)
    centre, points = rng.uniform(0, 100, (2, 400)), rng.uniform(0, 100, (2, 300))
    reach = np.zeros(400)
    reach[7] = 1e9
    track, detection = near_pairs(centre, reach, points)
    assert np.unique(track).tolist() == [7]
    assert sorted(detection.tolist()) == list(range(300))

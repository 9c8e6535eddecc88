"""Tracks as columns: rows come and go together, labels are voted, and room is made once."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.population import Population

COLUMNS = ("id", "hits", "confirmed", "seen_s", "detection", "score", "label", "lead", "slot")


def born(count: int, first_id: int, label: str = "car", pts_s: float = 0.5) -> Population:
    place = np.arange(first_id, first_id + count)
    state = np.broadcast_to(place[:, None].astype(float), (5, count, 4))
    score = (place % 10 / 10).astype(np.float32)
    return Population.born(state, first_id, pts_s, place * 2, score, np.full(count, label), place * 3)


def test_new_tracks_have_been_seen_once() -> None:
    tracks = born(2, 7)
    assert len(tracks) == 2
    assert tracks.state.shape == (5, 2, 4)
    values = {name: getattr(tracks, name).tolist() for name in COLUMNS}
    assert values == {
        "id": [7, 8],
        "hits": [1, 1],
        "confirmed": [False, False],
        "seen_s": [0.5, 0.5],
        "detection": [14, 16],
        "score": pytest.approx([0.7, 0.8]),
        "label": ["car", "car"],
        "lead": pytest.approx([0.7, 0.8]),
        "slot": [21, 24],
    }


def test_rows_stay_together_when_tracks_come_and_go() -> None:
    rng = np.random.default_rng(0)
    tracks, next_id = Population.empty(), 1
    alive: list[int] = []
    for step in range(200):
        count = int(rng.integers(0, 5))
        more = born(count, next_id, "bus" if step % 2 else "motorcycle")
        if step % 3:
            tracks.append(more)
        else:
            columns = (more.detection, more.score, more.label, more.slot)
            tracks.begin(more.state, next_id, 0.5, *columns)
        alive += range(next_id, next_id + count)
        next_id += count
        rows = rng.random(len(tracks)) < 0.8
        tracks.keep(rows)
        alive = [id_ for id_, kept in zip(alive, rows, strict=True) if kept]
        assert tracks.id.tolist() == alive
        assert tracks.detection.tolist() == [2 * id_ for id_ in alive]
        assert tracks.slot.tolist() == [3 * id_ for id_ in alive]
        assert tracks.state[4, :, 3].tolist() == alive
        assert (
            tracks.score.tolist() == tracks.lead.tolist() == pytest.approx([id_ % 10 / 10 for id_ in alive])
        )
        assert set(tracks.label) <= {"bus", "motorcycle"}
        assert {len(getattr(tracks, name)) for name in COLUMNS} == {len(alive)}


def test_what_is_written_stays() -> None:
    tracks = born(3, 1)
    tracks.state = 2 * tracks.state
    tracks.confirmed |= np.array([True, False, True])
    tracks.hits[1] += 5
    tracks.append(born(20, 4))
    tracks.keep(np.arange(23) != 0)
    assert tracks.state[0, :3, 0].tolist() == [4, 6, 4]
    assert tracks.confirmed[:3].tolist() == [False, True, False]
    assert tracks.hits[:3].tolist() == [6, 1, 1]


@pytest.mark.parametrize("everyone", [True, False])
def test_a_hit_is_noted(everyone: bool) -> None:
    tracks = born(3, 1, "car")
    rows = slice(None) if everyone else np.array([0, 1, 2])
    score = np.array([0.5, 0.9, 0.1], np.float32)
    tracks.hit(rows, 2.0, np.array([5, 6, 7]), score, np.array(["car", "articulated lorry", "bus"]))
    assert tracks.hits.tolist() == [2, 2, 2]
    assert tracks.seen_s.tolist() == [2, 2, 2]
    assert tracks.detection.tolist() == [5, 6, 7]
    assert tracks.score.tolist() == pytest.approx([0.5, 0.9, 0.1])
    assert tracks.label.tolist() == ["car", "articulated lorry", "car"]
    assert tracks.lead.tolist() == pytest.approx([0.595, 0.71, 0.185])


def test_confirmed_tracks_and_those_seen_latest_are_worth_most() -> None:
    tracks = born(5, 1)
    tracks.confirmed[:] = [False, True, False, True, False]
    tracks.seen_s[:] = [5, 1, 4, 2, 3]
    assert [np.flatnonzero(tracks.most_valuable(count)).tolist() for count in (1, 2, 3, 9)] == [
        [3],
        [1, 3],
        [0, 1, 3],
        [0, 1, 2, 3, 4],
    ]

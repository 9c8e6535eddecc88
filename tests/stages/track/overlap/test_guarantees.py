"""What all recipes hold under any input: unique ids, finite states, bounds, order that does not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.objects import Detections, Tracks
from stages.track.overlap.settings import Settings
from stages.track.overlap.tracker import OverlapTracker
from tests.stages.track.overlap.test_tracker import DT, RECIPES, all_recipes, box, ids, play, seen


def crowd(seed: int, frames: int = 40, n: int = 25) -> list[Detections]:
    """Objects that move, are missed, and change their score; false detections."""
    rng = np.random.default_rng(seed)
    place, speed = rng.uniform(0, 900, (n, 2)), rng.normal(0, 4, (n, 2))
    looks = rng.standard_normal((n, 8))
    table = []
    for k in range(frames):
        shown = np.flatnonzero(rng.random(n) < 0.85)
        centre = np.concatenate([place[shown] + k * speed[shown], rng.uniform(0, 900, (2, 2))])
        centre += rng.normal(0, 2, centre.shape)
        look = np.concatenate([looks[shown], rng.standard_normal((2, 8))])
        table.append(seen([box(*c) for c in centre], rng.uniform(0.05, 1, len(centre)), look))
    return table


def partition(tables: list[Detections], history: list[Tracks]) -> set[frozenset[tuple[int, bytes]]]:
    """The tracks as sets of (frame, box), whatever their ids."""
    members: dict[int, set[tuple[int, bytes]]] = {}
    for k, (table, tracks) in enumerate(zip(tables, history, strict=True)):
        for ident, row in zip(tracks.id.tolist(), tracks.detection.tolist(), strict=True):
            members.setdefault(ident, set()).add((k, table.xyxy[row].tobytes()))
    return {frozenset(member) for member in members.values()}


@all_recipes
@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_detections_does_not_matter(name: str, seed: int) -> None:
    tables, rng = crowd(seed), np.random.default_rng(seed)
    shuffled = [table[rng.permutation(len(table))] for table in tables]
    one, two = play(OverlapTracker(RECIPES[name]), tables), play(OverlapTracker(RECIPES[name]), shuffled)
    assert len(partition(tables, one)) > 20
    assert partition(tables, one) == partition(shuffled, two)


@all_recipes
def test_rows_link_to_their_detections_and_ids_are_never_used_again(name: str) -> None:
    tables = crowd(3)
    last_seen: dict[int, int] = {}
    newest = 0
    for k, (table, tracks) in enumerate(
        zip(tables, play(OverlapTracker(RECIPES[name]), tables), strict=True)
    ):
        own = table.xyxy[tracks.detection]
        if RECIPES[name].report_filtered:
            own_height = own[:, 3] - own[:, 1]
            assert (np.abs(tracks.xyxy - own).max(axis=1, initial=0) < own_height).all()
        else:
            np.testing.assert_array_equal(tracks.xyxy, own)
        np.testing.assert_array_equal(tracks.score, table.score[tracks.detection])
        assert len(set(tracks.detection.tolist())) == len(tracks)
        assert (np.diff(tracks.id) > 0).all()
        assert (tracks.missed_s == 0).all()
        for ident in tracks.id.tolist():
            assert ident >= 1
            assert k - last_seen.get(ident, k) <= (60 if RECIPES[name].in_a_row else 31)
            last_seen[ident] = k
        newest = max([newest, *tracks.id.tolist()])
    assert newest > 10


FRAME = st.lists(
    st.tuples(
        st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0, 5e3), st.floats(0, 5e3), st.floats(0, 1)
    ),
    max_size=6,
)


@all_recipes
@settings(max_examples=8, deadline=None)
@given(frames=st.lists(st.tuples(FRAME, st.floats(1e-3, 4000), st.booleans()), min_size=2, max_size=12))
def test_the_state_stays_finite(name, frames) -> None:
    tracker, now = OverlapTracker(RECIPES[name]), 0.0
    for rows, dt_s, near in frames:
        now += DT if near else dt_s
        table = seen([(x, y, x + w, y + h) for x, y, w, h, _ in rows], [row[4] for row in rows])
        camera = np.array([[1.1, 0.2, 30], [-0.2, 0.9, -5]]) if near else None
        tracks = tracker.update(table, now, camera=camera)
        assert np.isfinite(tracker._tracks.state).all()
        assert (tracker._tracks.state[2::2] >= 0).all()
        assert set(tracks.detection.tolist()) <= set(range(len(rows)))


@all_recipes
@pytest.mark.parametrize("pts_s", [1.0, 0.9, -5.0, math.nan, math.inf])
def test_time_must_advance(name: str, pts_s: float) -> None:
    tracker = OverlapTracker(RECIPES[name])
    for k in range(5):
        tracker.update(seen([box(100)]), 1.0 + (k - 4) * DT)
    with pytest.raises(ValueError, match="time must advance: a frame at"):
        tracker.update(seen([box(100)]), pts_s)
    assert tracker.update(seen([box(100)]), 1.0 + DT).id.tolist() == [1]


@all_recipes
def test_boxes_without_area_are_passed_over(name: str) -> None:
    table = seen([(50, 50, 50, 90), box(100), (7, 7, 7, 7), (5, 5, 5.5, 60)])
    last = play(OverlapTracker(RECIPES[name]), [table] * 5)[-1]
    assert (last.id.tolist(), last.detection.tolist()) == ([1], [1])


@all_recipes
def test_0_or_5000_detections_and_a_bound_of_tracks(name: str) -> None:
    rng = np.random.default_rng(0)
    steady = [box(100), box(300)]
    tracker = OverlapTracker(RECIPES[name])
    play(tracker, [seen(steady)] * 6)
    for k in range(6, 9):
        far = rng.uniform(1000, 1e5, (5000, 2))
        tracks = tracker.update(seen([*steady, *(box(x, y) for x, y in far)]), k * DT)
        assert len(tracker) <= tracker.settings.max_tracks
        assert {1, 2} <= set(tracks.id.tolist())
    for k in range(9, 45):
        assert len(tracker.update(Detections.empty(), k * DT)) == 0
    assert len(tracker) == 0


@all_recipes
def test_many_objects_are_tracked_like_few(name: str) -> None:
    """One crowd alone, and the same among 300 others far away: more boxes take another way to their pairs."""
    few, rng = crowd(5), np.random.default_rng(5)
    far = np.concatenate([np.full((300, 1), 5000.0), rng.uniform(0, 1e5, (300, 1))], axis=1)
    extra = seen([box(*c) for c in far], 0.9, rng.standard_normal((300, 8)))
    many = [
        Detections(
            *(
                np.concatenate([getattr(t, c), getattr(extra, c)])
                for c in ("xyxy", "score", "label", "embedding")
            )
        )
        for t in few
    ]
    alone = partition(few, play(OverlapTracker(RECIPES[name]), few))
    among = partition(many, play(OverlapTracker(RECIPES[name]), many))
    rows = {(k, b.tobytes()) for k, t in enumerate(few) for b in t.xyxy}
    assert {track for track in among if track <= rows} == alone


@all_recipes
def test_memory_does_not_grow_with_the_objects_that_passed(name: str) -> None:
    tracker, alive = OverlapTracker(RECIPES[name]), []
    for k in range(70):
        play(tracker, [seen([box(1e4 * k + 80 * (n % 20), 150 * (n // 20)) for n in range(60)])], k)
        alive.append(len(tracker))
    assert tracker._next_id == 60 * 70 + 1
    assert max(alive) <= 60 * 33
    assert alive[-1] == alive[45]


@all_recipes
def test_the_same_frames_give_the_same_tracks_and_instances_share_nothing(name: str) -> None:
    one, two = OverlapTracker(RECIPES[name]), OverlapTracker(RECIPES[name])
    tables = crowd(7, 30)
    assert ids(play(one, tables)) == ids(play(two, tables))
    assert len(one) > 5


@all_recipes
def test_the_label_is_voted(name: str) -> None:
    labels = ["car"] * 8 + ["articulated lorry"] * 2 + ["car"]
    history = play(OverlapTracker(RECIPES[name]), [seen([box(100)], label=label) for label in labels])
    assert history[-1].id.tolist() == [1]
    assert history[-1].label.tolist() == ["car"]


def test_recipes_are_the_published_figures() -> None:
    sort, byte, oc, bot = Settings.sort(), Settings.bytetrack(), Settings.ocsort(), Settings.botsort()
    assert (sort.motion, byte.motion, oc.motion, bot.motion) == ("xysr", "xyah", "xysr", "xywh")
    assert [round(s.max_age_s * 30, 9) for s in (sort, byte, oc, bot)] == [1, 30, 30, 30]
    assert (byte.high_score, byte.low_score, byte.new_score) == (0.6, 0.1, 0.7)
    assert (byte.match_overlap, byte.low_overlap, byte.tentative_overlap) == (0.2, 0.5, 0.3)
    assert (oc.direction_weight, round(oc.direction_s * 30, 9)) == (0.2, 3)
    assert (sort.match_overlap, oc.match_overlap, oc.recover_overlap) == (0.3, 0.3, 0.3)
    assert (bot.proximity, bot.appearance, bot.camera) == (0.5, 0.75, True)


def test_an_empty_first_frame_with_embeddings_of_a_length() -> None:
    """Nothing has told the length of embeddings yet, and there is nothing to compare."""
    tracker = OverlapTracker(Settings.botsort())
    empty = Detections.empty()
    table = Detections(empty.xyxy, empty.score, empty.label, np.zeros((0, 16), np.float32))
    assert len(tracker.update(table, 0.0)) == 0
    assert len(tracker.update(table, 0.1)) == 0

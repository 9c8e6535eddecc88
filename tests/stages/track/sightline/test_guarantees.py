"""What holds under any input: finite numbers, bounds, ids that are never used twice, and no shared state."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.objects import Detections
from stages.track.sightline.settings import Settings
from stages.track.sightline.tracker import Sightline
from tests.stages.track.sightline.scenes import (
    DT,
    EMPTY,
    box,
    checked,
    crowd,
    faces,
    follow,
    links,
    play,
    same_tracks,
    seen,
)


def capacities(tracker: Sightline) -> tuple[int, ...]:
    """For how many tracks and looks there is room now."""
    rows, looks = tracker._rows, tracker._looks
    return (
        rows._number.shape[1], rows._count.shape[1], len(rows._label),
        len(looks._mean), len(looks._scale), len(looks._looks),
    )  # fmt: skip


def flashes(rng: np.random.Generator, n: int, looks: bool) -> Detections:
    """n boxes that were never there before and will never come again."""
    centre = rng.uniform(0, 1e5, (n, 2)).astype(np.float32)
    xyxy = np.concatenate([centre, centre + rng.uniform(20, 60, (n, 2)).astype(np.float32)], axis=1)
    embedding = rng.standard_normal((n, 8)).astype(np.float32) if looks else None
    return Detections(xyxy, np.full(n, 0.9, np.float32), np.full(n, "person"), embedding)


def assert_flat(ids: int, a_frame: int, *, looks: bool, **options: float) -> None:
    """Let so many objects pass, and compare memory after the first and after the last part of them."""
    tracker, rng = Sightline(Settings(max_age_s=0.3, **options)), np.random.default_rng(0)
    frames = ids // a_frame
    early = frames // 4
    alive, room, traced = [], [], []
    tracemalloc.start()
    try:
        for k in range(frames):
            tracker.update(flashes(rng, a_frame, looks), k * DT)
            alive.append(len(tracker))
            room.append(capacities(tracker))
            if k in (early, frames - 1):
                traced.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert tracker._next_id >= 0.95 * ids
    assert max(alive[early:]) <= 1.1 * max(alive[:early])
    assert set(room[early:]) == {room[early]}
    assert traced[1] <= 1.1 * traced[0] + 100_000


@pytest.mark.parametrize("n_init", [1, 3])
@pytest.mark.parametrize("looks", [False, True], ids=["boxes only", "with looks"])
def test_memory_and_work_do_not_grow_with_the_objects_that_passed(n_init: int, looks: bool) -> None:
    assert_flat(6_000, 60, looks=looks, n_init=n_init)


@pytest.mark.slow
@pytest.mark.parametrize("n_init", [1, 3])
def test_a_million_objects(n_init: int) -> None:
    assert_flat(1_000_000, 1000, looks=True, n_init=n_init)


def test_ids_ascend_and_are_never_used_again() -> None:
    tracker, rng = Sightline(Settings(max_age_s=0.2, n_init=1)), np.random.default_rng(1)
    gone: set[int] = set()
    before: set[int] = set()
    newest = 0
    for k in range(300):
        now = set(checked(tracker.update(flashes(rng, 8, looks=False), k * DT)).id.tolist())
        assert not now & gone
        assert min(now - before) > newest
        newest = max(now)
        gone |= before - now
        before = now
    assert newest == 2400


@pytest.mark.parametrize("max_tracks", [1, 7, 100])
def test_no_more_tracks_than_allowed_and_the_known_ones_stay(max_tracks: int) -> None:
    tracker, rng = Sightline(Settings(max_tracks=max_tracks)), np.random.default_rng(2)
    steady = [box(100), box(300), box(500)][:max_tracks]
    play(tracker, [seen(steady, faces(3)[:max_tracks, :8])] * 10)
    for k in range(10, 40):
        far = flashes(rng, 300, looks=True)
        boxes = np.concatenate([steady, far.xyxy + 2000])
        look = np.concatenate([faces(3)[:max_tracks, :8], far.embedding])
        tracks = checked(tracker.update(seen(boxes, look), k * DT))
        assert len(tracker) <= max_tracks
        assert {n: n + 1 for n in range(len(steady))}.items() <= links(tracks).items()
    assert max(capacities(tracker)) <= 4 * (max_tracks + 300)


def test_five_thousand_detections_and_then_none() -> None:
    tracker, rng = Sightline(), np.random.default_rng(3)
    table = flashes(rng, 5000, looks=True)
    for k in range(4):
        tracks = checked(tracker.update(table, k * DT))
        assert len(tracker) <= tracker.settings.max_tracks
    assert len(tracks) > 1000
    for k in range(4, 8):
        assert len(checked(tracker.update(EMPTY, k * DT))) <= tracker.settings.max_tracks
    for now_s in (60.0, 60.1, 60.2, 60.3):
        tracker.update(EMPTY, now_s)
    assert len(tracker) == 0


def test_with_too_many_objects_as_many_as_allowed_are_followed() -> None:
    """They stand still and are seen in each frame: as many as there is room for, and the same ones."""
    table = seen([box(100.0 * (k % 10), 200.0 * (k // 10)) for k in range(50)])
    history = follow([table] * 12, max_tracks=40)
    assert [len(tracks) for tracks in history[3:]] == [40] * 9
    assert history[-1].id.tolist() == history[3].id.tolist()


def test_flashes_do_not_end_those_who_are_known_where_one_detection_is_enough() -> None:
    tracker, rng = Sightline(Settings(max_tracks=10, n_init=1)), np.random.default_rng(2)
    steady = [box(100), box(300), box(500)]
    for k in range(10):
        boxes = np.concatenate([steady, flashes(rng, 30, looks=False).xyxy + 2000])
        tracks = checked(tracker.update(seen(boxes), k * DT))
    assert {0: 1, 1: 2, 2: 3}.items() <= links(tracks).items()


@pytest.mark.parametrize("looks", [False, True], ids=["boxes only", "with looks"])
def test_instances_share_nothing(looks: bool) -> None:
    """Two cameras in turn are what each of them is alone, to the last bit."""
    scenes = [crowd(seed, 40, looks=looks) for seed in (4, 5)]
    alone = [follow(scene) for scene in scenes]
    trackers = [Sightline(), Sightline()]
    for k in range(40):
        for tracker, scene, expected in zip(trackers, scenes, alone, strict=True):
            assert same_tracks(tracker.update(scene[k], k * DT), expected[k])


def test_the_same_input_gives_the_same_output() -> None:
    scene = crowd(6)
    for one, two in zip(follow(scene), follow(scene), strict=True):
        assert same_tracks(one, two)
    assert len(one) > 15


def test_what_was_given_and_returned_is_not_touched_later() -> None:
    tracker, scene = Sightline(), crowd(7, 30)
    given = [(t.xyxy.copy(), t.score.copy(), t.embedding.copy()) for t in scene]
    history, copies = [], []
    for k, table in enumerate(scene):
        history.append(tracker.update(table, k * DT))
        copies.append((history[-1].xyxy.copy(), history[-1].id.copy(), history[-1].label.copy()))
    for table, (xyxy, score, embedding) in zip(scene, given, strict=True):
        np.testing.assert_array_equal(table.xyxy, xyxy)
        np.testing.assert_array_equal(table.score, score)
        np.testing.assert_array_equal(table.embedding, embedding)
    for tracks, (xyxy, ident, label) in zip(history, copies, strict=True):
        np.testing.assert_array_equal(tracks.xyxy, xyxy)
        np.testing.assert_array_equal(tracks.id, ident)
        np.testing.assert_array_equal(tracks.label, label)


def test_many_objects_are_tracked_like_few() -> None:
    """Six people alone, and among 1500 others far away: more boxes take another way to their pairs."""
    rng = np.random.default_rng(8)
    place = np.stack([1e4 + 300.0 * (np.arange(1500) % 40), 300.0 * (np.arange(1500) // 40)], axis=1)
    alone, among = Sightline(), Sightline()
    for k in range(30):
        six = [box(100 + 60 * n + 5 * k * (-1) ** n, 200 + 8 * n) for n in range(6)]
        others = [box(*p) for p in place + rng.normal(0, 2, place.shape)]
        few, many = (
            checked(alone.update(seen(six), k * DT)),
            checked(among.update(seen(six + others), k * DT)),
        )
    assert links(few) == {n: n + 1 for n in range(6)}
    assert {d: i for d, i in links(many).items() if d < 6} == links(few)
    assert len(many) == 1506


ROW = st.tuples(
    st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0, 5e3), st.floats(0, 5e3),
    st.floats(0, 1), st.sampled_from(["car", "truck", "articulated lorry"]), st.integers(0, 4),
)  # fmt: skip
FRAME = st.tuples(
    st.lists(ROW, max_size=7),
    st.one_of(st.just(DT), st.floats(1e-3, 0.5), st.floats(0.5, 4000)),
    st.sampled_from(["none", "shake", "turn"]),
)
FACES = np.vstack([faces(4, 6), np.zeros((1, 6), np.float32)])
CAMERAS = {
    "none": None,
    "shake": np.array([[1, 0, 25.0], [0, 1, -13]]),
    "turn": np.array([[1.1, 0.2, 30], [-0.2, 0.9, -5]]),
}


@pytest.mark.parametrize("looks", ["none", "given", "made"])
@settings(max_examples=20, deadline=None)
@given(frames=st.lists(FRAME, min_size=2, max_size=15), repeat=st.booleans())
def test_nothing_random_breaks_it(looks, frames, repeat) -> None:
    tracker, now = Sightline(Settings(n_init=1)), 0.0
    for rows, dt_s, camera in [frame for frame in frames for _ in range(3 if repeat else 1)]:
        now += dt_s
        face = FACES[[row[6] for row in rows]]
        table = seen(
            [(x, y, x + w, y + h) for x, y, w, h, *_ in rows],
            face if looks == "given" else None,
            [row[4] for row in rows],
            [row[5] for row in rows],
        )
        embed = (lambda which, face=face: face[which]) if looks == "made" else None
        tracks = checked(tracker.update(table, now, camera=CAMERAS[camera], embed=embed))
        assert set(links(tracks)) <= set(range(len(rows)))
        assert np.isfinite(tracker._rows.number).all()
        assert np.isfinite(tracker._looks._mean).all()

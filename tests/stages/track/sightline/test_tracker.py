"""Who keeps which id, and when tracks begin, are shown and end: scenes as tables."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import pytest

from pipeline.objects import Detections
from stages.track.affine import warp_boxes
from stages.track.sightline.settings import Settings
from stages.track.sightline.tracker import Sightline
from tests.stages.track.sightline.scenes import (
    DT,
    EMPTY,
    all_ids,
    box,
    checked,
    crowd,
    faces,
    follow,
    glimpse,
    ids,
    links,
    partition,
    play,
    seen,
)

FACES = faces(12)
with_and_without_looks = pytest.mark.parametrize("looks", [False, True], ids=["boxes only", "with looks"])


def people(places: list[list[tuple[float, float]]], looks: bool, seed: int = 0) -> list[Detections]:
    """Frames of people at places; the k-th of each frame has the k-th face."""
    rng = np.random.default_rng(seed)
    return [
        seen([box(*p) for p in frame], glimpse(FACES[: len(frame)], rng) if looks else None)
        for frame in places
    ]


WAYS = {
    "one passes behind the other": lambda s: [(100 + 180 * s, 200), (460 - 180 * s, 212)],
    "they meet at right angles": lambda s: [(100 + 150 * s, 350), (254, 203 + 150 * s)],
    "one overtakes the other": lambda s: [(100 + 150 * s, 200), (180 + 60 * s, 206)],
    "four walk through each other": lambda s: [
        (100 + 200 * s, 200), (500 - 200 * s, 206), (300, 100 + 130 * s), (310, 420 - 130 * s)
    ],
}  # fmt: skip


@with_and_without_looks
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("rate_hz", [15, 30])
def test_who_cross_keep_their_ids(way, looks: bool, rate_hz: int) -> None:
    frames = people([way(k / rate_hz) for k in range(2 * rate_hz)], looks)
    history = follow(frames, 1 / rate_hz)
    for tracks in history[2:]:
        assert links(tracks) == {k: k + 1 for k in range(len(frames[0]))}


def test_two_who_meet_in_one_point_keep_a_detection_each() -> None:
    """Their boxes are equal to the last bit for one frame."""
    ways = [[(100 + 5 * k, 350), (250, 200 + 5 * k)] for k in range(60)]
    assert links(follow(people(ways, looks=True))[-1]) == {0: 1, 1: 2}


@pytest.mark.parametrize("rate_hz", [5, 30])
@pytest.mark.parametrize(
    ("hidden_s", "looks", "same"),
    [(0.5, False, True), (0.5, True, True), (2.0, True, True), (4.5, True, True), (5.5, True, False)],
)
def test_who_was_hidden_is_known_again(hidden_s: float, looks: bool, same: bool, rate_hz: int) -> None:
    """Three walk on behind a wall; the memory is 5 s."""
    dt_s, rng = 1 / rate_hz, np.random.default_rng(1)

    def frame(t_s: float) -> Detections:
        places = [(100 + 30 * t_s, 200), (400 + 30 * t_s, 200), (700 + 30 * t_s, 200)]
        return seen([box(*p) for p in places], glimpse(FACES[:3], rng) if looks else None)

    tracker = Sightline()
    play(tracker, [frame(k * dt_s) for k in range(2 * rate_hz)], dt_s)
    back_s = 2 + hidden_s
    first = math.ceil(back_s * rate_hz - 1e-9)
    play(tracker, [EMPTY] * (first - 2 * rate_hz), dt_s, 2.0)
    back = play(tracker, [frame((first + k) * dt_s) for k in range(5)], dt_s, first * dt_s)
    assert links(back[-1]) == ({0: 1, 1: 2, 2: 3} if same else {0: 4, 1: 5, 2: 6})


def test_faces_tell_who_comes_back_where() -> None:
    """Two stand side by side, are hidden for a second, and come back with places exchanged."""
    rng, tracker = np.random.default_rng(2), Sightline()
    boxes = [box(100), box(170)]
    play(tracker, [seen(boxes, glimpse(FACES[:2], rng)) for _ in range(30)])
    play(tracker, [EMPTY] * 30, start_s=1.0)
    back = play(tracker, [seen(boxes, glimpse(FACES[[1, 0]], rng)) for _ in range(3)], start_s=2.0)
    assert links(back[-1]) == {0: 2, 1: 1}


def test_somebody_else_at_the_same_place_is_somebody_else() -> None:
    rng, tracker = np.random.default_rng(3), Sightline()
    play(tracker, [seen([box(100), box(400)], glimpse(FACES[:2], rng)) for _ in range(60)])
    play(tracker, [seen([box(400)], glimpse(FACES[1:2], rng)) for _ in range(60)], start_s=2.0)
    after = [seen([box(100), box(400)], glimpse(FACES[[2, 1]], rng)) for _ in range(10)]
    assert links(play(tracker, after, start_s=4.0)[-1]) == {0: 3, 1: 2}


@with_and_without_looks
def test_low_scores_continue_a_track_but_never_start_one(looks: bool) -> None:
    look = FACES[:1] if looks else None
    assert ids(follow([seen([box(100)], look, 0.25)] * 90)) == [[]] * 90
    tracker = Sightline()
    play(tracker, [seen([box(100)], look, 0.8)] * 10)
    weak = play(tracker, [seen([box(100 + k)], look, 0.1) for k in range(90)], start_s=10 * DT)
    assert ids(weak) == [[1]] * 90
    assert links(weak[-1]) == {0: 1}
    np.testing.assert_allclose(weak[-1].score, 0.1)


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        (["car"] * 10, "car"),
        (["car", "truck", "car"] * 10, "car"),
        (["truck", "car", "truck", "truck", "car"] * 6, "truck"),
        (["car"] * 10 + ["truck"] * 3, "car"),
        (["car"] * 10 + ["truck"] * 40, "truck"),
        (["car"] * 200 + ["truck"] * 40, "truck"),
    ],
)
def test_the_label_is_what_most_detections_say(votes: list[str], label: str) -> None:
    history = follow([seen([box(100 + k)], label=vote) for k, vote in enumerate(votes)])
    assert all_ids(history) == {1}
    assert history[-1].label.tolist() == [label]


def test_a_label_weighs_as_much_as_its_scores() -> None:
    votes, scores = ["car", "truck", "truck"] * 10, [0.95, 0.35, 0.35] * 10
    frames = [seen([box(100)], label=v, score=s) for v, s in zip(votes, scores, strict=True)]
    assert follow(frames)[-1].label.tolist() == ["car"]


@pytest.mark.parametrize("report_s", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("rate_hz", [10, 30])
def test_a_lost_object_is_reported_where_it_should_be_for_so_long(report_s: float, rate_hz: int) -> None:
    tracker, dt_s = Sightline(Settings(report_predicted_s=report_s)), 1 / rate_hz
    play(tracker, [seen([box(100 + 90 * k * dt_s)]) for k in range(2 * rate_hz)], dt_s)
    for k in range(2 * rate_hz, 3 * rate_hz):
        tracks = checked(tracker.update(EMPTY, k * dt_s))
        missed_s = (k - 2 * rate_hz + 1) * dt_s
        assert len(tracks) == (missed_s <= report_s + 1e-9)
        if len(tracks):
            assert tracks.predicted.all()
            np.testing.assert_allclose(tracks.missed_s, missed_s, rtol=1e-5)
            np.testing.assert_allclose(tracks.xyxy, [box(100 + 90 * k * dt_s)], atol=4)


@pytest.mark.parametrize("n_init", [1, 2, 3, 6])
def test_n_init_detections_make_a_track_at_least(n_init: int) -> None:
    shown = [len(tracks) for tracks in follow([seen([box(100)])] * 10, n_init=n_init)]
    first = shown.index(1)
    # Two detections alone are too little evidence while nothing is known about scores.
    assert first == n_init - 1 if n_init != 2 else first in (1, 2)
    assert shown[first:] == [1] * (10 - first)


@with_and_without_looks
@pytest.mark.parametrize("turn_s", [0.4, 1.0])
def test_who_swerves_is_followed(turn_s: float, looks: bool) -> None:
    """A zigzag at two heights a second, turning round at once."""
    places = []
    for k in range(150):
        phase = (k * DT / turn_s) % 2
        places.append([(300 + 200 * turn_s * (phase if phase < 1 else 2 - phase), 200.0), (900.0, 200.0)])
    frames = people(places, looks)
    history = follow(frames)
    assert all_ids(history) == {1, 2}
    for tracks, frame in zip(history[3:], frames[3:], strict=True):
        np.testing.assert_allclose(tracks.xyxy, frame.xyxy, atol=12)


def walk(times_s: list[float], looks: bool) -> list[Detections]:
    """Six people on ways that cross, none of them missed."""
    starts = [(100, 200), (700, 210), (150, 500), (650, 480), (400, 80), (380, 700)]
    speeds = [(60, 0), (-60, 5), (50, -20), (-55, -10), (0, 50), (5, -50)]
    places = [
        [(x + vx * t, y + vy * t) for (x, y), (vx, vy) in zip(starts, speeds, strict=True)] for t in times_s
    ]
    return people(places, looks)


def irregular() -> list[float]:
    return np.cumsum(np.random.default_rng(4).uniform(0.01, 0.25, 60)).tolist()


@with_and_without_looks
@pytest.mark.parametrize(
    "times_s",
    [[k / 5 for k in range(40)], [k / 30 for k in range(240)], [k / 120 for k in range(300)], irregular()],
    ids=["5 Hz", "30 Hz", "120 Hz", "irregular"],
)
def test_ids_do_not_depend_on_the_frame_rate(times_s: list[float], looks: bool) -> None:
    tracker = Sightline()
    for t, frame in zip(times_s, walk(times_s, looks), strict=True):
        tracks = checked(tracker.update(frame, t))
    assert links(tracks) == {k: k + 1 for k in range(6)}


def rows_of_people(k: int) -> list[tuple[float, float, float, float]]:
    """Two rows, 70 px apart, so that a pan by 100 px puts each nearer to his neighbour's place."""
    return [box(100 + 70 * i + k, 200 + 150 * j) for i in range(8) for j in range(2)]


@pytest.mark.parametrize("turn", [0.0, 0.05])
def test_a_pan_that_is_told_costs_no_id(turn: float) -> None:
    pan = np.array([[math.cos(turn), -math.sin(turn), 100.0], [math.sin(turn), math.cos(turn), -40.0]])
    tracker, still = Sightline(), np.eye(2, 3)
    for k in range(60):
        boxes = np.array(rows_of_people(k))
        if k >= 30:
            boxes = warp_boxes(boxes, pan)
        tracks = checked(tracker.update(seen(boxes), k * DT, camera=pan if k == 30 else still))
        if k >= 2:
            assert links(tracks) == {n: n + 1 for n in range(16)}


def test_the_same_pan_untold_costs_ids() -> None:
    """So that the test above can fail."""
    tracker, still = Sightline(), np.eye(2, 3)
    for k in range(60):
        boxes = np.array(rows_of_people(k)) + (100 if k >= 30 else 0)
        tracks = tracker.update(seen(boxes), k * DT, camera=still)
    assert links(tracks) != {n: n + 1 for n in range(16)}


@pytest.mark.parametrize("px", [20, 40, 50])
def test_a_shake_is_seen_in_the_boxes_alone(px: int) -> None:
    """The camera jumps to and fro; there is no picture to measure it."""
    rng, tracker = np.random.default_rng(5), Sightline()
    for k in range(90):
        jump = px * rng.choice([-1, 0, 1], 2) if k % 3 == 0 and k > 15 else np.zeros(2)
        boxes = np.array(rows_of_people(k)) + np.tile(jump, 2)
        tracks = checked(tracker.update(seen(boxes), k * DT))
        if k >= 2:
            assert links(tracks) == {n: n + 1 for n in range(16)}


def test_embeddings_are_asked_for_only_where_they_are_needed() -> None:
    rng, asked = np.random.default_rng(6), []

    def embed(rows: np.ndarray) -> np.ndarray:
        asked.append(rows.tolist())
        return glimpse(FACES[rows], rng)

    def frame(k: int, *extra: float) -> Detections:
        return seen([box(100 + 200 * n + k) for n in range(6)] + [box(x) for x in extra])

    tracker = Sightline()
    for k in range(120):
        asked.clear()
        tracks = checked(tracker.update(frame(k), k * DT, embed=embed))
        if k == 0:
            assert sorted(chain(*asked)) == list(range(6))
        for rows in asked:
            assert len(set(rows)) == len(rows)
    assert links(tracks) == {n: n + 1 for n in range(6)}

    rounds = []
    for k in range(120, 150):
        asked.clear()
        tracker.update(frame(k), k * DT, embed=embed)
        rounds.append(sorted(chain(*asked)))
    # All are due now and then, ten times a second; in between nobody looks.
    assert rounds.count([]) >= 18
    assert all(rows in ([], list(range(6))) for rows in rounds)

    newcomers = []
    for k in range(150, 156):
        asked.clear()
        tracker.update(frame(k, 1400), k * DT, embed=embed)
        newcomers.append(sorted(chain(*asked)))
    assert all(6 in rows for rows in newcomers)
    assert [6] in newcomers

    for k in range(156, 160):  # two boxes for one object: who of them it is must be looked at
        asked.clear()
        tracker.update(frame(k, 116 + k), k * DT, embed=embed)
        assert {0, 6} <= set(chain(*asked))


def test_a_single_object_is_not_looked_at_in_every_frame() -> None:
    rng, asked = np.random.default_rng(7), []

    def embed(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return glimpse(FACES[rows], rng)

    play(Sightline(), [seen([box(100 + k)]) for k in range(400)], embed=embed)
    assert len(asked) < 320


def test_embed_gets_the_rows_of_the_table() -> None:
    """Rows that are passed over shift the others, and nobody may notice."""
    asked = []

    def embed(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return FACES[rows]

    Sightline().update(seen([(5, 5, 5, 90), box(100), (7, 7, 7, 7), box(300)]), 0.0, embed=embed)
    assert sorted(asked) == [1, 3]


def test_given_and_made_embeddings_give_the_same_tracks() -> None:
    one, two = Sightline(), Sightline()
    for k, table in enumerate(crowd(8)):
        bare = Detections(table.xyxy, table.score, table.label)
        given = one.update(table, k * DT)
        made = two.update(bare, k * DT, embed=lambda rows, table=table: table.embedding[rows])
        np.testing.assert_array_equal(given.id, made.id)
        np.testing.assert_array_equal(given.xyxy, made.xyxy)


@with_and_without_looks
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_detections_does_not_matter(seed: int, looks: bool) -> None:
    tables, rng = crowd(seed, looks=looks), np.random.default_rng(seed)
    shuffled = [table[rng.permutation(len(table))] for table in tables]
    one, two = partition(tables, follow(tables)), partition(shuffled, follow(shuffled))
    assert len(one) >= 20
    assert one == two


@with_and_without_looks
def test_a_tracks_row_is_near_the_detection_that_it_links_to(looks: bool) -> None:
    tables = crowd(9, looks=looks)
    for table, tracks in zip(tables, follow(tables), strict=True):
        hit = ~tracks.predicted
        own = table[tracks.detection[hit]]
        assert (np.abs(tracks.xyxy[hit] - own.xyxy) < 15).all()
        np.testing.assert_array_equal(tracks.score[hit], own.score)


def test_a_smoothed_box_trembles_less_than_the_detections() -> None:
    rng = np.random.default_rng(10)
    frames = [seen(np.array([box(100 + 2 * k)]) + rng.normal(0, 3, 4)) for k in range(200)]
    true = np.array([box(100 + 2 * k) for k in range(200)])
    shown = np.array([t.xyxy[0] for t in follow(frames)[20:]])
    given = np.array([f.xyxy[0] for f in frames[20:]])
    assert np.abs(shown - true[20:]).mean() < 0.8 * np.abs(given - true[20:]).mean()

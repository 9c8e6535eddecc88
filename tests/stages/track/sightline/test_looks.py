"""Embeddings given or made on demand, the slots they are smoothed in, and what likeness comes to say."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.gallery import unit_rows
from stages.track.sightline.looks import MOST_AGAINST, MOST_FOR, FrameLooks, Looks
from tests.stages.track.sightline.scenes import faces, glimpse

RED, BLUE = np.eye(4, dtype=np.float32)[:2]


class Maker:
    """Makes embeddings and notes for which rows."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table
        self.asked: list[list[int]] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.asked.append(rows.tolist())
        return self.table[rows]


ASKED = [[3, 1], [1], [3, 5, 1], [0, 2, 4, 5], [5, 5]]


def test_given_and_made_embeddings_are_the_same() -> None:
    table = 3 * faces(6)
    given, made = FrameLooks(table, 6), FrameLooks(Maker(table), 6)
    for rows in ASKED:
        index = np.array(rows)
        np.testing.assert_array_equal(given.of(index), made.of(index))
        np.testing.assert_allclose(np.linalg.norm(given.of(index), axis=1), 1, rtol=1e-6)


def test_each_row_is_made_once_and_only_when_somebody_asks() -> None:
    maker = Maker(faces(6))
    looks = FrameLooks(maker, 6)
    assert maker.asked == []
    for rows in ASKED:
        looks.of(np.array(rows))
    assert maker.asked == [[1, 3], [5], [0, 2, 4]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_embeddings_must_be_finite(bad: float) -> None:
    table = faces(3)
    table[1, 2] = bad
    with pytest.raises(ValueError, match="embeddings must be finite"):
        FrameLooks(table, 3)
    with pytest.raises(ValueError, match="embeddings must be finite"):
        FrameLooks(Maker(table), 3).of(np.array([1]))


def remembered(length: int = 32) -> Looks:
    looks = Looks()
    looks.check(length)
    return looks


@pytest.mark.parametrize("length", [0, 16, 64])
def test_the_length_is_kept(length: int) -> None:
    looks = remembered()
    with pytest.raises(ValueError, match=f"embeddings must keep their length: it was 32, now {length}"):
        looks.check(length)
    looks.check(32)


def test_slots_are_used_again_and_forgotten() -> None:
    looks, rng = remembered(), np.random.default_rng(0)
    held = looks.acquire(50)
    capacity = len(looks._mean)
    for _ in range(300):
        assert len(set(held.tolist())) == 50
        looks.add(held, faces(50), np.ones(50))
        looks.release(held[:20])
        fresh = looks.acquire(20)
        np.testing.assert_array_equal(looks.distance(fresh, faces(20)), 1.0)
        held = rng.permutation(np.concatenate([held[20:], fresh]))
    assert len(looks._mean) == capacity
    assert len(looks._free) == capacity - 50


def test_a_slot_that_is_used_again_averages_from_the_beginning() -> None:
    looks = remembered(4)
    slot = looks.acquire(1).copy()
    for _ in range(50):
        looks.add(slot, RED[None], np.ones(1))
    looks.release(slot)
    again = looks.acquire(1)
    assert again.tolist() == slot.tolist()
    looks.add(again, RED[None], np.ones(1))
    looks.add(again, BLUE[None], np.ones(1))
    distance = looks.distance(again.repeat(2), np.stack([RED, BLUE]))
    np.testing.assert_allclose(distance, 1 - np.sqrt(0.5), atol=1e-6)


def test_more_slots_are_added_when_needed_and_keep_what_was_there() -> None:
    looks, face = remembered(), faces(3)
    first = looks.acquire(3).copy()
    looks.add(first, face, np.ones(3))
    many = looks.acquire(1000)
    assert not set(first.tolist()) & set(many.tolist())
    np.testing.assert_allclose(looks.distance(first, face), 0, atol=1e-6)


def test_no_slots_may_be_asked_for() -> None:
    looks = remembered()
    looks.acquire(3)
    assert len(looks.acquire(0)) == 0


def test_the_distance_is_to_the_trusted_average_of_what_was_seen() -> None:
    looks, rng = remembered(), np.random.default_rng(1)
    slots = looks.acquire(4)
    face = faces(4)
    slow = [np.zeros(32) for _ in range(4)]
    number = [0] * 4
    for _ in range(40):
        some = np.flatnonzero(rng.random(4) < 0.7)
        if not len(some):
            continue
        unit, trust = unit_rows(glimpse(face[some], rng)), rng.uniform(0, 1, len(some))
        looks.add(slots[some], unit, trust)
        for row, look, sure in zip(some, unit, trust, strict=True):
            number[row] += 1
            share = sure * max(1 / number[row], 0.1) if number[row] > 1 else 1.0
            slow[row] = slow[row] + share * (look - slow[row])
        asked = unit_rows(glimpse(face, rng))
        expected = [
            1 - mean @ look / np.linalg.norm(mean) if n else 1.0
            for mean, look, n in zip(slow, asked, number, strict=True)
        ]
        np.testing.assert_allclose(looks.distance(slots, asked), expected, atol=1e-5)


def test_an_average_of_looks_is_nearer_than_a_single_one() -> None:
    looks, rng = remembered(128), np.random.default_rng(2)
    face = faces(100, 128)
    slots = looks.acquire(100)
    distance = []
    for _ in range(10):
        unit = unit_rows(glimpse(face, rng))
        distance.append(looks.distance(slots, unit).mean())
        looks.add(slots, unit, np.ones(100))
    assert distance[0] == 1
    assert distance[1] > distance[3] > distance[9]


def test_what_is_not_trusted_is_not_taken() -> None:
    looks = remembered(4)
    slot = looks.acquire(1)
    looks.add(slot, RED[None], np.ones(1))
    looks.add(slot, BLUE[None], np.zeros(1))
    assert looks.distance(slot, RED[None]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("what", "memory", "look"),
    [("no look", RED, 0 * RED), ("no memory", None, RED), ("a memory of no look", 0 * RED, RED)],
)
def test_without_looks_nothing_is_said(what: str, memory: np.ndarray | None, look: np.ndarray) -> None:
    looks = remembered(4)
    slot = looks.acquire(1)
    if memory is not None:
        looks.add(slot, memory[None], np.ones(1))
    assert looks.log_ratio(slot, look[None]).tolist() == [0], what


def test_a_right_angle_is_a_difference() -> None:
    """Histograms without a common bin, for one: their product is exactly 0."""
    looks = remembered(4)
    slot = looks.acquire(1)
    looks.add(slot, RED[None], np.ones(1))
    assert looks.log_ratio(slot, BLUE[None]) < -3


@pytest.mark.parametrize("noise", [0.2, 0.5, 0.9])
def test_learning_tells_the_same_from_others_better_than_the_opinion_did(noise: float) -> None:
    """In a scene where all look much alike: one face, with small differences."""
    rng = np.random.default_rng(3)
    face = unit_rows(faces(1) + 0.35 * faces(20, seed=1))
    looks = remembered()
    slots = looks.acquire(20)

    def clear() -> float:
        unit = unit_rows(glimpse(face, rng, 0.3 * noise))
        same, other = looks.log_ratio(slots, unit), looks.log_ratio(slots, np.roll(unit, 1, axis=0))
        assert (np.abs([same, other]) <= max(MOST_FOR, -MOST_AGAINST)).all()
        return float((same > 0).mean() + (other < 0).mean()) / 2

    for _ in range(5):
        looks.add(slots, unit_rows(glimpse(face, rng, 0.3 * noise)), np.ones(20))
    before = clear()
    assert not looks.has_learned
    for _ in range(60):
        unit = unit_rows(glimpse(face, rng, 0.3 * noise))
        looks.learn(slots, unit)
        looks.add(slots, unit, np.ones(20))
    assert looks.has_learned
    assert before < 0.7 < 0.9 < clear()


@pytest.mark.parametrize(
    ("minutes", "objects"), [(5, 2), (3, 200)], ids=["five minutes of two", "three minutes of two hundred"]
)
def test_a_picture_that_stood_still_does_not_make_it_blind(minutes: int, objects: int) -> None:
    """A camera that repeats its picture: equal embeddings for minutes, at ten lessons a second."""
    looks = remembered(4)
    slots = looks.acquire(objects)
    unit = np.tile(unit_rows(np.array([RED, RED + BLUE])), (objects // 2, 1))
    looks.add(slots, unit, np.ones(objects))
    for _ in range(minutes * 600):
        looks.learn(slots, unit)
    again = unit_rows(unit + 0.1 * np.eye(4, dtype=np.float32)[2])  # 0.005 away; the other is at 0.29
    assert (looks.log_ratio(slots, again) > 0).all()
    assert np.isfinite(looks.log_ratio(slots, unit_rows(np.tile(3 * RED + BLUE, (objects, 1))))).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_embeddings_that_are_all_the_same_say_nothing_wrong() -> None:
    """A network that failed and gives one vector for everything, for a quarter of an hour."""
    looks = remembered(4)
    slots = looks.acquire(50)
    unit = np.tile(RED, (50, 1))
    looks.add(slots, unit, np.ones(50))
    for _ in range(9000):
        looks.learn(slots, unit)
    assert np.isfinite(looks.log_ratio(slots, unit)).all()

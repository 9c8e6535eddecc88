import numpy as np
import pytest

from stages.identify.looks import Looks

APART = np.array([[0, 0, 10, 20], [100, 0, 110, 20]], np.float32)


def eye(*rows):
    return np.eye(4, dtype=np.float32)[list(rows)]


def test_a_look_is_the_mean_of_what_was_made_and_rows_of_zeros_are_none():
    looks = Looks(10.0, 100)
    looks.see(0.0, [1, 2], APART, eye(0, 1) * [[5], [1]])
    looks.see(0.1, [1, 2], APART, np.stack([eye(1)[0], np.zeros(4, np.float32)]))
    look, same = looks.of([1])
    assert look == pytest.approx(np.array([1, 1, 0, 0]) / np.sqrt(2))
    assert same is None, "one look in each half is too few to compare"
    assert looks.of([2])[0] == pytest.approx([0, 1, 0, 0])
    assert looks.of([3]) == (None, None)


def test_halves_of_the_looks_and_those_seen_at_the_moment():
    looks = Looks(10.0, 100)
    for at in range(4):
        looks.see(at * 0.1, [1, 2], APART, eye(at % 2, 1))
    look, same = looks.of([1])
    assert same == pytest.approx(0.0)
    assert looks.others(look, [1], 0.3) == (pytest.approx(1 / np.sqrt(2)),)
    assert looks.others(look, [1, 2], 0.3) == ()
    assert looks.others(look, [1], 0.4) == (), "nobody was seen at that moment"


def test_what_is_hidden_says_little():
    looks = Looks(10.0, 100)
    alone, behind = np.array([[0, 0, 10, 20]]), np.array([[0, 0, 10, 20], [0, 0, 100, 100]])
    looks.see(0.0, [1], alone, eye(0))
    looks.see(0.1, [1, 2], behind, eye(1, 2))
    look, _ = looks.of([1])
    assert look[0] > 10 * look[1]


def test_an_object_with_several_tracks_has_the_looks_of_all():
    looks = Looks(10.0, 100)
    looks.see(0.0, [1, 2], APART, eye(0, 1))
    assert looks.of([1, 2])[0] == pytest.approx(np.array([1, 1, 0, 0]) / np.sqrt(2))


def test_they_are_forgotten_and_bounded():
    looks = Looks(10.0, 5)
    for number in range(20):
        looks.see(number * 0.1, [number], APART[:1], eye(0))
    assert len(looks) == 5
    looks.see(20.0, [99], APART[:1], eye(0))
    assert len(looks) == 1


def test_another_network_begins_anew():
    looks = Looks(10.0, 5)
    looks.see(0.0, [1], APART[:1], eye(0))
    looks.see(0.1, [1], APART[:1], np.ones((1, 7), np.float32))
    assert looks.of([1])[0].shape == (7,)

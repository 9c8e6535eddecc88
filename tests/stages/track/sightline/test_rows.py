"""The table of live tracks: rows come and go, room is kept."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.sightline.rows import COUNTS, ID, NUMBERS, Rows


def block(first: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """k rows whose every number tells the row and the column."""
    ident = np.arange(first, first + k)
    number = ident + np.arange(NUMBERS)[:, None] / 100
    return number, ident + 1000 * np.arange(COUNTS)[:, None], np.array([f"n{i}" for i in ident], np.str_)


def assert_holds(rows: Rows, idents: list[int]) -> None:
    assert len(rows) == len(idents)
    expected = block(0, max(idents, default=0) + 1)
    np.testing.assert_array_equal(rows.number, expected[0][:, idents])
    np.testing.assert_array_equal(rows.count, expected[1][:, idents])
    assert rows.label.tolist() == [f"n{i}" for i in idents]


def test_random_births_and_deaths() -> None:
    rng, rows, idents, following = np.random.default_rng(0), Rows(), [], 0
    for _ in range(200):
        if rng.random() < 0.5:
            k = int(rng.integers(0, 60))
            rows.append(*block(following, k))
            idents += range(following, following + k)
            following += k
        else:
            stays = np.flatnonzero(rng.random(len(rows)) < 0.6)
            rows.keep(stays)
            idents = [idents[i] for i in stays]
        assert_holds(rows, idents)
    assert rows._number.shape[1] < 500


def test_views_write_through() -> None:
    rows = Rows()
    rows.append(*block(0, 3))
    rows.number[0, 1] = -5
    rows.count[ID, 2] = 77
    rows.append(*block(3, 200))
    assert rows.number[0, 1] == -5
    assert rows.count[ID, 2] == 77


def test_a_frame_without_births_or_deaths_moves_nothing() -> None:
    rows = Rows()
    rows.append(*block(0, 40))
    before = rows._number
    rows.append(*block(40, 5))
    rows.keep(np.arange(45))
    assert rows._number is before


@pytest.mark.parametrize("label", ["", "e", "articulated lorry with a trailer"])
def test_labels_of_any_length_find_room(label: str) -> None:
    rows = Rows()
    rows.append(*block(0, 3))
    rows.relabel(np.array([1]), np.array([label]))
    assert rows.label.tolist() == ["n0", label, "n2"]
    rows.append(*block(3, 100))
    assert rows.label[[0, 1, 2, 3]].tolist() == ["n0", label, "n2", "n3"]

"""The embedding without weights."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stages.track.appearance.builtin import LENGTH, MAX_COSINE_DISTANCE, embed
from tests.shared_data import shared

SHIRTS = {"red": (40, 40, 200), "green": (40, 170, 40), "blue": (200, 60, 40), "white": (230, 230, 230)}
WHOLE = np.array([[100, 60, 160, 240]], np.float32)


def person(shirt: str, *, seed: int = 0, brightness: float = 1.0, trousers: str = "blue") -> np.ndarray:
    """A (300, 300, 3) picture: grey noise, and in it a person of two colours in the box `WHOLE`."""
    rng = np.random.default_rng(seed)
    picture = np.full((300, 300, 3), 110.0)
    picture[60:150, 108:152] = SHIRTS[shirt]
    picture[150:240, 112:148] = SHIRTS[trousers]
    picture = brightness * picture + rng.normal(0, 6, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(1 - a[0] @ b[0])


def test_shape_and_length() -> None:
    rows = embed(person("red"), np.repeat(WHOLE, 3, axis=0))
    assert rows.shape == (3, LENGTH) == (3, 128)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(rows[0], rows[1])


def test_no_boxes() -> None:
    assert embed(person("red"), np.zeros((0, 4), np.float32)).shape == (0, LENGTH)


@pytest.mark.parametrize(
    ("what", "other", "box"),
    [
        ("another moment", person("red", seed=1), WHOLE),
        ("a little darker", person("red", seed=1, brightness=0.92), WHOLE),
        ("a loose box", person("red", seed=1), WHOLE + np.array([-5, -8, 5, 8])),
        ("twice as near", cv2.resize(person("red", seed=1), (600, 600)), WHOLE * 2),
    ],
)
def test_the_same_person_is_within_the_limit(what: str, other: np.ndarray, box: np.ndarray) -> None:
    there = embed(other, box.astype(np.float32))
    assert distance(embed(person("red"), WHOLE), there) < MAX_COSINE_DISTANCE, what


@pytest.mark.parametrize("shirt", ["green", "blue", "white"])
def test_another_shirt_is_beyond_the_limit(shirt: str) -> None:
    assert distance(embed(person("red"), WHOLE), embed(person(shirt), WHOLE)) > MAX_COSINE_DISTANCE


def test_where_a_colour_is_matters() -> None:
    one, other = person("red", trousers="white"), person("white", trousers="red")
    assert distance(embed(one, WHOLE), embed(other, WHOLE)) > MAX_COSINE_DISTANCE


@pytest.mark.parametrize(
    ("box", "has_pixels"),
    [
        ((-50, -50, 40, 40), True),
        ((250, 250, 9000, 9000), True),
        ((10, 10, 10.5, 10.5), True),
        ((-30, 10, -2, 50), False),
        ((300, 10, 320, 50), False),
        ((10, 400, 50, 450), False),
        ((20, 20, 20, 20), False),
        ((-1e30, -1e30, 1e30, 1e30), True),
    ],
)
def test_boxes_are_cut_to_the_picture(box: tuple[float, ...], has_pixels: bool) -> None:
    row = embed(person("red"), np.array([box], np.float32))[0]
    assert np.isfinite(row).all()
    assert np.linalg.norm(row) == pytest.approx(1.0 if has_pixels else 0.0, abs=1e-5)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_is_no_trouble(level: int) -> None:
    row = embed(np.full((300, 300, 3), level, np.uint8), WHOLE)[0]
    assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)


def test_people_of_a_real_street_keep_their_looks() -> None:
    """TUD-Stadtmitte: 0.2 s later 0.82 of all people, hidden ones included, are nearest to themselves.

    The street shows about seven at a time, so chance is 0.14.
    """
    truth = np.loadtxt(shared("mot15/TUD-Stadtmitte/gt/gt.txt"), delimiter=",")
    video = cv2.VideoCapture(str(shared("mot15/TUD-Stadtmitte/TUD-Stadtmitte.mp4")))
    looks: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for frame in range(1, 60):
        bgr = video.read()[1]
        rows = truth[truth[:, 0] == frame]
        xyxy = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32)
        looks[frame] = rows[:, 1], embed(bgr, xyxy)
    right = total = 0
    for frame in range(1, 55):
        (ids, then), (later_ids, later) = looks[frame], looks[frame + 5]
        nearest = later_ids[np.argmax(then @ later.T, axis=1)]
        stays = np.isin(ids, later_ids)
        right, total = right + int((nearest == ids)[stays].sum()), total + int(stays.sum())
    assert total > 200
    assert right / total > 0.78

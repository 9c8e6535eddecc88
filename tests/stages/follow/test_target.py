"""When an object is looked for near its last place, when ever further away, and when it is another one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest

from stages.follow.finder import Sighting
from stages.follow.target import Target
from tests.stages.follow.scenes import F64Array, U8Array

PICTURE: U8Array = np.zeros((200, 400, 3), np.uint8)
PLACE = Sighting(np.array([90.0, 80.0, 110.0, 120.0]), np.array([90.0, 80.0, 110.0, 120.0]), 1.0)


class ByScript:
    """Finds what it is told to, and remembers how it was asked."""

    def __init__(self) -> None:
        self.seen = True
        self.asked: list[str] = []
        self.regions: list[list[float]] = []

    def follow(self, bgr: U8Array, window: F64Array, elapsed_s: float) -> Sighting | None:
        self.asked.append("follow")
        return PLACE if self.seen else None

    def search(self, bgr: U8Array, region: F64Array, taken: Sequence[F64Array]) -> Sighting | None:
        self.asked.append("search")
        self.regions.append(region.tolist())
        return PLACE if self.seen else None


def target(finder: ByScript, first: Sighting | None = PLACE) -> Target:
    ids = count(1)
    return Target(finder, ids.__next__, max_age_s=3.0, search_all_s=1.0, first=first, pts_s=0.0)


@pytest.mark.parametrize(
    ("what", "seen_at", "asked"),
    [
        ("steadily", [(0.1, True), (0.2, True)], ["follow", "follow"]),
        ("lost at once", [(0.1, False)], ["follow", "search"]),
        ("lost for longer", [(0.1, False), (0.2, False)], ["follow", "search", "search"]),
        ("found again", [(0.1, False), (0.2, True), (0.3, True)], ["follow", "search", "search", "follow"]),
        ("after a pause", [(0.6, True), (0.7, True)], ["search", "follow"]),
    ],
)
def test_how_it_is_looked_for(what: str, seen_at: list[tuple[float, bool]], asked: list[str]) -> None:
    finder = ByScript()
    followed = target(finder)
    for time_s, finder.seen in seen_at:
        found = followed.update(PICTURE, time_s)
        assert (found is not None) == finder.seen
        assert (followed.place is not None) == finder.seen
    assert finder.asked == asked, what


def test_the_region_grows_until_it_is_the_picture() -> None:
    finder = ByScript()
    finder.seen = False
    followed = target(finder)
    for time_s in (0.001, 0.25, 0.5, 1.0, 50.0):
        followed.update(PICTURE, time_s)
    widths = [right - left for left, _, right, _ in finder.regions]
    assert widths[0] == pytest.approx(20 + 2 * 40, abs=2)
    assert widths[:3] == sorted(set(widths[:3]))
    assert finder.regions[3:] == [[0, 0, 400, 200]] * 2
    for left, _, right, _ in finder.regions[:3]:
        assert (left + right) / 2 == 100


@pytest.mark.parametrize(("back_s", "track_id"), [(0.2, 1), (3.0, 1), (3.1, 2)])
def test_a_new_id_after_max_age_s(back_s: float, track_id: int) -> None:
    finder = ByScript()
    followed = target(finder)
    for time_s, finder.seen in ((0.1, False), (back_s, True), (back_s + 0.1, True)):
        followed.update(PICTURE, time_s)
    assert followed.id == track_id


def test_what_was_never_seen_is_searched_everywhere() -> None:
    finder = ByScript()
    followed = target(finder, first=None)
    assert followed.place is None
    followed.update(PICTURE, 0.0)
    assert finder.regions == [[0, 0, 400, 200]]
    assert followed.id == 1

"""The folder of clips: what goes when, also by a clock that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.sinks.clips.shelf import Shelf

DAY_S = 86_400
NOW_S = 1_800_000_000.0
"""2027-01-15 08:00 UTC."""
SIZE = 100


class Box:
    def __init__(self, root: Path, *, most_bytes: int = 10**9) -> None:
        self.root = root
        self.now_s = NOW_S
        self.up_s = 50.0
        self.shelf = Shelf(
            root,
            keep_days=30,
            most_bytes=most_bytes,
            free_bytes=0,
            free=lambda _: 1,
            now_s=lambda: self.now_s,
            clock_s=lambda: self.up_s,
        )

    def go_on(self, seconds: float) -> None:
        self.now_s += seconds
        self.up_s += seconds
        self.shelf.make_room()

    def add(self, name: str, day: str, days_ago: float = 0) -> None:
        """Store a clip of some day, so many days ago."""
        path = self.root / "gate" / day / f"gate_{day.replace('-', '')}T080000.000Z_x_{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(SIZE))
        os.utime(path, (self.now_s - days_ago * DAY_S,) * 2)
        self.shelf.added(path.relative_to(self.root).as_posix())

    @property
    def left(self) -> list[str]:
        return sorted(path.stem.rpartition("_")[2] for path in self.root.glob("*/*/*.mp4"))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_old_ones_go_by_a_clock_that_has_gone_on_for_an_hour(box: Box) -> None:
    box.add("a", "2026-12-01", 31)
    box.add("b", "1970-01-01", 29)
    box.go_on(3599)
    assert box.left == ["a", "b"]
    box.go_on(1)
    assert box.left == ["b"]
    box.go_on(2 * DAY_S)
    assert box.left == []


def test_a_clock_that_leaps_ahead_removes_nothing_and_back_keeps_nothing_for_ever(box: Box) -> None:
    box.add("a", "2027-01-15")
    box.go_on(3600)
    box.now_s += 365 * DAY_S
    box.go_on(3599)
    assert box.left == ["a"]
    box.now_s -= 365 * DAY_S
    for _ in range(24 * 31):
        box.go_on(3600)
    assert box.left == []


def test_what_is_of_the_future_goes_before_what_came_since(tmp_path: Path) -> None:
    box = Box(tmp_path, most_bytes=3 * SIZE)
    box.add("a", "2028-01-15")
    box.add("b", "2027-01-14")
    box.add("c", "2027-01-15")
    box.add("d", "2027-01-15")
    box.shelf.make_room()
    assert box.left == ["b", "c", "d"]
    box.add("e", "2027-01-16")
    box.shelf.make_room()
    assert box.left == ["c", "d", "e"]

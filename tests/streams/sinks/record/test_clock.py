"""Recordings on a box whose time of day is wrong, and set right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest

from pipeline.packet import Packet, PacketFormat
from pipeline.steady import SteadyClock
from streams.sinks.record.alarm import Alarm
from streams.sinks.record.chores import Chores
from streams.sinks.record.keep import Keep
from tests.packets import leapt
from tests.streams.sinks.record.feeding import Told, record, recording, segments
from tests.streams.sinks.record.test_archive import DAY_NS, NOW_NS, Disk

YEAR_NS = 365 * DAY_NS
HOUR_S = 3600


class Box:
    """A box with recordings, whose chores are done at the times that are set."""

    def __init__(self, root: Path, *, most: int = 10**12) -> None:
        self.up_s = 1000.0
        self.disk = Disk(root / "recordings", Keep(30, most, 0))
        told = Told()
        archive = self.disk.archive
        self.chores = Chores(
            archive,
            told,
            dict,
            lambda _: Alarm("", told, time.time_ns),
            lambda: self.up_s,
            SteadyClock(archive.now_ns, lambda: self.up_s),
        )

    def go_on(self, seconds: float) -> None:
        self.up_s += seconds
        self.disk.now_ns += round(seconds * 1e9)
        self.chores.work()

    def set_clock(self, by_ns: int) -> None:
        self.disk.now_ns += by_ns
        self.chores.work()

    def add(self, stream: str) -> None:
        self.disk.add(stream, 0)

    @property
    def left(self) -> list[str]:
        return sorted(path.parent.parent.name for path in self.disk.root.glob("*/*/*.mp4"))


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Callable[..., Box]]:
    made: list[Box] = []

    def make(**bounds: int) -> Box:
        made.append(Box(tmp_path, **bounds))
        return made[-1]

    yield make
    for one in made:
        one.disk.archive.let_go()


def test_a_clock_that_is_wrong_at_the_start_removes_nothing(box: Callable[..., Box]) -> None:
    here = box()
    here.disk.add("a", 1)
    here.disk.now_ns += YEAR_NS
    here.chores.work()
    here.go_on(600)
    here.set_clock(-YEAR_NS)
    here.go_on(3 * HOUR_S)
    assert here.left == ["a"]


def test_a_clock_that_leaps_ahead_and_back_removes_nothing(box: Callable[..., Box]) -> None:
    here = box()
    here.add("a")
    here.go_on(2 * HOUR_S)
    here.go_on(1800)
    here.set_clock(YEAR_NS)
    here.go_on(3000)
    here.add("b")
    here.set_clock(-YEAR_NS)
    here.go_on(1800)
    assert here.left == ["a", "b"]


def test_what_is_too_old_goes_by_a_clock_that_has_gone_on_for_an_hour(box: Callable[..., Box]) -> None:
    here = box()
    here.disk.add("a", 31)
    here.disk.add("b", 29)
    here.go_on(HOUR_S)
    assert here.left == ["b"]


def test_what_was_stored_before_the_clock_was_set_right_is_not_old(box: Callable[..., Box]) -> None:
    here = box(most=200)
    here.disk.add("a", 1)
    here.chores.work()
    here.set_clock(10 * 60 * 10**9 - NOW_NS)  # begins in 1970
    here.go_on(60)
    here.add("b")
    here.go_on(60)
    here.set_clock(NOW_NS)
    here.go_on(2 * HOUR_S)
    assert here.left == ["a", "b"]
    here.add("c")
    assert here.left == ["b", "c"]


def test_what_was_stored_in_the_future_is_older_than_what_came_since(box: Callable[..., Box]) -> None:
    here = box(most=300)
    here.disk.now_ns += YEAR_NS
    for stream in ("a", "b", "c"):
        here.add(stream)
        here.go_on(60)
    here.disk.now_ns -= YEAR_NS  # while sightline did not run
    here.disk.archive.let_go()
    for stream in ("d", "e"):
        here.add(stream)
        here.go_on(60)
    assert here.left == ["c", "d", "e"]


def test_a_file_is_as_long_as_its_pictures_when_the_clock_is_set_in_the_midst(
    tmp_path: Path, material: tuple[PacketFormat, list[Packet]]
) -> None:
    form, packets = material
    later_ns = 3 * HOUR_S * 10**9
    moved = [
        replace(packet, moment=replace(packet.moment, time_ns=packet.moment.time_ns + later_ns))
        for packet in packets[30:]
    ]
    with recording(tmp_path) as sink:
        record(sink, form, [*packets[:30], *moved])
    before, after = segments(tmp_path / "recordings")
    assert (before.seconds, after.seconds) == pytest.approx((2.0, 2.0))
    assert after.start_ns - before.start_ns == 2 * 10**9 + later_ns


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_camera_that_sets_its_clock_in_the_midst(
    tmp_path: Path, material: tuple[PacketFormat, list[Packet]], seconds: float, container: str
) -> None:
    form, packets = material
    with recording(tmp_path, container=container) as sink:
        record(sink, form, leapt(form, packets, 30, seconds))
    (segment,) = segments(tmp_path / "recordings")
    with av.open(tmp_path / "recordings" / segment.path) as recorded:
        shown = [float(frame.time or 0.0) for frame in recorded.decode(video=0)]
    assert shown == pytest.approx([number * 0.05 for number in range(80)], abs=0.002)

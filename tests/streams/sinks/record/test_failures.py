"""Disks that fill, vanish, are read-only or slow: told, and recording goes on by itself."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.packet import Packet, PacketFormat
from pipeline.plugin import SinkContext
from streams.sinks.copying.target import FileTarget
from streams.sinks.record.alarm import Alarm
from streams.sinks.record.archive import Archive, Keep
from streams.sinks.record.chores import Chores
from streams.sinks.record.disk import Trouble
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.recorder import Recorder
from streams.sinks.record.segment import State
from streams.sinks.record.sink import RecordSink
from tests.disks import Disks, fill, mount, remount, unplug
from tests.packets import hashes, hashes_in
from tests.servers.footprint import until
from tests.streams.sinks.record.feeding import Feed, Told, recording, repeated, segments

Material = tuple[PacketFormat, list[Packet]]
Mount = Callable[[str], None]


@pytest.fixture
def disk(small_disk: Disks) -> Path:
    """A disk of four megabytes."""
    return small_disk("4m")


def test_a_small_disk_keeps_the_newest(disk: Path, material: Material) -> None:
    form, packets = material
    size = sum(len(packet.data) for packet in packets)
    turns = 8_000_000 // size
    told = Told()
    many = repeated(packets, turns)
    with recording(disk, told, segment_s=4, free_gb=0.0005) as sink:
        feed = Feed(sink, form)
        feed.put(many)
        feed.close()
    assert not feed.failures
    assert not told.events
    found = segments(disk / "recordings")
    assert found[-1].end_s == pytest.approx(4.0 * turns)  # the newest is there
    assert all(later.start_ns - earlier.end_ns < 1e6 for earlier, later in pairwise(found))
    assert sum(segment.size for segment in found) > 2e6
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize >= 400_000
    stored = [one for segment in found for one in hashes_in(disk / "recordings" / segment.path)]
    assert stored == hashes(many)[-len(stored) :]


def test_where_nothing_must_stay_free_the_oldest_go_too(disk: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    with recording(disk, told, segment_s=4, free_gb=0) as sink:
        feed = Feed(sink, form)
        feed.put(repeated(packets, 8_000_000 // sum(len(packet.data) for packet in packets)))
        feed.close()
    assert not feed.failures
    assert not told.events
    assert sum(segment.size for segment in segments(disk / "recordings")) > 2e6


def test_a_quota_that_bites_takes_the_oldest_and_leaves_no_empty_file(
    tmp_path: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    form, packets = material
    write = FileTarget.write
    told = Told()

    def limited(self: FileTarget, data: bytes) -> int:
        used = sum(path.stat().st_size for path in tmp_path.rglob("*.mp4"))
        if used + len(data) > 1_000_000:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return write(self, data)

    monkeypatch.setattr(FileTarget, "write", limited)
    with recording(tmp_path, told, segment_s=4) as sink:
        feed = Feed(sink, form)
        many = repeated(packets, 3_000_000 // sum(len(packet.data) for packet in packets))
        feed.put(many)
        feed.close()
    assert feed.failures
    found = segments(tmp_path / "recordings")
    assert found[-1].end_s > many[-1].moment.pts_s - 8
    assert found[0].start_s > many[0].moment.pts_s
    assert all(path.stat().st_size for path in tmp_path.rglob("*.mp4"))


def test_a_disk_that_others_fill_is_told_and_recording_goes_on(disk: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    many = repeated(packets, 12)
    third = len(many) // 3
    with recording(disk, told, segment_s=4) as sink:
        feed = Feed(sink, form)
        feed.put(many[:80])
        filler = disk / "filler"
        fill(filler)
        feed.put(many[80:third])
        assert feed.failures
        assert all("disk full" in line for line in feed.failures)
        assert told.alarms == [("begin", "disk full")]
        filler.unlink()
        feed.put(many[third : 2 * third])
        feed.close()
    assert told.alarms == [("begin", "disk full"), ("end", "disk full")]
    end = told.of("recording.alarm")[-1]
    assert 0 < end["lost_s"] < 20
    found = segments(disk / "recordings")
    assert found[-1].end_s == pytest.approx(many[2 * third].moment.pts_s, abs=0.2)
    cut = [segment for segment in found if segment.state is State.CUT]
    for segment in cut:  # what the disk had taken can be played
        stored = hashes_in(disk / "recordings" / segment.path)
        assert len(stored) >= segment.packets > 0


def test_a_disk_that_was_unplugged_and_comes_back(disk: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    folder = disk / "recordings"
    folder.mkdir()
    many = repeated(packets, 6)
    with recording(disk.parent, told, segment_s=4, folder=str(folder)) as sink:
        feed = Feed(sink, form)
        feed.put(many[:100])
        assert unplug(disk)
        feed.idle()
        assert "unplugged (the file is no longer there); plug it in" in feed.failures[0]
        feed.put(many[100:200])
        assert not folder.exists()  # the empty mount point is not filled
        mount(disk, "size=4m")
        folder.mkdir()
        feed.put(many[200:])
        feed.close()
    assert told.alarms == [("begin", "unplugged"), ("end", "unplugged")]
    (*_, last) = segments(folder)
    assert last.end_s == pytest.approx(24.0)


def test_a_mount_point_that_was_left_is_not_taken_for_the_disk(disk: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    many = repeated(packets, 3)
    with recording(disk.parent, told, folder=str(disk)) as sink:
        feed = Feed(sink, form)
        feed.put(many[:100])
        assert unplug(disk)
        feed.idle()
        feed.put(many[100:])
        assert "its disk is not mounted any more" in feed.failures[-1]
    assert not list(disk.iterdir())


def test_a_read_only_disk_that_becomes_writable(disk: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    remount(disk, "ro")
    with recording(disk.parent, told, folder=str(disk)) as sink:
        feed = Feed(sink, form)
        feed.put(packets[:40])
        assert "read-only (Read-only file system); make it writable" in feed.failures[0]
        remount(disk, "rw")
        feed.put(packets[40:])
        feed.close()
    assert told.alarms == [("begin", "read-only"), ("end", "read-only")]
    assert sum(segment.packets for segment in segments(disk)) == 40


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    with recording(tmp_path, told) as sink:
        feed = Feed(sink, form)
        feed.put(repeated(packets, 2)[:100])
        shutil.rmtree(tmp_path / "recordings")
        feed.put(repeated(packets, 2)[100:])
        feed.close()
    assert told.alarms == [("begin", "unplugged"), ("end", "unplugged")]
    (segment,) = segments(tmp_path / "recordings")
    assert segment.state is State.WHOLE


def test_a_missing_disk_at_the_start_is_told(tmp_path: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    folder = tmp_path / "usb" / "recordings"
    with recording(tmp_path, told, folder=str(folder)) as sink:
        feed = Feed(sink, form)
        feed.put(packets[:30])
        assert told.alarms == [("begin", "unplugged")]
        folder.mkdir(parents=True)
        feed.put(packets[30:])
        feed.close()
    assert told.alarms[-1] == ("end", "unplugged")
    assert segments(folder)


class SlowTarget(FileTarget):
    """A disk that answers when it is allowed to."""

    gate = threading.Event()

    def write(self, data: object, /) -> int:
        assert SlowTarget.gate.wait(30)
        return super().write(data)


def test_a_disk_that_does_not_answer_is_told_while_it_is_silent(tmp_path: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    sink = RecordSink(RecordOptions(free_gb=0), SinkContext(tmp_path, told))
    SlowTarget.gate.clear()
    sink.open_packets(form)
    known = sink._of("gate")
    known.recorder = Recorder(form, sink.options, sink._archive, make=SlowTarget)
    thread = threading.Thread(target=lambda: [sink.on_packet(packet) for packet in packets])
    thread.start()
    until(lambda: known.busy_since_s is not None, 5, lambda: known)
    time_s = time.monotonic()
    later = Chores(sink._archive, told, sink._busy, lambda _: known.alarm, lambda: time_s + 6)
    later.watch()
    assert told.alarms == [("begin", "slow disk")]
    SlowTarget.gate.set()
    thread.join(10)
    sink.on_packet(repeated(packets, 4)[-1])
    sink.close_packets("gate")
    sink.close()
    assert sum(segment.packets for segment in segments(tmp_path / "recordings")) == 81


def test_an_index_that_fails_stops_no_recording(tmp_path: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    with recording(tmp_path, told, segment_s=2) as sink:
        feed = Feed(sink, form)
        feed.put(packets[:30])
        with sqlite3.connect(tmp_path / "recordings" / "index.sqlite3") as other:
            other.execute("DROP TABLE segments")
        feed.put(packets[30:])
        feed.close()
        assert not feed.failures
        assert "no such table" in sink._archive.complaint
    assert len(list((tmp_path / "recordings").glob("*/*/*.mp4"))) == 2


def test_what_the_index_did_not_take_comes_with_the_next(tmp_path: Path, material: Material) -> None:
    form, packets = material
    with recording(tmp_path, segment_s=2) as sink:
        feed = Feed(sink, form)
        feed.put(packets[:30])
        other = sqlite3.connect(tmp_path / "recordings" / "index.sqlite3", isolation_level=None)
        sink._archive.open()._database.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        feed.put(packets[30:])
        assert "locked" in sink._archive.complaint
        other.execute("ROLLBACK")
        other.close()
        feed.close()
    assert [segment.state for segment in segments(tmp_path / "recordings")] == [State.WHOLE] * 2


def test_chores_set_right_what_the_index_missed(tmp_path: Path) -> None:
    told = Told()
    archive = Archive(tmp_path, Keep(30, 10**12, 0))
    now_s = 0.0
    chores = Chores(archive, told, dict, lambda _: Alarm("", told, time.time_ns), lambda: now_s)
    archive.open()
    chores.work()
    archive.complaint = "database is locked"
    chores.work()
    assert told.alarms == [("begin", Trouble.INDEX)]
    now_s = 61.0
    chores.work()
    assert told.alarms == [("begin", Trouble.INDEX), ("end", Trouble.INDEX)]
    archive.let_go()


def test_many_streams_and_little_room(tmp_path: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    many = repeated(packets, 6)
    names = [f"cam{number}" for number in range(8)]
    with recording(tmp_path, told, segment_s=1, keep_gb=0.001) as sink:
        feeds = [Feed(sink, replace(form, stream=name)) for name in names]

        def work(feed: Feed) -> None:
            feed.put(replace(packet, stream=feed.form.stream) for packet in many)
            feed.close()

        threads = [threading.Thread(target=work, args=(feed,)) for feed in feeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        sink._chores.work()
    assert not [failure for feed in feeds for failure in feed.failures]
    root = tmp_path / "recordings"
    found = segments(root)
    assert sorted(segment.path for segment in found) == sorted(
        path.relative_to(root).as_posix() for path in root.glob("*/*/*.mp4")
    )
    assert sum(segment.size for segment in found) <= 1_000_000
    assert len(found) >= 8
    assert not told.alarms

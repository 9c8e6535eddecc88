"""Files of a run on a disk that is full for a while: they go on, are whole, and what they lack is counted."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import SinkError, Unwritable
from pipeline.plugin import SinkContext, StreamInfo
from streams.sinks.counts import CountsOptions, CountsSink
from streams.sinks.counts.days import DayFiles
from streams.sinks.events import EventsOptions, EventsSink
from streams.sinks.textfile import TextFile
from streams.sinks.video import VideoOptions, VideoSink
from tests.disks import Disks, fill, mount, unplug
from tests.streams.sinks.counts.table import BOTH, day, feed
from tests.streams.sinks.material import crossing, frame, info


@pytest.fixture
def disk(small_disk: Disks) -> Path:
    """A disk of one megabyte."""
    return small_disk("1m")


def live(stream: str = "gate") -> StreamInfo:
    return replace(info(stream), live=True)


def times(path: Path) -> list[float]:
    """Return the times of the events in a file, each line of which is whole."""
    *lines, rest = path.read_bytes().split(b"\n")
    assert rest == b""
    return [json.loads(line)["pts_s"] for line in lines]


def opened(folder: Path, **options: bool) -> EventsSink:
    sink = EventsSink(EventsOptions(**options), SinkContext(folder))
    sink.open_stream(live())
    return sink


@pytest.mark.parametrize("fsync", [False, True])
def test_events_wait_and_come_in_order(disk: Path, fsync: bool) -> None:
    sink = opened(disk, fsync=fsync)
    sink.on_event(crossing(0))
    fill(disk / "filler")
    refused = []
    for n in range(1, 41):  # the first find the rest of the file's last page
        try:
            sink.on_event(crossing(n))
        except Unwritable as error:
            refused.append(str(error))
    assert refused[0].startswith(f"cannot write {disk / 'events.jsonl'}: No space left on device; free")
    with pytest.raises(Unwritable):
        sink.retry("gate")
    assert times(disk / "events.jsonl") == list(range(41 - len(refused)))  # and no half line
    (disk / "filler").unlink()
    sink.retry("gate")
    sink.on_event(crossing(41))
    sink.close()
    assert times(disk / "events.jsonl") == list(range(42))
    assert sink.losses("gate") == {"events": 0}


def test_of_too_many_events_the_newest_are_kept_and_the_others_counted(disk: Path) -> None:
    file = TextFile(disk / "a.txt", most_waiting=10_000)
    lines = [f"{n:0999}\n" for n in range(30)]
    fill(disk / "filler")
    for n, line in enumerate(lines):
        with pytest.raises(Unwritable):
            file.write(line, "gate" if n < 5 else "yard")
    assert file.lost() == {"gate": 5, "yard": 15}
    (disk / "filler").unlink()
    file.close()
    assert (disk / "a.txt").read_text() == "".join(lines[20:])


def test_what_is_never_written_is_an_error_at_the_end_with_the_number_in_the_report(disk: Path) -> None:
    sink = opened(disk)
    fill(disk / "filler")
    for n in range(5):
        with pytest.raises(Unwritable):
            sink.on_event(crossing(n))
    with pytest.raises(SinkError, match="No space left on device"):
        sink.close()
    assert sink.losses("gate") == {"events": 5}
    assert (disk / "events.jsonl").read_bytes() == b""
    sink.close()


def test_events_go_on_where_a_disk_was_plugged_in_again(disk: Path) -> None:
    sink = opened(disk)
    sink.on_event(crossing(0))
    fill(disk / "filler")
    for n in range(1, 20):
        with suppress(Unwritable):
            sink.on_event(crossing(n))
    assert unplug(disk)
    assert mount(disk, "size=1m").returncode == 0
    (disk / "events.jsonl").write_text('{"pts_s": -1}\n{"pts_s"')  # what a torn disk has
    sink.retry("gate")
    sink.close()
    first, *others = times(disk / "events.jsonl")
    assert first == -1
    assert others == list(range(int(others[0]), 20))
    assert 0 < others[0] < 19  # what the first disk had stays there


def test_live_counts_lose_nothing(disk: Path, tmp_path: Path) -> None:
    def run(folder: Path, full_s: range) -> None:
        sink = CountsSink(CountsOptions(bin_s=5), SinkContext(folder))
        sink.open_stream(live())
        refused = 0
        for n in range(400):
            if n == full_s.start:
                fill(folder / "filler")
            if n == full_s.stop:
                (folder / "filler").unlink()
                sink.retry("gate")
            try:
                feed(sink, crossing(n, str(n)), frame(n, counts=BOTH))
            except Unwritable:
                refused += 1
        assert (refused > 10) == bool(full_s)
        sink.close_stream("gate")
        sink.close()
        assert sink.losses("gate") == {"rows": 0}

    run(disk, range(100, 300))
    undisturbed = tmp_path / "undisturbed"
    run(undisturbed, range(-1, -1))
    assert day(disk, "1970-01-01") == day(undisturbed, "1970-01-01")
    assert len(day(disk, "1970-01-01")) > 80


def test_counts_that_are_never_written_are_counted(disk: Path) -> None:
    sink = CountsSink(CountsOptions(bin_s=5), SinkContext(disk))
    sink.open_stream(live())
    feed(sink, frame(0, counts=BOTH))
    fill(disk / "filler")
    for n in range(1, 100):
        try:
            feed(sink, frame(n, counts=BOTH))
        except Unwritable:
            continue
    with pytest.raises(SinkError, match="No space left on device"):
        sink.close_stream("gate")
    lost = sink.losses("gate")["rows"]
    kept = (disk / "counts/gate/1970-01-01.csv").read_bytes() if (disk / "counts/gate").exists() else b""
    assert lost + max(0, kept.count(b"\n") - 1) == 2 * 20
    assert kept == b"" or kept.endswith(b"\n")


def test_a_parquet_file_of_a_day_that_finds_no_room_is_made_later(disk: Path) -> None:
    pytest.importorskip("pyarrow")
    files = DayFiles(disk, keep_days=9, parquet=True)
    files.append([("gate", 60, f"1970-01-01T00:{minute:02}:00+00:00", *[""] * 15) for minute in range(60)])
    fill(disk / "filler")
    with pytest.raises(Unwritable, match=r"1970-01-01\.parquet: .*No space left on device"):
        files.settle(before=None)
    assert not list(disk.glob("*.parquet*"))
    (disk / "filler").unlink()
    files.settle(before=None)
    assert [path.name for path in disk.glob("*.parquet*")] == ["1970-01-01.parquet"]


def noisy(sink: VideoSink, times_s: range) -> int:
    """Give noise, a picture a second; return how often the disk refused it."""
    refused = 0
    for at_s in times_s:
        random = np.random.default_rng(at_s)
        try:
            sink.on_frame(frame(at_s, bgr=random.integers(0, 255, (48, 64, 3), np.uint8)))
        except Unwritable:
            refused += 1
    return refused


def shown(path: Path) -> list[float]:
    with av.open(path) as container:
        return [round(picture.time or 0.0, 3) for picture in container.decode(video=0)]


def test_a_video_that_the_disk_cut_short_plays_and_the_next_file_goes_on(disk: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(disk))
    sink.open_stream(live())
    assert noisy(sink, range(20)) == 0
    fill(disk / "filler")
    assert noisy(sink, range(20, 60)) == 1  # what follows is counted without a word
    with pytest.raises(Unwritable, match="has room for 0 bytes, not "):
        sink.retry("gate")
    assert not sink.wants_pictures("gate")
    first = shown(disk / "gate.mp4")
    assert first == list(range(len(first)))
    assert 10 < len(first) < 40
    (disk / "filler").unlink()
    sink.retry("gate")
    assert sink.wants_pictures("gate")
    assert noisy(sink, range(60, 80)) == 0
    sink.close_stream("gate")
    sink.close()
    assert shown(disk / "gate.mp4") == first
    assert shown(disk / "gate.2.mp4") == list(range(60, 80))
    assert sink.losses("gate") == {"pictures": 80 - 20 - len(first)}


def test_files_without_a_picture_do_not_pile_up(disk: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(disk))
    fill(disk / "filler")
    sink.open_stream(live())
    for turn in range(5):
        assert noisy(sink, range(turn * 20, turn * 20 + 20)) == 1
        assert not list(disk.glob("*.mp4"))
        (disk / "filler").unlink()
        sink.retry("gate")
        fill(disk / "filler")
    (disk / "filler").unlink()
    noisy(sink, range(100, 110))
    sink.close_stream("gate")
    assert [path.name for path in disk.glob("*.mp4")] == ["gate.mp4"]
    assert shown(disk / "gate.mp4") == list(range(100, 110))
    assert sink.losses("gate") == {"pictures": 100}


def test_a_next_file_into_which_nothing_came_is_removed(disk: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(disk))
    sink.open_stream(live())
    noisy(sink, range(20))
    fill(disk / "filler")
    assert noisy(sink, range(20, 60)) == 1
    (disk / "filler").unlink()
    sink.retry("gate")
    sink.close_stream("gate")
    assert [path.name for path in disk.glob("*.mp4")] == ["gate.mp4"]


def test_a_recording_is_told_of_it_and_what_is_there_plays(disk: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(disk))
    sink.open_stream(info())
    fill(disk / "filler")
    os.truncate(disk / "filler", (disk / "filler").stat().st_size - 64_000)
    assert noisy(sink, range(100)) == 1
    sink.close_stream("gate")
    sink.close()
    assert 2 <= len(shown(disk / "gate.mp4")) < 100

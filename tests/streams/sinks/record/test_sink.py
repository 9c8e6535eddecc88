from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

from pipeline.errors import SinkError
from pipeline.packet import Packet, PacketFormat
from streams.sinks.record.index import FILE
from streams.sinks.record.segment import Segment, State
from tests.media import write_crossing_video
from tests.packets import hashes, hashes_in, packets_of
from tests.streams.sinks.record.feeding import (
    START_NS,
    Feed,
    Told,
    as_from_a_camera,
    record,
    recording,
    repeated,
    segments,
)

Material = tuple[PacketFormat, list[Packet]]


def files(folder: Path) -> list[Path]:
    return [folder / "recordings" / segment.path for segment in segments(folder / "recordings")]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_every_packet_is_there_as_it_came(tmp_path: Path, material: Material, container: str) -> None:
    form, packets = material
    packets = repeated(packets, 3)
    with recording(tmp_path, container=container, segment_s=5) as sink:
        record(sink, form, packets)
    assert [one for path in files(tmp_path) for one in hashes_in(path)] == hashes(packets)
    assert [path.name for path in files(tmp_path)] == [
        f"gate_20270115T0800{second}.000Z.{container}" for second in ("00", "05", "10")
    ]


def test_files_are_cut_at_the_first_key_frame_after_a_boundary(tmp_path: Path, material: Material) -> None:
    form, packets = material
    late = [replace(p, moment=replace(p.moment, time_ns=p.moment.time_ns + 600_000_000)) for p in packets]
    with recording(tmp_path, segment_s=2) as sink:
        record(sink, form, late)
    found = segments(tmp_path / "recordings")
    # Key frames come at 0.6, 1.6, 2.6 ...: that of 2.6 is the first after 2.
    starts = [(segment.start_ns - START_NS) / 1e9 for segment in found]
    assert starts == pytest.approx([0.6, 2.6])
    assert [segment.start_s for segment in found] == pytest.approx([0.0, 2.0])
    for earlier, later in pairwise(found):
        assert later.start_ns == pytest.approx(earlier.end_ns, abs=2e6)


def test_the_index_tells_all(tmp_path: Path, material: Material) -> None:
    form, packets = material
    with recording(tmp_path) as sink:
        record(sink, form, packets)
    (segment,) = segments(tmp_path / "recordings")
    path = tmp_path / "recordings" / segment.path
    assert segment == Segment(
        "gate/2027-01-15/gate_20270115T080000.000Z.mp4",
        "gate",
        START_NS,
        START_NS + 4_000_000_000,
        segment.stored_ns,
        path.stat().st_size,
        80,
        4,
        state=State.WHOLE,
        codec="h264",
        width=320,
        height=240,
        run="run-1",
        end_s=pytest.approx(4.0),
        clock="file",
    )
    with av.open(path) as container:
        assert container.metadata["title"] == "gate"
        assert len([frame.time for frame in container.decode(video=0)]) == 80


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_packets_of_a_camera(tmp_path: Path, clip: Path, material: Material, container: str) -> None:
    form, packets = as_from_a_camera(clip, *material)
    with recording(tmp_path, container=container) as sink:
        record(sink, replace(form, reorder=2), packets)
    (path,) = files(tmp_path)
    with av.open(path) as copy, av.open(clip) as source:
        copied = [bytes(frame.planes[0]) for frame in copy.decode(video=0)]
        assert copied == [bytes(frame.planes[0]) for frame in source.decode(video=0)]
    (segment,) = segments(tmp_path / "recordings")
    assert (segment.packets, segment.keys, segment.state) == (80, 4, State.WHOLE)
    assert segment.seconds == pytest.approx(4.0, abs=0.15)  # nobody has told how long the last is shown


def test_lost_packets_are_counted_and_told(tmp_path: Path, material: Material) -> None:
    form, packets = material
    told = Told()
    packets = repeated(packets, 6)
    with recording(tmp_path, told) as sink:
        record(sink, form, packets[:30] + packets[60:])
    (segment,) = segments(tmp_path / "recordings")
    assert (segment.gaps, segment.lost, segment.packets) == (1, 30, 450)
    assert segment.seconds == pytest.approx(24.0)
    assert told.alarms == [("begin", "recorder too slow"), ("end", "recorder too slow")]
    assert told.of("recording.alarm")[-1]["lost_packets"] == 30


def test_each_connection_has_files_of_its_own_and_none_is_written_over(
    tmp_path: Path, material: Material
) -> None:
    form, packets = material
    for run in ("a", "b"):
        with recording(tmp_path) as sink:
            record(sink, replace(form, run=run), packets)
    found = segments(tmp_path / "recordings")
    assert sorted(segment.run for segment in found) == ["a", "b"]
    assert sorted(segment.path.rpartition("/")[2] for segment in found) == [
        "gate_20270115T080000.000Z.2.mp4",
        "gate_20270115T080000.000Z.mp4",
    ]


def test_a_clock_that_goes_back_begins_a_file(tmp_path: Path, material: Material) -> None:
    form, packets = material
    back = [replace(p, sequence=p.sequence + 80, moment=p.moment.shifted(-3600)) for p in packets]
    with recording(tmp_path) as sink:
        record(sink, form, packets + back)
    assert [segment.packets for segment in segments(tmp_path / "recordings")] == [80, 80]


def test_what_is_written_can_be_played_and_found_while_it_grows(tmp_path: Path, material: Material) -> None:
    form, packets = material
    packets = repeated(packets, 3)
    with recording(tmp_path, fragment_s=0.5) as sink:
        feed = Feed(sink, form)
        feed.put(packets[:230])
        (segment,) = segments(tmp_path / "recordings")
        assert segment.state is State.OPEN
        assert segment.seconds > 5.0
        found = hashes_in(tmp_path / "recordings" / segment.path)
        assert found == hashes(packets[: len(found)])
        assert 230 - len(found) <= 0.5 * 20 + 1
        feed.close()


def test_a_codec_that_mp4_does_not_hold(tmp_path: Path, material: Material) -> None:
    form, _ = material
    with (
        recording(tmp_path) as sink,
        pytest.raises(SinkError, match="does not hold video of the codec vp8; record with `container: mkv`"),
    ):
        sink.open_packets(replace(form, codec="vp8"))


def test_a_codec_that_cannot_be_copied_leaves_no_files(tmp_path: Path, material: Material) -> None:
    form, packets = material
    with recording(tmp_path, container="mkv") as sink:
        feed = Feed(sink, replace(form, codec="ffv1"))
        feed.put(packets[:60])  # two key frames, each of which it is tried with
    assert len(feed.failures) == 3
    assert all("video of the codec ffv1 cannot be copied" in failure for failure in feed.failures)
    assert not list(tmp_path.glob("recordings/*/*/*"))


def test_other_codecs_in_both_containers(tmp_path: Path) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=20, codec="mpeg4")
    form, packets = packets_of(clip, start_ns=START_NS)
    for container in ("mp4", "mkv"):
        with recording(tmp_path / container, container=container) as sink:
            record(sink, form, packets)
        (path,) = files(tmp_path / container)
        assert hashes_in(path) == hashes(packets)


def test_an_index_that_somebody_removed_is_made_anew(tmp_path: Path, material: Material) -> None:
    form, packets = material
    packets = repeated(packets, 3)
    with recording(tmp_path, segment_s=4) as sink:
        feed = Feed(sink, form)
        feed.put(packets[:130])
        for path in (tmp_path / "recordings").glob(f"{FILE}*"):
            path.unlink()
        feed.put(packets[130:])
        feed.close()
        sink._chores.work()
    assert [segment.packets for segment in segments(tmp_path / "recordings")] == [80, 80, 80]

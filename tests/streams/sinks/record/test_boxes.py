from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.copier import Copier
from streams.sinks.record.boxes import Contents, contents_of
from streams.sinks.record.probe import mend
from tests.packets import hashes_in, packets_of
from tests.shared_data import shared

OPTIONS = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "frag_duration": "500000"}


@pytest.fixture(scope="module")
def fragmented(material: tuple[PacketFormat, list[Packet]]) -> bytes:
    form, packets = material
    target = io.BytesIO()
    with Copier(target, form, container="mp4", options=OPTIONS) as copier:
        for packet in packets:
            copier.write(packet)
    return target.getvalue()


def read(data: bytes) -> Contents:
    return contents_of(io.BytesIO(data))


def test_what_is_in_it(fragmented: bytes) -> None:
    found = read(fragmented)
    assert 0 < found.shown < len(fragmented)
    assert found == Contents(8, 80, 4, pytest.approx(4.0), len(fragmented), is_ended=True, shown=found.shown)


@pytest.mark.parametrize("name", ["traffic_a.mp4", "car-detection.mp4", "faces.mp4"])
def test_the_same_as_a_demuxer_finds_in_real_footage(tmp_path: Path, name: str) -> None:

    form, packets = packets_of(shared(f"video/{name}"))
    with Copier(tmp_path / "copy.mp4", form, container="mp4", options=OPTIONS) as copier:
        for packet in packets:
            copier.write(packet)
    with (tmp_path / "copy.mp4").open("rb") as file:
        found = contents_of(file)
    with av.open(tmp_path / "copy.mp4") as container:
        demuxed = [packet for packet in container.demux(video=0) if packet.size]
    assert (found.packets, found.keys) == (len(demuxed), sum(packet.is_keyframe for packet in demuxed))
    assert found.size == (tmp_path / "copy.mp4").stat().st_size


def test_only_what_is_whole_counts_wherever_it_is_cut(fragmented: bytes) -> None:
    had = Contents()
    for length in range(0, len(fragmented), 997):
        found = read(fragmented[:length])
        assert found.size <= length
        assert (found.fragments, found.packets, found.keys) >= (had.fragments, had.packets, had.keys)
        had = found
        assert not found.is_ended
    assert (had.fragments, had.packets) == (8, 80)


@given(st.data())
def test_strange_bytes_are_no_failure(fragmented: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(fragmented) - 1))
    strange = data.draw(st.binary(min_size=1, max_size=16))
    changed = fragmented[:place] + strange + fragmented[place + len(strange) :]
    found = read(changed)
    assert 0 <= found.size <= len(changed)


@pytest.mark.parametrize("data", [b"", b"x", b"\0\0\0\1mdat" + b"\0" * 4, b"\0\0\0\0free", bytes(100)])
def test_no_mp4_has_nothing(data: bytes) -> None:
    assert read(data).packets == 0


def test_whole_pictures_of_a_torn_fragment_count(fragmented: bytes, tmp_path: Path) -> None:
    path = tmp_path / "torn.mp4"
    counts = []
    for length in range(fragmented.rindex(b"mdat") + 4, len(fragmented) - 250, 100):
        counts.append(read(fragmented[:length]).packets)
        path.write_bytes(fragmented[:length])
        with av.open(path) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        assert counts[-1] == sum(not packet.is_corrupt for packet in packets)
    assert counts[0] == 70
    assert 70 < counts[-1] < 80


def test_a_torn_head_of_a_fragment_is_cut_off(fragmented: bytes, tmp_path: Path) -> None:
    path = tmp_path / "torn.mp4"
    begin, end = fragmented.rindex(b"moof") - 4, fragmented.rindex(b"mdat") - 4
    refused = 0
    for length in range(begin + 8, end, 7):
        path.write_bytes(fragmented[:length])
        try:
            hashes_in(path)
        except av.FFmpegError:
            refused += 1
        assert mend(path) == length - begin
        assert len(hashes_in(path)) == 70
    assert refused, "FFmpeg opens it now; then this need not be"


def test_nothing_else_is_cut_off(fragmented: bytes, tmp_path: Path) -> None:
    path = tmp_path / "torn.mp4"
    end = fragmented.rindex(b"mdat")
    for data in (b"", fragmented, fragmented[: end + 500], fragmented + bytes(5), bytes(1000)):
        path.write_bytes(data)
        assert mend(path) == 0
        assert path.read_bytes() == data

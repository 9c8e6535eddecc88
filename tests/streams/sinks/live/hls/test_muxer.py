from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SinkError
from streams.sinks.live.hls.fragments import Fragments, codec_of, duration_of, ticks_per_s
from streams.sinks.live.hls.muxer import HlsMuxer
from tests.media import write_crossing_video
from tests.packets import hashes, hashes_in, leapt, packets_of, without_decode_times
from tests.streams.sinks.live.material import RATE_HZ, coded, muxed, written


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of H.264 with B frames."""
    return write_crossing_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


@pytest.mark.parametrize("decode_times", [True, False])
def test_pieces_are_the_packets_one_by_one(clip: Path, tmp_path: Path, decode_times: bool) -> None:
    form, packets = packets_of(clip)
    if not decode_times:
        packets, form = without_decode_times(packets), replace(form, reorder=2)
    head, pieces = muxed(form, packets)
    assert len(pieces) == len(packets)
    assert [piece.is_key for piece in pieces] == [packet.is_key for packet in packets]
    assert [piece.time_ns for piece in pieces] == [packet.moment.time_ns for packet in packets]
    assert sum(piece.duration_s for piece in pieces) == pytest.approx(2.0, abs=0.06)
    path = written(tmp_path / "all.mp4", head, [piece.data for piece in pieces])
    assert hashes_in(path) == hashes(packets)
    assert (head.width, head.height) == (320, 240)


def test_times_are_the_programme_s(tmp_path: Path) -> None:
    form, packets = coded(30)
    head, pieces = muxed(form, packets, begins_s=7200.5)
    path = written(tmp_path / "all.mp4", head, [piece.data for piece in pieces])
    with av.open(path) as container:
        shown = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert shown == pytest.approx([7200.5 + number / RATE_HZ for number in range(30)], abs=0.001)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_camera_that_sets_its_clock_in_the_midst(clip: Path, seconds: float) -> None:
    form, packets = packets_of(clip)
    _, pieces = muxed(form, leapt(form, packets, 20, seconds))
    assert [piece.duration_s for piece in pieces] == pytest.approx([0.05] * 40, abs=0.01)


def test_decoding_begins_at_every_key_piece(tmp_path: Path) -> None:
    form, packets = coded(75)
    head, pieces = muxed(form, packets)
    for number, piece in enumerate(pieces):
        if piece.is_key:
            path = written(tmp_path / f"{number}.mp4", head, [piece.data for piece in pieces[number:]])
            with av.open(path) as container:
                assert len(list(container.decode(video=0))) == 75 - number


def test_a_camera_that_sends_its_parameters_with_key_frames_only(tmp_path: Path) -> None:
    form, packets = coded(10)
    head, pieces = muxed(replace(form, extradata=b""), packets)
    path = written(tmp_path / "all.mp4", head, [piece.data for piece in pieces])
    with av.open(path) as container:
        assert len(list(container.decode(video=0))) == 10
    assert head.codec.startswith("avc1.")


@pytest.mark.parametrize(("codec", "begins"), [("libx264", "avc1.64"), ("libx265", "hvc1.1.6.L")])
def test_the_codec_is_told_as_browsers_want_it(tmp_path: Path, codec: str, begins: str) -> None:
    form, packets = packets_of(write_crossing_video(tmp_path / "clip.mp4", frames=5, codec=codec))
    head, pieces = muxed(form, packets)
    assert head.codec.startswith(begins)
    path = written(tmp_path / "all.mp4", head, [piece.data for piece in pieces])
    with av.open(path) as container:
        assert len(list(container.decode(video=0))) == 5


def test_what_cannot_be_in_mp4_is_refused() -> None:
    form, packets = coded(2)
    muxer = HlsMuxer(lambda _: None)
    muxer.begin(replace(form, codec="snow"))
    with pytest.raises(SinkError, match="snow cannot be copied"):
        muxer.put(packets[0], 1.0)


def test_another_format_has_another_head() -> None:
    made: list[object] = []
    muxer = HlsMuxer(made.append)
    for width in (320, 160):
        form, packets = coded(3, width=width)
        muxer.begin(form)
        for packet in packets:
            muxer.put(packet, 1.0 + packet.moment.pts_s)
    muxer.finish()
    muxer.finish()
    assert [type(one).__name__ for one in made] == ["Head", *["Piece"] * 3] * 2


def whole_file() -> bytes:
    form, packets = coded(6)
    head, pieces = muxed(form, packets)
    return head.data + b"".join(piece.data for piece in pieces)


WHOLE = whole_file()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=30))
def test_it_does_not_matter_where_writes_are_cut(cuts: list[int]) -> None:
    heads: list[bytes] = []
    pieces: list[bytes] = []
    file = Fragments(heads.append, pieces.append)
    edges = [0, *sorted(cuts), len(WHOLE)]
    for begin, end in pairwise(edges):
        assert file.write(WHOLE[begin:end]) == end - begin
    assert b"".join(heads + pieces) == WHOLE
    assert (len(heads), len(pieces)) == (1, 6)
    assert {duration_of(piece) / ticks_per_s(heads[0]) for piece in pieces[:-1]} == {1 / RATE_HZ}


@given(st.binary(max_size=200))
def test_damage_is_an_error_and_never_endless(data: bytes) -> None:
    found: list[bytes] = []
    file = Fragments(found.append, found.append)
    try:
        file.write(data)
    except SinkError:
        return
    codec_of(data)
    duration_of(data)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe (Debian: apt install ffmpeg)")
def test_ffprobe_agrees(tmp_path: Path) -> None:
    form, packets = coded(50)
    head, pieces = muxed(form, packets)
    path = written(tmp_path / "all.mp4", head, [piece.data for piece in pieces])
    wanted = [
        "-select_streams",
        "v",
        "-count_packets",
        "-show_entries",
        "stream=nb_read_packets",
        "-of",
        "csv=p=0",
    ]
    told = subprocess.run(
        ["ffprobe", "-v", "error", *wanted, path], capture_output=True, text=True, check=True
    )
    assert (told.stdout.strip().strip(","), told.stderr) == ("50", "")

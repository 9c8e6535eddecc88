"""H.264's numbers tell of lost pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping

import av
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.network.h264 import FrameNumbers
from tests.servers.footage import picture

PICTURES = 70

ENCODERS: dict[str, Mapping[str, str]] = {
    "camera": {"preset": "ultrafast", "tune": "zerolatency"},
    "slices": {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "slices=4"},
    "B pictures": {"preset": "medium"},
    "pyramid": {"preset": "medium", "x264-params": "bframes=3:b-pyramid=normal"},
    "open GOP": {"preset": "medium", "x264-params": "open-gop=1:bframes=2"},
    "refresh": {"preset": "fast", "x264-params": "intra-refresh=1:bframes=0"},
    "interlaced": {"preset": "fast", "x264-params": "tff=1:bframes=0"},
    "4:4:4 lists": {"preset": "fast", "x264-params": "cqm=jvt"},
}


def coded(options: Mapping[str, str], *, byte_stream: bool) -> tuple[bytes | None, list[bytes]]:
    """Return extradata and pictures in the order of coding."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 160, 128, "yuv420p", 20
        stream.options = dict(options)
        for number in range(PICTURES):
            frame = av.VideoFrame.from_ndarray(picture(number, 160, 128), format="bgr24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as container:
        video = container.streams.video[0]
        packets = [packet for packet in container.demux(video) if packet.size]
        if not byte_stream:
            return video.codec_context.extradata, [bytes(packet) for packet in packets]
        start_codes = BitStreamFilterContext("h264_mp4toannexb", video)
        return None, [bytes(part) for packet in packets for part in start_codes.filter(packet)]


@pytest.mark.parametrize("byte_stream", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_nothing_is_missing_where_nothing_was_lost(encoder: str, byte_stream: bool) -> None:
    extradata, pictures = coded(ENCODERS[encoder], byte_stream=byte_stream)
    numbers = FrameNumbers(extradata)
    assert [k for k, data in enumerate(pictures) if numbers.is_after_loss(data)] == []


@pytest.mark.parametrize("byte_stream", [True, False])
@pytest.mark.parametrize("encoder", ["camera", "slices", "refresh", "interlaced"])
@pytest.mark.parametrize("lost", [1, 5, 18, 20, 33])
def test_each_lost_picture_is_missed_by_its_follower(encoder: str, byte_stream: bool, lost: int) -> None:
    extradata, pictures = coded(ENCODERS[encoder], byte_stream=byte_stream)
    numbers = FrameNumbers(extradata)
    left = [(k, data) for k, data in enumerate(pictures) if k != lost]
    assert [k for k, data in left if numbers.is_after_loss(data)] == [lost + 1]


def test_joining_in_the_middle_is_no_loss() -> None:
    extradata, pictures = coded(ENCODERS["camera"], byte_stream=False)
    numbers = FrameNumbers(extradata)
    assert not any(numbers.is_after_loss(data) for data in pictures[7:])


@given(st.one_of(st.none(), st.binary(max_size=200)), st.lists(st.binary(max_size=200), max_size=20))
def test_nonsense_does_no_harm(extradata: bytes | None, pictures: list[bytes]) -> None:
    numbers = FrameNumbers(extradata)
    for data in pictures:
        numbers.is_after_loss(data)
        numbers.is_after_loss(b"\0\0\0\1\x67" + data)
        numbers.is_after_loss(b"\0\0\1\x41" + data)

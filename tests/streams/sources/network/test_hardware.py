"""Hardware decoding: the fall-back to software, as no box of the tests has a device."""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Iterator
from typing import Any

import av
import pytest
from av.codec.hwaccel import hwdevices_available
from av.video.frame import VideoFrame

from streams.sources.network import hardware
from streams.sources.network.hardware import Decoder
from streams.sources.network.options import Hwaccel
from tests.servers.footage import encoded
from tests.servers.http import HttpServer, body
from tests.streams.sources.network.playing import play

PICTURES = 20


@pytest.fixture(scope="module")
def clip() -> bytes:
    return encoded(PICTURES, "mp4", key_every=10)


@pytest.fixture
def server(clip: bytes) -> Iterator[HttpServer]:
    with HttpServer({"/clip": body(clip)}) as running:
        yield running


@pytest.mark.parametrize("device", ["auto", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"])
def test_without_a_device_software_decodes_and_says_so(
    server: HttpServer, device: Hwaccel, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        played = play(server.url("/clip"), hwaccel=device)
    assert len(played.frames) == PICTURES
    assert not played.gaps
    if any(record.name == hardware.__name__ for record in caplog.records):
        (line,) = [record.getMessage() for record in caplog.records if record.name == hardware.__name__]
        assert "decoding in software" in line
        assert "\n" not in line
    else:
        assert device in ("auto", *hwdevices_available())  # this box has one after all
    software = play(server.url("/clip")).frames
    pairs = zip(played.frames, software, strict=True)
    assert all(_checksum(a) == _checksum(b) for a, b in pairs) or "decoding in software" not in caplog.text


def _checksum(frame: Any) -> int:
    return zlib.crc32(frame.picture.bgr().tobytes())


class Broken:
    """Stands for a device whose decoder fails at packet `at` and holds `late` pictures."""

    is_open = True

    def __init__(self, context: Any, at: int, *, late: int = 0) -> None:
        self.context, self.at, self.late = context, at, late
        self.packets = 0
        self.held: list[VideoFrame] = []

    def decode(self, packet: Any) -> list[VideoFrame]:
        self.packets += 1
        if self.packets == self.at:
            raise av.error.ExternalError(1, "device lost")
        self.held += self.context.decode(packet)
        given = self.held[: max(0, len(self.held) - self.late)]
        del self.held[: len(given)]
        return given


@pytest.mark.parametrize(("at", "late"), [(1, 0), (2, 0), (3, 0), (2, 1), (5, 4), (6, 3)])
def test_a_device_that_fails_at_the_first_pictures_costs_none(clip: bytes, at: int, late: int) -> None:
    def times(container: Any, decoder: Decoder) -> list[int]:
        packets = container.demux(video=0)
        return [frame.pts for packet in packets for frame in decoder.decode(packet if packet.size else None)]

    with av.open(io.BytesIO(clip)) as container, av.open(io.BytesIO(clip)) as device:
        decoder = Decoder("cam", container.streams.video[0], "none")
        context: Any = Broken(device.streams.video[0].codec_context, at, late=late)
        decoder._context, decoder._hardware = context, "card"
        assert decoder.hardware == "card"
        found = times(container, decoder)
        assert decoder.hardware == ""
    with av.open(io.BytesIO(clip)) as container:
        assert found == [frame.pts for frame in container.decode(video=0)]


def test_a_device_that_fails_later_tells_of_damage(clip: bytes) -> None:
    with av.open(io.BytesIO(clip)) as container, av.open(io.BytesIO(clip)) as device:
        decoder = Decoder("cam", container.streams.video[0], "none")
        context: Any = Broken(device.streams.video[0].codec_context, 8)
        decoder._context, decoder._hardware = context, "card"
        packets = list(container.demux(video=0))
        for packet in packets[:7]:
            decoder.decode(packet)
        with pytest.raises(av.FFmpegError):
            decoder.decode(packets[7])
        assert decoder.hardware == "card"

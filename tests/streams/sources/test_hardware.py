"""Hardware decoding: the fall-back to software, as no box of the tests has a device."""

from __future__ import annotations

import gc
import io
import logging
import weakref
import zlib
from collections.abc import Iterator
from typing import Any

import av
import pytest
from av.codec.codec import Codec
from av.codec.context import Flags
from av.codec.hwaccel import hwdevices_available
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streams.sources import hardware, replay
from streams.sources.hardware import Decoder, Hwaccel
from tests.servers.footage import encoded
from tests.servers.http import HttpServer, body
from tests.streams.sources.card import Card, Fails, damaged_at, insert, lost_at, never
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


@pytest.mark.parametrize("at", [8, 9, 14, 20])
def test_a_device_that_fails_later_costs_none_either(clip: bytes, at: int) -> None:
    with av.open(io.BytesIO(clip)) as container, av.open(io.BytesIO(clip)) as device:
        decoder = Decoder("cam", container.streams.video[0], "none")
        context: Any = Broken(device.streams.video[0].codec_context, at)
        decoder._context, decoder._hardware = context, "card"
        packets = container.demux(video=0)
        found = [frame.pts for packet in packets for frame in decoder.decode(packet if packet.size else None)]
    with av.open(io.BytesIO(clip)) as container:
        assert found == [frame.pts for frame in container.decode(video=0)]


class Bench:
    """A decoder of a clip, with a card, and the clip's packets."""

    def __init__(self, patch: pytest.MonkeyPatch, clip: bytes, fails: Fails = never) -> None:
        self.container = av.open(io.BytesIO(clip))
        self.cards = insert(patch, fails)
        track = self.container.streams.video[0]
        track.codec_context.thread_type = "NONE"
        self.decoder = Decoder("cam", track, "cuda")
        self.packets = [packet for packet in self.container.demux(track) if packet.size]

    def play(self, packets: list[Any]) -> list[int | None]:
        """Decode; None stands for damage."""
        found: list[int | None] = []
        for packet in packets:
            try:
                found += [frame.pts for frame in self.decoder.decode(packet)]
            except av.error.InvalidDataError:
                found.append(None)
        return found


def test_invalid_data_later_is_damage(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, clip, damaged_at(8, 9))
    assert bench.play(bench.packets).count(None) == 2
    assert bench.decoder.hardware == "cuda"


def test_invalid_data_before_the_first_key_frame_is_damage(
    clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch, clip, damaged_at(1, 2, 3))
    assert bench.play(bench.packets[7:]).count(None) == 3
    assert bench.decoder.hardware == "cuda"


def test_a_device_that_refuses_everything_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = encoded(100, "mp4", key_every=100)
    bench = Bench(monkeypatch, clip, lambda packet: damaged_at(packet)(packet) if packet > 10 else None)
    found = bench.play(bench.packets)
    assert bench.decoder.hardware == ""
    assert found.count(None) == 63
    pictures = [pts for pts in found if pts is not None]
    assert pictures == sorted(set(pictures))
    assert len(pictures) == 100


def test_where_too_much_would_have_to_be_kept_software_waits_for_a_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "_MOST_PACKETS", 10)
    bench = Bench(monkeypatch, encoded(40, "mp4", key_every=20), lost_at(16))
    found = bench.play(bench.packets)
    assert [pts is None for pts in found] == [False] * 15 + [True] * 5 + [False] * 20


def test_flushed_at_a_key_frame_it_begins_anew(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, clip, lost_at(6))
    first = bench.play(bench.packets[:3])
    bench.decoder.flush()
    later = bench.play(bench.packets[10:])  # the card fails at its third packet of these
    assert bench.decoder.hardware == ""
    assert [*first, *later] == [packet.pts for packet in (*bench.packets[:3], *bench.packets[10:])]


def test_key_frames_only(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a connection does it: each key frame is drained and flushed."""
    bench = Bench(monkeypatch, encoded(40, "mp4", key_every=5, b_frames=True), lost_at(5))
    found = []
    for packet in bench.packets:
        if packet.is_keyframe:
            found += [frame.pts for one in (packet, None) for frame in bench.decoder.decode(one)]
            bench.decoder.flush()
    assert bench.decoder.hardware == ""
    assert found == [packet.pts for packet in bench.packets if packet.is_keyframe]


def test_a_device_is_let_go_at_once(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, clip)
    bench.play(bench.packets[:5])
    card = weakref.ref(bench.cards.pop())
    gc.disable()
    try:
        assert card() is not None
        bench.decoder.close()
        assert card() is None
    finally:
        gc.enable()


def test_a_device_that_failed_is_let_go_at_once(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, clip, lost_at(5))
    card = weakref.ref(bench.cards.pop())
    gc.disable()
    try:
        bench.play(bench.packets)
        assert card() is None
    finally:
        gc.enable()


def test_a_device_is_set_as_the_tracks_own_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    with av.open(io.BytesIO(encoded(20, "mp4", b_frames=True))) as container:
        software = container.streams.video[0].codec_context
        software.flags |= Flags.output_corrupt
        software.options = {"err_detect": "explode"}
        software.color_range, software.colorspace = 2, 5
        software.color_primaries, software.color_trc = 5, 6
        context = av.CodecContext.create("h264", "r")
        assert isinstance(context, VideoCodecContext)
        hardware.adopt(context, software)
        for name in ("extradata", "width", "height", "options", "reorder_depth"):
            assert getattr(context, name) == getattr(software, name)
        for name in ("color_range", "colorspace", "color_primaries", "color_trc"):
            assert getattr(context, name) == getattr(software, name)
        assert context.reorder_depth == 2
        assert context.flags & Flags.output_corrupt
        assert (context.thread_type.name, context.thread_count) == ("NONE", 1)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "libdav1d", "mjpeg"])
def test_the_decoder_that_can_use_a_card(codec: str) -> None:
    found = hardware.hardware_codec("cuda", Codec(codec, "r"))
    assert found is not None
    assert found.name == codec.replace("libdav1d", "av1")


@pytest.mark.parametrize(("device", "codec"), [("cuda", "png"), ("drm", "h264")])
def test_what_a_device_has_no_decoder_for(device: str, codec: str) -> None:
    assert hardware.hardware_codec(device, Codec(codec, "r")) is None
    assert hardware.opened(device, Codec(codec, "r")) is None


def test_a_process_has_one_cuda_context_where_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, dict[str, str], bool]] = []

    def device(name: str, *, allow_software_fallback: bool, options: dict[str, str]) -> Any:
        tried.append((name, options, allow_software_fallback))
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(hardware, "HWAccel", device)
    with pytest.raises(OSError, match="not supported"):
        hardware.opened("cuda", Codec("h264", "r"))
    assert tried == [("cuda", {"primary_ctx": "1"}, False), ("cuda", {}, False)]


def test_auto_takes_the_first_that_works(
    clip: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[str] = []
    works = {"qsv", "d3d11va"}

    def opened(device: str, codec: Codec) -> Any:
        tried.append(device)
        if device == "cuda":
            raise OSError(1, "no driver")
        return Card(av.CodecContext.create(codec.name, "r")) if device in works else None

    there = ["drm", "d3d11va", "qsv", "vaapi", "vulkan", "cuda"]
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: there)
    monkeypatch.setattr(hardware, "opened", opened)
    with av.open(io.BytesIO(clip)) as container:
        assert Decoder("cam", container.streams.video[0], "auto").hardware == "qsv"
        assert tried == ["cuda", "vaapi", "qsv"]
        works.clear()
        assert Decoder("cam", container.streams.video[0], "auto").hardware == ""
    problems = (
        "cuda: no driver; vaapi: cannot decode h264; qsv: cannot decode h264; d3d11va: cannot decode h264"
    )
    assert caplog.messages == [f"cam: decoding in software, as hardware cannot be used ({problems})"]


def test_a_connection_decodes_by_a_card_until_it_fails(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    software = play(server.url("/clip")).frames
    cards = insert(monkeypatch, lost_at(13))
    played = play(server.url("/clip"), hwaccel="cuda")
    assert [card.packets for card in cards] == [13]
    assert not played.gaps
    assert "cuda: device lost" in caplog.text
    pairs = list(zip(played.frames, software, strict=True))
    assert [a.moment.pts_s for a, _ in pairs] == [b.moment.pts_s for _, b in pairs]
    assert all(_checksum(a) == _checksum(b) for a, b in pairs)

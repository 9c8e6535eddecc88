from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import InputContainer

from tests.servers.barcode import Stamp, read_barcode
from tests.servers.footage import encoded
from tests.servers.rtsp import RtspServer, audio, barcode, clip, looped, pattern

QUICK = {"rtsp_transport": "tcp", "probesize": "32768", "analyzeduration": "0"}


def opened(url: str, silence_s: float = 20.0) -> InputContainer:
    return av.open(url, options=QUICK, timeout=(20.0, silence_s))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("clips")
    file = folder / "clip.mp4"
    file.write_bytes(encoded(20, "mp4"))
    mounts = {
        "/h264": pattern(width=320, height=240, key_every=5),
        "/h265": pattern(codec="h265", key_every=5),
        "/mjpeg": pattern(codec="mjpeg"),
        "/audio": audio(),
        "/clip": clip(file),
        "/loop": looped(file, folder),
        "/no-key": pattern(key_frames=False),
        "/barcode": barcode(width=640, height=360, key_every=10),
    }
    with RtspServer(mounts) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize(("mount", "codec"), [("/h264", "h264"), ("/h265", "hevc"), ("/mjpeg", "mjpeg")])
def test_a_pattern_comes_in_each_codec(server: RtspServer, mount: str, codec: str) -> None:
    with opened(server.url(mount)) as container:
        assert container.streams.video[0].codec_context.name == codec
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (320, 240)


def test_sound_only(server: RtspServer) -> None:
    with opened(server.url("/audio")) as container:
        assert [stream.type for stream in container.streams] == ["audio"]


@pytest.mark.slow
def test_a_clip_ends_and_a_loop_does_not(server: RtspServer) -> None:
    with opened(server.url("/clip")) as container:
        assert 15 <= sum(bool(packet.size) for packet in container.demux(video=0)) <= 20
    with opened(server.url("/loop")) as container:
        stamps = [packet.pts for packet in islice(container.demux(video=0), 30) if packet.pts is not None]
        assert len(stamps) > 25
        assert np.all(np.diff(stamps) > 0)


@pytest.mark.slow
def test_a_mount_without_key_frames_sends_everything_else(server: RtspServer) -> None:
    with opened(server.url("/no-key")) as container:
        assert not any(packet.is_keyframe for packet in islice(container.demux(video=0), 20))


def test_the_barcode_tells_when_a_picture_was_made(server: RtspServer) -> None:
    stamps: list[Stamp] = []
    with opened(server.url("/barcode")) as container:
        for frame in islice(container.decode(video=0), 8):
            read = read_barcode(frame.to_ndarray(format="gray"))
            assert read is not None
            assert 0 < time.time_ns() - read.time_ns < 5e9
            stamps.append(read)
    assert [stamp.number - stamps[0].number for stamp in stamps] == list(range(8))


def test_a_picture_without_a_barcode_reads_as_none() -> None:
    assert read_barcode(np.random.default_rng(1).integers(0, 255, (360, 640), np.uint8)) is None


@pytest.mark.parametrize(
    ("user", "error"),
    [
        (None, av.error.HTTPUnauthorizedError),
        ("admin:wrong", av.error.HTTPUnauthorizedError),
        ("admin:right", None),
    ],
)
@pytest.mark.slow
def test_digest_authentication(user: str | None, error: type[Exception] | None) -> None:
    with RtspServer({"/cam": pattern(key_every=5)}, user="admin", password="right") as private:
        if error is None:
            opened(private.url("/cam", user)).close()
        else:
            with pytest.raises(error):
                opened(private.url("/cam", user))


@pytest.mark.slow
def test_it_stalls_goes_on_dies_and_comes_back_on_its_port() -> None:
    with RtspServer({"/cam": pattern(key_every=5)}) as camera:
        with opened(camera.url("/cam"), silence_s=1.0) as container:
            packets = container.demux(video=0)
            next(packets)
            camera.stall()
            with pytest.raises(av.error.ExitError):
                for _ in packets:
                    pass
        camera.resume()
        with opened(camera.url("/cam")) as container:
            next(container.decode(video=0))
            camera.kill()
            list(container.demux(video=0))  # ends without an error: the kernel closed the connection
        with pytest.raises(av.error.ConnectionRefusedError):
            opened(camera.url("/cam"))
        port = camera.port
        camera.restart({"/cam": pattern(width=160, height=120)})
        assert camera.port == port
        with opened(camera.url("/cam")) as container:
            assert container.streams.video[0].width == 160


def test_nothing_is_left_even_when_it_was_stalled() -> None:
    with RtspServer({"/cam": pattern()}) as camera:
        pid = camera.pid
        camera.stall()
    assert not Path(f"/proc/{pid}").exists()


def test_a_server_that_cannot_start_says_why() -> None:
    with RtspServer({"/cam": pattern()}) as camera:
        second = RtspServer({"/cam": pattern()})
        second.port, second.bind_s = camera.port, 0.1
        with pytest.raises(RuntimeError, match="cannot be bound"):
            second.__enter__()

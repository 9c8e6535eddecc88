"""RTSP cameras: a real server, its codecs, its clock, its refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

import pytest

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock
from pipeline.secret import SecretUrl
from streams.sources.network.connection import Connection, Shot
from streams.sources.network.options import NetworkOptions
from streams.sources.network.protocols import opening
from tests.servers.barcode import read_barcode
from tests.servers.footage import encoded
from tests.servers.rtsp import RtspServer, audio, barcode, clip, pattern
from tests.streams.sources.network.playing import closing_in_time, play, source_of

USER, PASSWORD = "ann lee", "p@ss/w:rd?"


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspServer]:
    mounts = {
        "/h264": pattern(key_every=10),
        "/h265": pattern(codec="h265", key_every=10),
        "/mjpeg": pattern(codec="mjpeg"),
        "/vp8": pattern(codec="vp8", key_every=10),
        "/code": barcode(640, 360, 30, key_every=15),
        "/keys": pattern(key_every=3),
        "/audio": audio(),
        "/no-key": pattern(key_frames=False),
    }
    with RtspServer(mounts) as running:
        yield running


@pytest.mark.parametrize(
    ("mount", "codec", "transport"),
    [
        ("/h264", "h264", "tcp"),
        ("/h264", "h264", "udp"),
        ("/h265", "hevc", "tcp"),
        ("/mjpeg", "mjpeg", "tcp"),
        ("/vp8", "vp8", "tcp"),
        pytest.param("/h265", "hevc", "udp", marks=pytest.mark.slow),
        pytest.param("/mjpeg", "mjpeg", "udp", marks=pytest.mark.slow),
    ],
)
def test_each_codec_plays(camera: RtspServer, mount: str, codec: str, transport: str) -> None:
    played = play(camera.url(mount), 8, transport=transport)
    info = played.info
    assert (info.codec, info.width, info.height, info.live) == (codec, 320, 240, True)
    assert not played.gaps
    steps = [later - earlier for earlier, later in pairwise(played.times_s)]
    assert steps == pytest.approx([0.04] * 7, abs=0.021)
    assert played.frames[0].picture.bgr().shape == (240, 320, 3)
    assert [frame.sequence for frame in played.frames] == list(range(8))


@pytest.mark.parametrize(
    ("mount", "transport"),
    [
        ("/h264", "tcp"),
        *(
            pytest.param(mount, transport, marks=pytest.mark.slow)
            for mount, transport in [("/h264", "udp"), ("/h265", "tcp"), ("/h265", "udp"), ("/code", "tcp")]
        ),
    ],
)
def test_a_picture_is_handed_out_with_its_last_packet(
    camera: RtspServer, mount: str, transport: Literal["tcp", "udp"]
) -> None:
    """FFmpeg's parser would wait for the next one."""
    options = NetworkOptions(transport=transport)
    connection = Connection("cam", opening(SecretUrl(camera.url(mount)), options, {}))
    shots = 0
    try:
        for item in connection.items():
            assert isinstance(item, Shot)
            shots += 1
            if connection.is_early or shots == 90:
                break
    finally:
        connection.close()
    assert 2 < shots < 90


@pytest.mark.slow
def test_a_recorder_that_announces_a_length_sets_its_own_pace(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encoded(40, "mp4"))
    with RtspServer({"/clip": clip(path)}) as recorder:
        start_s = time.monotonic()
        played = play(recorder.url("/clip"))
        assert time.monotonic() - start_s > 1.0
    assert played.info.live
    assert not played.gaps
    assert 35 <= len(played.frames) <= 40
    assert played.error is None


def test_b_frames_come_in_the_order_of_showing(tmp_path: Path) -> None:
    """And none of them is taken for the end of a picture that has more slices."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(encoded(32, "mp4", b_frames=True))
    with RtspServer({"/clip": clip(path)}) as recorder:
        played = play(recorder.url("/clip"), 25)
    assert not played.gaps
    steps = [later - earlier for earlier, later in pairwise(played.times_s)]
    assert steps == pytest.approx([0.04] * 24, abs=0.001)


def test_key_frames_alone(camera: RtspServer) -> None:
    played = play(camera.url("/keys"), 6, decode="key_frames")
    assert not played.gaps
    steps = [later - earlier for earlier, later in pairwise(played.times_s)]
    assert steps == pytest.approx([3 / 25] * 5, abs=0.021)


def test_two_connections_are_two_runs(camera: RtspServer) -> None:
    assert play(camera.url("/h264"), 1).info.run != play(camera.url("/h264"), 1).info.run


def test_the_first_picture_comes_soon(camera: RtspServer) -> None:
    with closing_in_time(source_of(camera.url("/keys"))) as warming:  # the server itself needs a moment
        warming.open()
        # A key frame comes each 0.12 s. FFmpeg with its own settings takes 1.25 s, also on an idle box.
        assert min(play(camera.url("/keys"), 1).first_s for _ in range(3)) < 1.0


@pytest.mark.slow
def test_the_clock_is_the_cameras_once_it_reports(camera: RtspServer) -> None:
    """The picture says when it was made: the camera's time must be that, to some milliseconds."""
    with closing_in_time(source_of(camera.url("/code"))) as source:
        source.open()
        off_ms: list[float] = []
        for item in source.read():
            assert isinstance(item, Frame)
            if item.moment.clock is Clock.CAMERA:
                stamp = read_barcode(item.picture.luma())
                assert stamp is not None
                off_ms.append((item.moment.time_ns - stamp.time_ns) / 1e6)
                assert item.moment.uncertainty_ns is not None
            if len(off_ms) == 20 or item.moment.pts_s > 12:
                break
        assert len(off_ms) == 20
        assert -30 < median(off_ms) < 60  # a server that is held up stamps one or the other too late


@pytest.mark.slow
def test_arrival_time_can_be_asked_for(camera: RtspServer) -> None:
    played = play(camera.url("/code"), 45, clock="arrival")
    assert {frame.moment.clock for frame in played.frames} == {Clock.ARRIVAL}
    off_ms = []
    for frame in played.frames[-20:]:
        stamp = read_barcode(frame.picture.luma())
        assert stamp is not None
        off_ms.append((frame.moment.time_ns - stamp.time_ns) / 1e6)
    assert -30 < median(off_ms) < 100


@pytest.mark.slow
def test_a_camera_without_key_frames_says_so(camera: RtspServer) -> None:
    source = source_of(camera.url("/no-key"))
    ended = threading.Event()

    def close_once_told() -> None:
        while source.progress.trouble is None and not ended.wait(0.05):
            pass
        source.close()

    closing = threading.Thread(target=close_once_told)
    closing.start()
    with closing_in_time(source), pytest.raises(SourceError):
        source.open()
    ended.set()
    closing.join()
    assert source.progress.connected
    assert source.progress.trouble is not None
    assert source.progress.trouble[0] is Reason.NO_KEY_FRAME


@pytest.mark.parametrize(
    ("mount", "reason", "words"),
    [("/audio", Reason.NO_VIDEO, "only audio"), ("/nosuch", Reason.NOT_FOUND, "404")],
)
def test_refusals_in_words(camera: RtspServer, mount: str, reason: Reason, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        play(camera.url(mount))
    assert caught.value.reason is reason


def test_passwords() -> None:
    with RtspServer({"/cam": pattern(key_every=10)}, user=USER, password=PASSWORD) as camera:
        assert play(camera.url("/cam"), 1, username=USER, password=PASSWORD).frames
        for options in ({}, {"username": USER, "password": "wrong"}):
            with pytest.raises(SourceError, match="401") as caught:
                play(camera.url("/cam"), **options)
            assert caught.value.reason is Reason.UNAUTHORIZED


@pytest.mark.slow
def test_a_camera_that_is_switched_off_ends_the_stream() -> None:
    with RtspServer({"/cam": pattern(key_every=10)}) as camera:
        source = source_of(camera.url("/cam"))
        with closing_in_time(source):
            source.open()
            items = source.read()
            assert next(items)
            camera.kill()
            start_s = time.monotonic()
            try:
                assert sum(1 for _ in items) < 25
            except SourceError as error:
                assert error.reason is Reason.CLOSED  # noqa: PT017 -- it may also just end
            assert time.monotonic() - start_s < 5


@pytest.mark.slow
def test_a_camera_that_hangs_is_told_within_twice_the_time_out() -> None:
    with RtspServer({"/cam": pattern(key_every=10)}) as camera:
        source = source_of(camera.url("/cam"), timeout_s=1.0)
        with closing_in_time(source):
            source.open()
            items = source.read()
            assert next(items)
            camera.stall()
            start_s = time.monotonic()
            with pytest.raises(SourceError, match="sent nothing") as caught:
                list(items)
            assert caught.value.reason is Reason.NO_DATA
            assert time.monotonic() - start_s < 4

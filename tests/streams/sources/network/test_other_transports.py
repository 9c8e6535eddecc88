"""Video by UDP, TCP and RTMP, and what becomes of pictures when some of it is lost."""

from __future__ import annotations

import io
import random
import shutil
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame
from tests.servers.daemons import free_port
from tests.servers.footage import encoded
from tests.servers.http import HttpServer, body
from tests.streams.sources.network.playing import Played, play

PICTURES = 75
DATAGRAM_BYTES = 7 * 188


@contextmanager
def sent(data: bytes, port: int, seconds: float, loss: float = 0.0) -> Iterator[None]:
    """Send a transport stream in datagrams, evenly over some time, once somebody listens.

    A share of them is left out.
    """
    stop = threading.Event()

    def send() -> None:
        while not listens(port):
            if stop.wait(0.01):
                return
        rng = random.Random(5)
        datagrams = [data[at : at + DATAGRAM_BYTES] for at in range(0, len(data), DATAGRAM_BYTES)]
        start_s = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number, datagram in enumerate(datagrams):
                due_s = start_s + number / len(datagrams) * seconds
                if stop.wait(max(0.0, due_s - time.monotonic())):
                    return
                if rng.random() >= loss:
                    sender.sendto(datagram, ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def listens(port: int) -> bool:
    """Whether a socket is bound to this port of UDP."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


def checksums(frames: list[Frame]) -> list[int]:
    return [zlib.crc32(frame.picture.luma().tobytes()) for frame in frames]


@pytest.fixture(scope="module")
def footage() -> bytes:
    return encoded(PICTURES, key_every=15, width=320, height=240)


@pytest.fixture(scope="module")
def truth(footage: bytes) -> list[int]:
    with HttpServer({"/x.ts": body(footage)}) as server:
        return checksums(play(server.url("/x.ts")).frames)


def places(played: Played) -> list[int]:
    """Which pictures these are, by their times; the first one has come."""
    return [round(at_s * 25) for at_s in played.times_s]


@pytest.mark.slow
def test_datagrams(footage: bytes, truth: list[int]) -> None:
    port = free_port()
    with sent(footage, port, 1.5):
        played = play(f"udp://127.0.0.1:{port}", timeout_s=1.0)
    assert played.info.live
    assert played.info.container == "mpegts"
    assert checksums(played.frames) == truth
    assert not played.gaps
    assert played.error is not None
    assert played.error.reason is Reason.NO_DATA  # the sender has stopped


@pytest.mark.slow
def test_no_picture_is_built_on_one_that_was_lost(footage: bytes) -> None:
    with HttpServer({"/x.ts": body(footage)}) as server:
        whole = [frame.picture.luma() for frame in play(server.url("/x.ts")).frames]
    port = free_port()
    with sent(footage, port, 1.5, loss=0.03):
        played = play(f"udp://127.0.0.1:{port}", timeout_s=1.0)
    assert 15 <= len(played.frames) < PICTURES
    for number, frame in zip(places(played), played.frames, strict=True):
        # After damage FFmpeg may leave a few pixels of the next key frame as they were; the square that moves
        # by 3 pixels a picture would be 0.25.
        off = np.abs(frame.picture.luma().astype(int) - whole[number]).mean()
        assert off < 0.1, number
    assert {gap.cause for gap in played.gaps} == {"decode error"}
    assert all(gap.seconds is not None and gap.seconds > 0 for gap in played.gaps)


def _without(footage: bytes, lost: set[int]) -> bytes:
    """Leave out whole pictures, as a camera does that cannot send as fast as it films."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(footage)) as before, av.open(buffer, "w", format="mpegts") as after:
        video = before.streams.video[0]
        copy = after.add_stream_from_template(video)
        for number, packet in enumerate(before.demux(video)):
            if packet.size and number not in lost:
                packet.stream = copy
                after.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize(("wait_for_key", "missing"), [(True, 15 - 4), (False, 1)])
def test_a_picture_that_was_never_sent(
    footage: bytes, truth: list[int], wait_for_key: bool, missing: int
) -> None:
    with HttpServer({"/x.ts": body(_without(footage, {19}), length=False)}) as server:
        played = play(server.url("/x.ts"), wait_for_key=wait_for_key)
    right = checksums(played.frames)
    assert len(right) == PICTURES - missing
    (gap,) = played.gaps
    assert gap.after_s == pytest.approx(18 / 25)
    assert "a picture was lost on the way" in gap.detail
    if wait_for_key:
        assert set(right) <= set(truth)


def test_a_connection_by_tcp(footage: bytes, truth: list[int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(footage)

        thread = threading.Thread(target=serve)
        thread.start()
        played = play(f"tcp://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert checksums(played.frames) == truth
    assert played.info.live
    assert played.error is None


def _played_soon(url: str) -> Played:
    """Play once the server listens, which it does to one client only."""
    deadline_s = time.monotonic() + 10
    while True:
        try:
            return play(url, 30)
        except SourceError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)


@pytest.mark.slow
def test_rtmp(tmp_path: Path) -> None:
    command = shutil.which("ffmpeg")
    if command is None:
        pytest.skip("needs the command ffmpeg as an RTMP server")
    clip = tmp_path / "clip.flv"
    clip.write_bytes(encoded(PICTURES, "flv", width=320, height=240))
    url = f"rtmp://127.0.0.1:{free_port()}/live/cam"
    server = subprocess.Popen(
        [
            command,
            "-loglevel",
            "quiet",
            "-re",
            "-i",
            str(clip),
            "-c",
            "copy",
            "-f",
            "flv",
            "-listen",
            "1",
            url,
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        played = _played_soon(url)
    finally:
        server.kill()
        server.wait(10)
    assert (played.info.live, played.info.container, played.info.codec) == (True, "flv", "h264")
    assert played.times_s == pytest.approx([k / 25 for k in range(30)], abs=2e-3)
    assert not played.gaps

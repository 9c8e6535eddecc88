"""Frames of a bus for a sink that runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zmq

from pipeline.errors import SinkError, Unwritable
from pipeline.file_sink import FileSink
from pipeline.frame import Frame
from pipeline.listen import Listener
from pipeline.plugin import Sink, SinkContext, SinkOptions, StreamInfo
from pipeline.remote_frames import FrameFeed
from pipeline.wire import FrameMessage, encode
from tests.pipeline.messages import FREE, make_frame, make_tracks


class Album(Sink):
    """Writes down what it is told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SinkOptions(**options), SinkContext(Path()))
        self.said: list[object] = []
        self.frames: list[Frame] = []
        self.failing = False

    def open_stream(self, info: StreamInfo) -> None:
        self.said.append(("open", info.stream, info.width, info.height))

    def on_frame(self, frame: Frame) -> None:
        if self.failing:
            raise OSError("full")
        self.frames.append(frame)
        self.said.append((frame.stream, frame.sequence))

    def close_stream(self, stream: str) -> None:
        self.said.append(("close", stream))


class Box:
    """Publishes whatever frames it is told to."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def send(
        self, n: int, *, bus: str = "0" * 16, stream: str = "gate", width: int = 32, jpeg: bytes = b""
    ) -> None:
        frame = make_frame(n, stream, bgr=np.full((24, width, 3), 9, np.uint8), tracks=make_tracks())
        picture = jpeg or cv2.imencode(".jpg", frame.picture.bgr())[1].tobytes()
        self.socket.send_multipart(encode(FrameMessage.of(frame, picture, quality=80, bus=bus, n=n)))


@pytest.fixture
def box() -> Iterator[Box]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.rcvtimeo = 10_000
        socket.bind(FREE)
        yield Box(socket)


def deliver(box: Box, album: Album, messages: list[dict[str, Any]]) -> FrameFeed:
    """Send messages, and run the feed until it has dealt with as many."""
    with Listener([box.endpoint], ["frame/"], newest=False) as listener:
        feed = FrameFeed("album", album, listener)
        box.socket.recv()
        for message in messages:
            box.send(**message)
        with closing(feed):
            feed.run(lambda: listener.statistics()["received"] >= len(messages))
        return feed


def test_frames_come_in_order_with_their_tables_and_losses_become_gaps(box: Box) -> None:
    album = Album()
    feed = deliver(box, album, [{"n": n} for n in (0, 1, 5)])
    assert album.said == [("open", "gate", 32, 24), ("gate", 0), ("gate", 1), ("gate", 5), ("close", "gate")]
    assert (feed.come, feed.lost, feed.unreadable) == (3, 3, 0)
    first, _, last = album.frames
    assert first.gap is None
    assert last.gap is not None
    assert (last.gap.cause, last.gap.after_s, last.gap.detail) == ("lost on the bus", 1 / 25, "3 frames")
    assert first.moment == make_frame(0).moment
    assert first.tracks is not None
    assert len(first.tracks) == 2
    assert abs(first.drawn().astype(int) - 9).max() <= 2


def test_what_the_sink_must_not_see_is_hidden_here_too(box: Box) -> None:
    album = Album(privacy={"labels": ["Straßenbahn"], "margin": 0, "ahead_s": 0.05})
    deliver(box, album, [{"n": n} for n in (0, 1, 2)])
    assert album.said == [("open", "gate", 32, 24), ("gate", 0), ("gate", 1), ("gate", 2), ("close", "gate")]
    for frame in album.frames:
        assert not frame.drawn()[2:20, 0:30].any()
        assert frame.drawn()[22:, :].all()


def test_another_size_and_another_start_of_the_box_begin_anew(box: Box) -> None:
    album = Album()
    deliver(box, album, [{"n": 0}, {"n": 1, "width": 48}, {"n": 0, "width": 48, "bus": "1" * 16}])
    opened = [said for said in album.said if isinstance(said, tuple) and said[0] in ("open", "close")]
    assert opened == [
        ("open", "gate", 32, 24),
        ("close", "gate"),
        ("open", "gate", 48, 24),
        ("close", "gate"),
        ("open", "gate", 48, 24),
        ("close", "gate"),
    ]


def test_streams_that_are_not_wanted_and_pictures_that_are_none_are_left_out(box: Box) -> None:
    album = Album(streams=("gate",))
    huge = bytearray(cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1].tobytes())
    size = huge.index(b"\xff\xc0") + 5
    huge[size : size + 4] = b"\xfd\xe8" * 2  # OpenCV raises where it returns nothing else
    messages: list[dict[str, Any]] = [
        {"n": 0, "stream": "gate2"},
        {"n": 0, "jpeg": b"\xff\xd8\xff no picture"},
        {"n": 1, "jpeg": bytes(huge)},
        {"n": 2},
    ]
    feed = deliver(box, album, messages)
    assert album.said == [("open", "gate", 32, 24), ("gate", 2), ("close", "gate")]
    assert (feed.come, feed.unreadable) == (1, 2)


def test_what_a_sink_raises_is_one_line_that_names_it(box: Box) -> None:
    album = Album()
    album.failing = True
    with pytest.raises(SinkError, match=r"^sink 'album' failed: OSError: full$"):
        deliver(box, album, [{"n": 0}])


class FullAlbum(Album, FileSink):
    """Finds no room for two of the frames."""

    def on_frame(self, frame: Frame) -> None:
        if frame.sequence in (1, 2):
            raise Unwritable("no room")
        super().on_frame(frame)

    def retry(self, stream: str) -> None:
        self.said.append("retry")

    def losses(self, stream: str) -> dict[str, int]:
        return {"pictures": 2}


def test_a_disk_that_is_full_for_a_while_does_not_end_the_process(
    box: Box, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.outages.Backoff.after", lambda *_, **__: 0.0)
    album = FullAlbum()
    feed = deliver(box, album, [{"n": n} for n in range(5)])
    frames = [("gate", 0), "retry", "retry", ("gate", 3), ("gate", 4)]
    assert album.said == [("open", "gate", 32, 24), *frames, ("close", "gate")]
    assert feed.come == 5
    assert [record.getMessage() for record in caplog.records] == [
        "stream 'gate': sink 'album' fails, and is tried again: no room",
        "stream 'gate': sink 'album' writes again; lost: 2 pictures",
        "stream 'gate': sink 'album' fails, and is tried again: no room",
        "stream 'gate': sink 'album' writes again; lost: nothing",
    ]

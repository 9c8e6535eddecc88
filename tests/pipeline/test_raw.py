"""Raw pictures from one process to another, through shared memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from pydantic import ValidationError

import sightline
from pipeline.bus import Bus
from pipeline.errors import ConfigError
from pipeline.picture import Picture, YuvPicture
from pipeline.raw import RawBus, RawOptions
from pipeline.raw_client import RawFrame, RawListener
from pipeline.shared_ring import FOLDER, PREFIX
from pipeline.wire import RawMessage, WireError, decode, encode
from tests.pipeline.messages import SpyOverlay, make_frame, make_tracks, noise, wait_until

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no {FOLDER}")


def planar(width: int = 33, height: int = 25, seed: int = 1) -> YuvPicture:
    rng = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    y, u, v = (rng.integers(0, 255, shape, np.uint8) for shape in ((height, width), half, half))
    return YuvPicture(y, u, v, matrix="bt709", full_range=True)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"ipc://{tmp_path / 'raw'}"


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def raw_bus(address: str, clock: Clock | None = None, **options: Any) -> closing[RawBus]:
    made = RawOptions(address=address, **options)
    return closing(RawBus(made, "0" * 16) if clock is None else RawBus(made, "0" * 16, clock=clock))


def next_of(listener: RawListener) -> RawFrame:
    found = listener.receive(10)
    assert found is not None
    return found


def same(found: Picture, wanted: Picture) -> bool:
    one, other = found.planes(), wanted.planes()
    assert one is not None
    assert other is not None
    return all(
        np.array_equal(a, b)
        for a, b in ((one.y, other.y), (one.u, other.u), (one.v, other.v), (one.to_bgr, other.to_bgr))
    )


@pytest.mark.parametrize("copy", [True, False])
def test_planes_arrive_as_the_decoder_left_them(address: str, copy: bool) -> None:
    picture = planar()
    frame = make_frame(4, tracks=make_tracks(), counts={"main": {"in": {"car": 2}}})
    frame.picture = picture
    with raw_bus(address) as bus, sightline.subscribe_raw(address, "raw/gate", copy=copy) as listener:
        wait_until(lambda: bus.wants("gate"))
        assert bus.publish(frame)
        found = next_of(listener)
        message = found.message
        assert (message.stream, message.sequence, message.moment) == ("gate", 4, frame.moment)
        assert (message.width, message.height, message.encoding, message.drawn) == (33, 25, "yuv420", False)
        assert message.counts == {"main": {"in": {"car": 2}}}
        assert message.tracks is not None
        assert len(message.tracks) == 2
        assert same(found.picture, picture)
        assert np.array_equal(found.bgr(), picture.bgr())
        assert found.is_intact()


@pytest.mark.parametrize(("picture", "colour"), [("bgr", (0, 0, 0)), ("drawn", (0, 0, 255))])
def test_bgr_is_raw_or_drawn_as_configured(address: str, picture: str, colour: tuple[int, ...]) -> None:
    spy = SpyOverlay()
    with raw_bus(address, picture=picture) as bus, RawListener(address) as listener:
        wait_until(lambda: bus.wants("gate"))
        bus.publish(make_frame(overlay=spy))
        found = next_of(listener)
        assert found.message.drawn == (picture == "drawn") == bool(spy.painted)
        assert found.bgr().shape == (24, 32, 3)
        assert (found.bgr() == colour).all()


def test_nothing_is_written_for_nobody_and_the_ring_goes_with_the_last(address: str, clock: Clock) -> None:
    with raw_bus(address, clock) as bus:
        assert not bus.publish(make_frame())
        with RawListener(address, ["raw/gate"]) as listener:
            wait_until(lambda: bus.wants("gate"))
            assert not bus.publish(make_frame(stream="yard"))
            assert bus.publish(make_frame())
            assert next_of(listener).message.n == 0
            assert bus.statistics()["bytes"] > 0
        wait_until(lambda: not bus.wants("gate"))
        clock.now_s += 9
        assert not bus.wants("gate")
        assert bus.statistics()["bytes"] > 0, "who comes back soon finds it"
        clock.now_s += 2
        assert not bus.wants("gate")
        assert bus.statistics()["bytes"] == 0


def test_a_slow_reader_gets_the_newest_and_counts_what_it_missed(address: str) -> None:
    with raw_bus(address, slots=4) as bus, RawListener(address) as listener:
        wait_until(lambda: bus.wants("gate"))
        got = []
        for number in range(60):
            assert bus.publish(make_frame(number, bgr=np.full((24, 32, 3), number, np.uint8)))
            if number % 10 == 9 and (found := listener.receive(0.02)) is not None:
                got.append(found.message.n)
                assert (found.bgr() == found.message.n).all()
        bus.publish(make_frame(60))
        while 60 not in got:
            got.append(next_of(listener).message.n)
        assert got == sorted(set(got))
        assert got[-1] == 60
        assert listener.lost + len(got) == 61
        assert len(got) < 20


def test_a_view_that_was_overtaken_is_known_to_be(address: str) -> None:
    with raw_bus(address, slots=3) as bus, RawListener(address, copy=False) as listener:
        wait_until(lambda: bus.wants("gate"))
        bus.publish(make_frame(0))
        first = next_of(listener)
        for number in range(1, 4):
            assert first.is_intact() == (number < 3)
            bus.publish(make_frame(number, bgr=np.full((24, 32, 3), number, np.uint8)))
        assert not first.is_intact()


def test_another_size_gets_another_ring(address: str) -> None:
    with raw_bus(address) as bus, RawListener(address) as listener:
        wait_until(lambda: bus.wants("gate"))
        segments = set()
        for number, side in enumerate((8, 8, 64)):
            bus.publish(make_frame(number, bgr=noise(width=side, height=side)))
            found = next_of(listener)
            assert np.array_equal(found.bgr(), noise(width=side, height=side))
            segments.add(found.message.place.segment)
        assert len(segments) == 2
        assert len(listener._readers) == 1, "the memory of the first is free"


def test_more_than_is_allowed_is_left_out_told_once_and_tried_again(
    address: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with raw_bus(address, clock, mb=0.1, slots=3) as bus, RawListener(address) as listener:
        wait_until(lambda: bus.wants("gate"))
        for _ in range(3):
            assert not bus.publish(make_frame(bgr=noise()))
            clock.now_s += 11
        assert bus.publish(make_frame(stream="small"))
        assert next_of(listener).message.stream == "small"
        assert bus.statistics()["without_room"] == 3
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("stream 'gate' has no raw pictures: its 3 slots take 1 MB of shared memory")
    assert "set bus.raw.mb higher" in told


_RUN = """
import sys, time
import numpy as np
from pipeline.raw import RawBus, RawOptions
from tests.pipeline.messages import make_frame
bus = RawBus(RawOptions(address=sys.argv[1]), "0" * 16)
number = 0
while True:
    bus.publish(make_frame(number, bgr=np.full((240, 320, 3), number % 251, np.uint8)))
    number += 1
    time.sleep(0.002)
"""


@pytest.mark.slow
def test_either_side_may_be_killed_and_nothing_is_left_behind(address: str) -> None:
    before = {path.name for path in FOLDER.glob(f"{PREFIX}*")}
    with RawListener(address) as listener:
        with subprocess.Popen([sys.executable, "-c", _RUN, address]) as run:
            for _ in range(5):
                found = next_of(listener)
                assert (found.bgr() == found.message.sequence % 251).all()
            left = found.message.place.segment
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        while listener.receive(0.05) is not None:
            pass
        assert (FOLDER / left).exists()
        with raw_bus(address) as bus:
            assert not (FOLDER / left).exists()
            while listener.receive(0.005) is None:
                bus.publish(make_frame())
    assert {path.name for path in FOLDER.glob(f"{PREFIX}*")} <= before


def test_the_bus_has_it_beside_the_others(address: str) -> None:
    with Bus(None, None, raw=RawOptions(address=address)) as bus:
        assert bus.endpoints == {"raw": address}
        assert not bus.wants_raw("gate")
        with RawListener(address) as listener:
            wait_until(lambda: bus.wants_raw("gate"))
            assert bus.publish_raw(make_frame())
            assert next_of(listener).bgr().shape == (24, 32, 3)
        assert bus.statistics()["raw_sent"] == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tcp://127.0.0.1:5580", "for programs on this box: write ipc:///PATH"),
        ("/run/raw", "is no address; write tcp://HOST:PORT"),
        ({"address": "ipc:///x", "slots": 2}, "greater than or equal to 3"),
        ({"address": "ipc:///x", "picture": "jpeg"}, "planes"),
        ({}, "Field required"),
    ],
)
def test_wrong_options_are_refused(given: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RawOptions.model_validate(given)
    assert RawOptions.model_validate("ipc:///x").picture == "planes"


def test_topics_do_not_mix() -> None:
    with pytest.raises(ConfigError, match="have a socket of their own: subscribe to 'event/' apart"):
        sightline.subscribe_raw("ipc:///x", ["raw/", "event/"])
    with pytest.raises(ConfigError, match=r"use sightline\.subscribe_raw"):
        sightline.subscribe("ipc:///x", "raw/gate")


def announcement(address: str) -> RawMessage:
    frame = make_frame()
    frame.picture = planar()
    with raw_bus(address) as bus, zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.connect(address)
        socket.subscribe("raw/")
        wait_until(lambda: bus.wants("gate"))
        bus.publish(frame)
        message = decode(socket.recv_multipart())
        assert isinstance(message, RawMessage)
        return message


@pytest.mark.parametrize(
    "change",
    [
        {"encoding": "bgr"},
        {"encoding": "nv12"},
        {"to_bgr": None},
        {"to_bgr": [[1.0] * 4] * 2},
        {"to_bgr": [[float("nan")] * 4] * 3},
        {"width": 34},
        {"ring": {"segment": "x", "offset": -1, "generation": 2, "bytes": 1267}},
        {"ring": {"segment": "x" * 65, "offset": 0, "generation": 2, "bytes": 1267}},
        {"ring": {"segment": "x", "offset": 0, "generation": 2, "bytes": 1266}},
        {"ring": None},
    ],
)
def test_what_does_not_fit_together_breaks_the_protocol(address: str, change: dict[str, Any]) -> None:
    import msgpack

    message = announcement(address)
    topic, header = encode(message)
    assert decode([topic, header])
    with pytest.raises(WireError, match="raw"):
        decode([topic, msgpack.packb({**message.header(), **change})])
    with pytest.raises(WireError, match="do not fit"):
        decode([topic, header, b"pixels"])


def test_an_announcement_of_what_is_not_there_is_counted(address: str) -> None:
    message = announcement(address)  # its ring has gone
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger = 0
        socket.bind(address)
        with RawListener(address) as listener:
            socket.recv()
            socket.send_multipart(encode(message))
            wait_until(lambda: listener.receive(0.01) is None and listener.overtaken == 1)

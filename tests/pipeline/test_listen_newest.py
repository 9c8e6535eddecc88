"""Frames that pile up behind a slow reader: the newest, or all."""

from __future__ import annotations

import pytest

import sightline
from pipeline.listen import Listener
from pipeline.wire import encode
from tests.pipeline.messages import wait_until
from tests.pipeline.test_listen import frame_message, publisher


@pytest.mark.parametrize("newest", [True, False])
def test_a_reader_chooses_the_newest_or_all(newest: bool) -> None:
    with publisher() as (socket, endpoint), Listener([endpoint], ["frame/gate"], newest=newest) as listener:
        socket.recv()
        for n in (0, 1, 2, 7):
            socket.send_multipart(encode(frame_message(n)))
        got = []
        while not got or got[-1] < 7:
            found = listener.receive(10)
            assert found is not None
            got.append(found.message.n)
        if not newest:
            assert got == [0, 1, 2, 7]
        assert got == sorted(set(got))
        assert listener.lost == 4
        assert listener.stale + len(got) == 4


def test_one_topic_may_be_given_as_text() -> None:
    with (
        publisher() as (socket, endpoint),
        sightline.subscribe(endpoint, "frame/gate", newest=True) as listener,
    ):
        wait_until(lambda: bool(socket.poll(10)))
        assert socket.recv() == b"\x01frame/gate"
        assert (listener.lost, listener.stale) == (0, 0)


def test_a_publisher_that_invents_streams_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.listen._MOST_TOPICS", 3)
    with publisher() as (socket, endpoint), Listener([endpoint], ["frame/"]) as listener:
        socket.recv()
        got = []
        for n in range(60):
            socket.send_multipart(encode(frame_message(n, f"s{n}")))
            found = listener.receive(10) if n % 3 == 0 else None
            got += [found.message.topic] if found else []
            assert len(listener._newest) <= 3
        while (left := listener.receive(0.2)) is not None:
            got.append(left.message.topic)
        assert len(got) > 20
        assert got == sorted(set(got), key=lambda topic: int(topic.removeprefix("frame/s")))

"""Reliable events where a box, its journal, or a program ends badly."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from pipeline.client import ReliableListener
from pipeline.errors import SinkError
from pipeline.journal import Entry
from tests.pipeline.messages import make_event
from tests.pipeline.test_reliable import Box, take, until


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "box")
    yield made
    made.stop()


class Peer:
    """Stands for a box, and says what the test wants said."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"

    def hear(self, listener: ReliableListener) -> dict[str, Any]:
        """Return what the listener says, which has to be at work for that."""
        while not self.socket.poll(10):
            listener.attend()
        self.name, said = self.socket.recv_multipart()
        return dict(msgpack.unpackb(said))

    def say(self, message: dict[str, Any], *bodies: bytes) -> None:
        self.socket.send_multipart([self.name, msgpack.packb({"v": 1, "box": "b", **message}), *bodies])


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.context.destroy(linger=0)


def test_who_went_without_acknowledging_a_window_is_forgotten(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.reliable._LOOK_S", 0.05)
    box.happen(1200)
    with box.listener(from_start=True) as listener:
        take(listener, 1)
        until(lambda: [session.sent for session in box.server._sessions.values()] == [1000])
    until(lambda: box.server.statistics()["connected"] == [])


def test_who_has_gone_leaves_room_for_others(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.reliable._MOST_SESSIONS", 2)
    with box.listener("stays") as stays:
        assert stays.receive(0.1) is None
        for number in range(4):
            with box.listener(f"program {number}") as listener:
                until(lambda listener=listener: listener.receive(0.01) is None and listener.box)
        with box.listener("last") as last:
            assert last.receive(0.2) is None
            with box.listener("too many") as refused, pytest.raises(SinkError, match="2 consumers are"):
                refused.receive(5.0)


def test_what_a_new_journal_has_goes_to_those_who_were_there_before(box: Box, tmp_path: Path) -> None:
    with box.listener() as listener:
        until(lambda: listener.receive(0.01) is None and listener.box)
        box.happen()
        assert take(listener, 1) == [1]
        box.stop()
        box.folder = tmp_path / "another disk"
        box.start()
        box.happen(3)  # before the program has found it
        assert take(listener, 3) == [2, 3, 4]


def test_after_a_power_failure_new_events_are_not_taken_for_those_that_it_took(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.client._PING_S", 0.05)
    with box.listener(from_start=True) as listener:
        box.happen(5)
        assert take(listener, 5) == [1, 2, 3, 4, 5]
        box.stop()
        shutil.copytree(box.folder, tmp_path / "what was on the disk")
        box.start()
        box.happen(5)
        assert take(listener, 5) == [6, 7, 8, 9, 10]
        listener.acknowledge()
        box.stop()
        boot = tmp_path / "boot_id"
        boot.write_text("the start after it")
        monkeypatch.setattr("pipeline.journal_file._BOOT_ID", boot)
        box.folder = tmp_path / "what was on the disk"
        box.start()
        box.happen(7)  # numbers 6 to 12
        found = take(listener, 7)
        while found[-1] != 17:
            found += take(listener, 1)
        assert found[-7:] == list(range(11, 18))


def test_an_acknowledgement_that_got_lost_is_said_again(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.client._PING_S", 0.05)
    with ReliableListener(peer.endpoint, "shop") as listener:
        assert peer.hear(listener)["type"] == "join"
        peer.say({"type": "joined", "acknowledged": 0, "newest": 0})
        peer.say({"type": "events", "upto": 3, "seqs": []})
        for _ in range(3):
            while (said := peer.hear(listener))["type"] != "ack":
                pass
            assert (said["seq"], said["box"]) == (3, "b")


def test_an_event_that_cannot_be_read_takes_no_others_along(peer: Peer) -> None:
    with ReliableListener(peer.endpoint, "shop") as listener:
        assert peer.hear(listener)["type"] == "join"
        peer.say({"type": "joined", "acknowledged": 0, "newest": 0})
        first, last = (msgpack.packb(make_event(number).to_dict()) for number in (1, 3))
        of_a_newer_one = msgpack.packb({"id": "?"})
        peer.say({"type": "events", "upto": 3, "seqs": [1, 2, 3]}, first, of_a_newer_one, last)
        assert take(listener, 2) == [1, 3]
        assert listener.refused == 1


def test_a_journal_that_cannot_be_read_is_told_once(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def read(after: int, most: int) -> list[Entry]:
        asked.append(after)
        raise sqlite3.DatabaseError("database disk image is malformed")

    with box.listener(from_start=True) as listener, caplog.at_level(logging.ERROR):
        monkeypatch.setattr(box.journal, "read", read)
        box.happen()
        until(lambda: listener.receive(0.01) is None and len(asked) > 3)
        assert len(caplog.records) == 1
        monkeypatch.undo()
        assert take(listener, 1) == [1]


def test_who_stops_awaiting_loses_nothing(box: Box) -> None:
    async def main() -> None:
        with box.listener(from_start=True) as listener:
            got: list[int] = []

            async def read() -> None:
                async for _, event in listener:
                    got.append(int(event.track_id or 0))

            for _ in range(3):
                reading = asyncio.ensure_future(read())
                await asyncio.sleep(0.1)
                reading.cancel()
                await asyncio.sleep(0)
                box.happen()  # its thread still waits, and finds it
                with pytest.raises(asyncio.CancelledError):
                    await reading
            reading = asyncio.ensure_future(read())
            while len(got) < 3:
                await asyncio.sleep(0.01)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert got == [1, 2, 3]

    asyncio.run(asyncio.wait_for(main(), 20.0))


def test_who_only_looks_finds_what_is_there(box: Box) -> None:
    with box.listener(from_start=True) as listener:
        box.happen(2)
        found: list[int] = []
        until(lambda: found.extend(one.event.track_id for one in listener.take(1, 0.0)) or len(found) == 2)
        assert found == [1, 2]


def test_an_acknowledgement_of_another_journal_counts_for_nothing(box: Box) -> None:
    box.happen(5)
    with zmq.Context() as context, context.socket(zmq.DEALER) as program:
        program.linger = 0
        program.connect(box.endpoint)
        join = {"v": 1, "type": "join", "name": "shop", "from": "start", "kinds": []}
        program.send(msgpack.packb(join))
        while msgpack.unpackb(program.recv_multipart()[0])["type"] != "events":
            pass
        for seq, known in ((5, "another box"), (2, box.journal.box), (4, None)):
            ack = {"v": 1, "type": "ack", "seq": seq} | ({"box": known} if known else {})
            program.send(msgpack.packb(ack))
            if known != "another box":
                until(lambda seq=seq: box.journal.consumers()["shop"].acknowledged >= seq)
                assert box.journal.consumers()["shop"].acknowledged == seq

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.client import ReliableListener
from pipeline.errors import SinkError
from pipeline.journal import Journal
from pipeline.reliable import ReliableServer
from tests.pipeline.messages import make_event

FREE = "tcp://127.0.0.1:*"
PATIENCE_S = 20.0


class Box:
    """A journal and its server, that can be started again at the same place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoint = FREE
        self.number = 0
        self.emitted: set[str] | None = None
        self.start()

    def start(self) -> None:
        self.journal = Journal(self.folder / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
        self.server = ReliableServer(self.journal, self.endpoint, emitted=self.emitted)
        self.endpoint = self.server.endpoint

    def stop(self) -> None:
        self.server.close()
        self.journal.close()

    def happen(self, events: int = 1, **fields: Any) -> None:
        for _ in range(events):
            self.number += 1
            self.journal.append([make_event(self.number, **fields)])

    def listener(self, name: str = "shop", **options: Any) -> ReliableListener:
        return ReliableListener(self.endpoint, name, **options)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.stop()


def take(listener: ReliableListener, events: int) -> list[int]:
    found = []
    for _ in range(events):
        got = listener.receive(PATIENCE_S)
        assert got is not None, f"{found} and no more"
        found.append(int(got.event.track_id or 0))
    return found


def sent_to(name: str, box: Box) -> int:
    return next(session.sent for session in box.server._sessions.values() if session.name == name)


def joined(listener: ReliableListener, box: Box, name: str = "shop") -> None:
    """Let a listener work until the box knows it, before there is anything for it."""
    until(lambda: listener.receive(0.01) is None and name in box.server.statistics()["connected"])


def until(condition: Any) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s
        time.sleep(0.005)


def test_events_come_in_order_and_each_once(box: Box) -> None:
    box.happen(3)
    with box.listener(from_start=True) as listener:
        assert take(listener, 3) == [1, 2, 3]
        box.happen(2500)  # more than a window
        assert take(listener, 2500) == list(range(4, 2504))
        assert listener.receive(0.0) is None
        until(lambda: box.journal.consumers()["shop"].waiting == 0)


def test_a_new_name_gets_what_is_new(box: Box) -> None:
    box.happen(3)
    with box.listener() as listener:
        joined(listener, box)
        box.happen()
        assert take(listener, 1) == [4]


def test_a_program_that_restarts_goes_on_where_it_stopped(box: Box) -> None:
    with box.listener(from_start=True) as listener:
        box.happen(5)
        assert take(listener, 3) == [1, 2, 3]  # 3 is being worked on when it ends
    until(lambda: box.journal.consumers()["shop"].waiting == 3)  # its last word may come after our next
    box.happen(2)
    with box.listener() as listener:
        assert take(listener, 5) == [3, 4, 5, 6, 7]


def test_a_box_that_restarts_is_found_again(box: Box) -> None:
    with box.listener(from_start=True) as listener:
        box.happen(2)
        assert take(listener, 2) == [1, 2]
        box.stop()
        box.start()
        box.happen(2)
        assert take(listener, 2) == [3, 4]


def test_who_never_acknowledges_costs_a_window(box: Box) -> None:
    box.happen(3000)
    with box.listener(from_start=True) as listener:
        assert take(listener, 1) == [1]
        until(lambda: box.server._sessions and sent_to("shop", box) == 1000)
        with box.listener("other") as other:
            joined(other, box, "other")
            box.happen()
            assert take(other, 1) == [3001]  # everybody has had a turn since
        assert sent_to("shop", box) == 1000


def test_kinds_that_are_not_wanted_are_left_out_and_count_as_had(box: Box) -> None:
    with box.listener(from_start=True, kinds=["zone."]) as listener:
        box.happen(1500)
        assert listener.receive(0.2) is None
        until(lambda: listener.receive(0.0) is None and box.journal.consumers()["shop"].waiting == 0)


def test_the_same_name_twice_is_told_to_the_first(box: Box) -> None:
    with box.listener() as first, box.listener() as second:
        joined(first, box)
        assert second.receive(0.2) is None
        with pytest.raises(SinkError, match="another program took the name 'shop'"):
            first.receive(PATIENCE_S)
        box.happen()
        assert take(second, 1) == [1]


def test_it_can_be_awaited(box: Box) -> None:
    async def first() -> int | None:
        async for _, event in listener:
            return event.track_id
        return None

    with box.listener(from_start=True) as listener:
        box.happen()
        assert asyncio.run(first()) == 1


def test_an_address_in_use_is_one_line(box: Box) -> None:
    with pytest.raises(
        SinkError, match=r"cannot serve events on .*: Address already in use; stop the program"
    ):
        ReliableServer(box.journal, box.endpoint)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.binary(max_size=64)
        | st.dictionaries(
            st.sampled_from(["v", "type", "name", "seq", "from", "kinds", "x"]),
            st.sampled_from(
                [1, 2, "join", "ack", "ping", "events", -1, 2**63 - 1, None, True, [], ["a"], "", "n"]
            ),
        ).map(msgpack.packb),
        max_size=3,
    )
)
def test_whatever_a_stranger_sends_is_refused_or_answered(box: Box, parts: list[bytes]) -> None:
    context = zmq.Context.instance()
    with context.socket(zmq.DEALER) as stranger:
        stranger.linger = 100
        stranger.connect(box.endpoint)
        stranger.send_multipart(parts or [b""])
    assert box.server._thread.is_alive()


def test_after_all_that_it_still_serves(box: Box) -> None:
    context = zmq.Context.instance()
    with context.socket(zmq.DEALER) as stranger:
        stranger.linger = 100
        stranger.connect(box.endpoint)
        for message in (b"", b"\xc1", b"x" * 5000, msgpack.packb({"v": 9, "type": "join", "name": "a"})):
            stranger.send(message)
    with box.listener(from_start=True) as listener:
        box.happen()
        assert take(listener, 1) == [1]


_READER = """
import sys
from pipeline.client import ReliableListener
with ReliableListener(sys.argv[1], "killed", from_start=True) as listener:
    for seq, event in listener:
        print(event.track_id, flush=True)
"""


def test_a_reader_that_is_killed_again_and_again_misses_nothing(box: Box) -> None:
    got: list[int] = []
    for lines in (1, 40, 150, 7):
        box.happen(150)
        command = [sys.executable, "-c", _READER, box.endpoint]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            got += [int(reader.stdout.readline()) for _ in range(lines)]
            reader.send_signal(signal.SIGKILL)
            got += [int(line) for line in reader.stdout.read().split()]
    with box.listener("killed") as listener:
        while set(got) != set(range(1, 601)):
            got += take(listener, 1)
    assert set(got) == set(range(1, 601)), "none is missing"
    assert got == sorted(got) or len(got) > 600, "those that came twice follow a kill"


def test_who_asks_for_what_is_never_emitted_is_told_once(
    box: Box, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.client._PING_S", 0.1)
    box.stop()
    box.emitted = {"line.crossing", "stream.gap"}
    box.start()
    with box.listener(kinds=["line.crosing", "line.", "zone.\n"]) as listener:
        until(lambda: listener.receive(0.02) is None and listener.box)
        assert listener.doubts == (
            "nothing in the box's run emits events whose kind begins with 'line.crosing'; "
            "did you mean 'line.crossing'?",
            r"nothing in the box's run emits events whose kind begins with 'zone.\n'",
        )
        box.stop()
        box.start()
        box.happen()
        assert take(listener, 1) == [box.number]  # it has joined again
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert told == [f"{box.endpoint}: {doubt}" for doubt in listener.doubts]


@pytest.mark.parametrize("emitted", [None, {"line.crossing"}])
def test_what_it_may_emit_is_not_doubted(emitted: set[str] | None, box: Box) -> None:
    box.stop()
    box.emitted = emitted
    box.start()
    with box.listener(kinds=["line."] if emitted else ["any.thing"]) as listener:
        until(lambda: listener.receive(0.02) is None and listener.box)
        assert (listener.box, listener.doubts) == (box.journal.box, ())

"""The package that other programs import."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import sightline
from pipeline.bus import Bus
from pipeline.errors import ConfigError
from pipeline.journal import Journal
from pipeline.reliable import ReliableServer
from tests.pipeline.messages import FREE, make_event


def test_without_a_name_one_listens(tmp_path: Path) -> None:
    with Bus(FREE, None) as bus, sightline.subscribe(bus.endpoints["events"]) as listener:

        async def first() -> object:
            async for received in listener:
                return received.message
            return None

        async def both() -> object:
            waiting = asyncio.create_task(first())
            while not waiting.done():
                bus.publish_event(make_event(7))
                await asyncio.sleep(0.01)
            return await waiting

        message = asyncio.run(both())
    assert message.event.track_id == 7  # type: ignore[attr-defined]


def test_with_a_name_one_misses_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    journal.append([make_event(1), make_event(2, "yard")])
    server = ReliableServer(journal, FREE)
    with sightline.subscribe(server.endpoint, name="billing", start="oldest") as listener:
        events = iter(listener)
        assert [next(events).event.track_id for _ in range(2)] == [1, 2]
    server.close()
    journal.close()


def test_the_past_belongs_to_names() -> None:
    with pytest.raises(ConfigError, match="only a program with a name"):
        sightline.subscribe("tcp://127.0.0.1:1", start="oldest")  # type: ignore[call-overload]

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline.client import ReliableListener
from pipeline.config.schema import PluginConfig
from pipeline.engine import Engine
from pipeline.errors import ConfigError
from pipeline.event import Event
from pipeline.journal import Journal
from pipeline.outbox import JournalOptions, Outbox
from pipeline.plugin import EventSink, EventSinkOptions, SinkContext
from tests.pipeline.messages import FREE, make_event
from tests.pipeline.parts import stream_config
from tests.pipeline.test_engine import config


class Store(EventSink):
    """Keeps what it gets; `away` says that its other end is."""

    got: ClassVar[list[Event]] = []
    away: ClassVar[bool] = False

    def deliver(self, events: Sequence[Event]) -> None:
        if self.away:
            raise ConnectionRefusedError("the database is away")
        self.got.extend(events)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[Store]:
    monkeypatch.setattr(Store, "got", [])
    monkeypatch.setattr("pipeline.outbox._DRAIN_S", 0.3)
    return Store


def run(folder: Path, script: Sequence[object], *sinks: PluginConfig) -> dict[str, Any]:
    plain = config(folder, stream_config(script=script))
    with Engine(replace(plain, sinks=(*plain.sinks, *sinks))) as engine:
        engine.run()
    return engine.report()


def sink(kind: type[Store], **options: Any) -> PluginConfig:
    return PluginConfig("sink", "store", kind, EventSinkOptions(**options))


def test_a_sink_gets_the_events_of_a_run(tmp_path: Path, store: type[Store]) -> None:
    report = run(tmp_path, ["frame", "gap", "frame", "gap", "frame"], sink(store))
    assert [event.kind for event in store.got] == ["stream.gap", "stream.gap"]
    assert report["journal"] == {
        "newest": 2,
        "lost": 0,
        "trouble": None,
        "reliable": None,
        "sinks": {"store": {"delivered": 2, "waiting": 0, "refused": 0, "failures": 0, "error": None}},
    }


def test_a_sink_that_was_away_gets_them_in_the_next_run(
    tmp_path: Path, store: type[Store], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(Store, "away", True)
    report = run(tmp_path, ["frame", "gap", "frame"], sink(store))
    assert report["status"] == "done", "a sink with the journal behind it stops nobody"
    assert report["journal"]["sinks"]["store"]["waiting"] == 1
    assert "the database is away" in report["journal"]["sinks"]["store"]["error"]
    assert "wait in" in caplog.text
    monkeypatch.setattr(Store, "away", False)
    run(tmp_path, ["frame", "frame", "gap", "frame"], sink(store))
    assert len({event.id for event in store.got}) == 2


def test_only_the_kinds_that_it_names(tmp_path: Path, store: type[Store]) -> None:
    run(tmp_path, ["frame", "gap", "frame"], sink(store, kinds=("line.*",)))
    assert store.got == []


def test_without_need_there_is_no_journal(tmp_path: Path) -> None:
    assert run(tmp_path, ["frame", "gap", "frame"])["journal"] is None
    assert not (tmp_path / "journal.sqlite3").exists()


def test_two_sinks_of_one_name_are_told_apart(tmp_path: Path, store: type[Store]) -> None:
    with pytest.raises(ConfigError, match="two sinks are 'store' in the journal"):
        run(tmp_path, ["frame"], sink(store), sink(store))
    run(tmp_path, ["frame", "gap", "frame"], sink(store), sink(store, consumer="other"))
    assert len(store.got) == 2


def test_what_the_bounds_took_is_an_event_for_everybody(tmp_path: Path, store: type[Store]) -> None:
    heard: list[Event] = []
    made = store(EventSinkOptions(), SinkContext(tmp_path))
    outbox = Outbox(tmp_path, JournalOptions(keep_mb=1), [("store", made)], heard.append)
    filler = {"data": {"text": "x" * 2000}}
    for number in range(1100):  # not started: nobody takes anything
        outbox.append([make_event(number, **filler)])
    outbox.close()
    assert {event.kind for event in heard} == {"journal.overrun"}
    assert heard[0].data["consumer"] == "store"
    kept = Journal(tmp_path / "journal.sqlite3", keep_s=1e9, keep_bytes=10**9)
    lost = sum(event.data["events"] for event in heard)
    assert kept.consumers()["store"].overrun == lost > 0
    assert {entry.event().id for entry in kept.read(0, 10_000)} >= {heard[-1].id}
    kept.close()


def test_a_program_that_is_connected_has_all_of_a_run_when_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.outbox._CONSUMERS_DRAIN_S", 30.0)
    monkeypatch.setattr("pipeline.outbox._DRAIN_S", 30.0)
    outbox = Outbox(tmp_path, JournalOptions(), [], lambda _: None, FREE)
    assert outbox.server is not None
    got: list[int | None] = []
    with ReliableListener(outbox.server.endpoint, "shop", from_start=True) as listener:
        while not outbox.server.statistics()["connected"]:
            assert listener.receive(0.05) is None
        outbox.append([make_event(number) for number in range(1, 1501)])  # more than is sent at once

        def read() -> None:
            while len(got) < 1500 and (found := listener.receive(30)) is not None:
                got.append(found.event.track_id)
            listener.acknowledge()

        reading = threading.Thread(target=read)
        reading.start()
        outbox.close()
        reading.join()
    assert got == list(range(1, 1501))

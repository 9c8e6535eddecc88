"""A journal and a feeder around one sink, as the engine has them, for the tests of sinks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.backoff import KeeperOptions
from pipeline.event import Event
from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.plugin import EventSink
from tests.pipeline.messages import make_event
from tests.servers.footprint import until

QUICK = KeeperOptions(retry_s=0.01, retry_most_s=0.05, refused_retry_s=0.01)


@contextmanager
def feeding(folder: Path, sink: EventSink, name: str = "sink") -> Iterator[tuple[Journal, Feeder]]:
    """Feed a sink from the journal in a folder; at the end wait until it has everything."""
    journal = Journal(folder / "journal.sqlite3", keep_s=1e9, keep_bytes=10**9)
    feeder = Feeder(name, journal, sink.deliver, batch=sink.batch, options=QUICK, wants=sink.options.takes)
    feeder.start()
    try:
        yield journal, feeder
        assert feeder.stop(journal.newest, 30), feeder.status
    finally:
        feeder.stop(0, 0.01)
        sink.close()
        journal.close()


def append(journal: Journal, numbers: range) -> set[str]:
    """Write an event for each number; return their ids."""
    events = [make_event(number) for number in numbers]
    journal.append(events)
    return {str(event.id) for event in events}


def wait_delivered(feeder: Feeder, events: int) -> None:
    """Wait until the sink has taken so many."""
    until(lambda: feeder.status.acknowledged >= events, 30, lambda: feeder.status)


def failures_of(sink: EventSink, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """Return a list to which each failed delivery to come is added."""
    failures: list[Exception] = []
    deliver = sink.deliver

    def noting(events: Sequence[Event]) -> None:
        try:
            deliver(events)
        except Exception as error:
            failures.append(error)
            raise

    monkeypatch.setattr(sink, "deliver", noting)
    return failures

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.backoff import KeeperOptions
from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.feeder import Feeder
from pipeline.journal import Journal
from tests.pipeline.messages import make_event
from tests.servers.footprint import until

QUICK = KeeperOptions(retry_s=0.001, retry_most_s=0.002, refused_retry_s=0.001)
PATIENCE_S = 20.0


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    made = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
    yield made
    made.close()


class Receiver:
    """Takes events, after as many failures as it is told to make."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.numbers: list[int | None] = []
        self.sizes: list[int] = []

    def __call__(self, events: Sequence[Event]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sizes.append(len(events))
        self.numbers += [event.track_id for event in events]


def feed(kept: Journal, deliver: Callable[[Sequence[Event]], None], **options: Any) -> Feeder:
    feeder = Feeder("sink", kept, deliver, options=QUICK, draw=lambda: 0.0, **options)
    feeder.start()
    return feeder


def test_what_comes_is_delivered_in_order_and_acknowledged(kept: Journal) -> None:
    receiver = Receiver()
    feeder = feed(kept, receiver, batch=4)
    for number in range(1, 11):
        kept.append([make_event(number)])
    assert feeder.stop(kept.newest, PATIENCE_S)
    assert receiver.numbers == list(range(1, 11))
    assert max(receiver.sizes) <= 4
    assert kept.consumers()["sink"].acknowledged == 10
    assert feeder.status.delivered == 10


def test_a_failure_delays_and_loses_nothing(kept: Journal) -> None:
    receiver = Receiver(OSError("no route"), ValueError("what?"), OSError("no route"))
    feeder = feed(kept, receiver)
    kept.append([make_event(1)])
    kept.append([make_event(2)])
    assert feeder.stop(kept.newest, PATIENCE_S)
    assert receiver.numbers == [1, 2]
    assert feeder.status.detail == ""


def test_a_sink_that_is_cut_short_keeps_its_reason(kept: Journal, caplog: pytest.LogCaptureFixture) -> None:
    tries = []

    def away(events: Sequence[Event]) -> None:
        tries.append(events)
        if len(tries) == 1:
            raise SinkError("broker: nothing listens there")
        feeder._stopped.wait(PATIENCE_S)
        raise SinkError("broker: closed")

    feeder = feed(kept, away)
    kept.append([make_event(1)])
    until(lambda: len(tries) == 2, PATIENCE_S, "a second try")
    assert not feeder.stop(kept.newest, 0.05)
    assert feeder.status.detail == "broker: nothing listens there"  # for people: without the error's class
    assert "closed" not in caplog.text


def test_the_next_run_goes_on_where_this_one_was_given_up(kept: Journal) -> None:
    def down(events: Sequence[Event]) -> None:
        raise OSError("the broker is away")

    feeder = feed(kept, down)
    kept.append([make_event(number) for number in range(1, 8)])
    assert not feeder.stop(kept.newest, 0.05)
    assert "the broker is away" in feeder.status.detail
    kept.append([make_event(8)])
    receiver = Receiver()
    again = feed(kept, receiver)
    assert again.stop(kept.newest, PATIENCE_S)
    assert receiver.numbers == list(range(1, 9))


def test_an_event_that_is_refused_for_ever_holds_up_nobody(kept: Journal, caplog: Any) -> None:
    numbers: list[int | None] = []

    def picky(events: Sequence[Event]) -> None:
        bad = {place: "too long" for place, event in enumerate(events) if event.track_id == 3}
        if bad:
            raise EventsRefused(bad)
        numbers.extend(event.track_id for event in events)

    feeder = feed(kept, picky)
    kept.append([make_event(number) for number in range(1, 6)])
    assert feeder.stop(kept.newest, PATIENCE_S)
    assert numbers == [1, 2, 4, 5]
    assert (feeder.status.delivered, feeder.status.refused) == (4, 1)
    assert "will never take event" in caplog.text
    assert "too long" in caplog.text


def test_a_sink_that_refuses_none_of_its_events_is_paused(kept: Journal) -> None:
    asked: list[int] = []
    over = threading.Event()

    def confused(events: Sequence[Event]) -> None:
        asked.append(len(events))
        if over.is_set():
            return
        raise EventsRefused({})

    feeder = feed(kept, confused)
    kept.append([make_event(1)])
    assert not feeder.stop(kept.newest, 0.2)
    over.set()
    assert feeder.status.failures >= len(asked) - 1 > 0


def test_events_that_are_not_wanted_count_as_delivered(kept: Journal) -> None:
    receiver = Receiver()
    feeder = feed(kept, receiver, wants=lambda event: event.track_id == 2)
    kept.append([make_event(number) for number in (1, 2, 3)])
    assert feeder.stop(kept.newest, PATIENCE_S)
    assert receiver.numbers == [2]
    assert kept.consumers()["sink"].acknowledged == 3


@pytest.mark.parametrize(("from_start", "expected"), [(True, [1, 2]), (False, [2])])
def test_a_new_consumer_gets_what_it_asks_for(kept: Journal, from_start: bool, expected: list[int]) -> None:
    kept.append([make_event(1)])
    receiver = Receiver()
    feeder = feed(kept, receiver, from_start=from_start)
    kept.append([make_event(2)])
    assert feeder.stop(kept.newest, PATIENCE_S)
    assert receiver.numbers == expected


def test_a_sink_that_hangs_does_not_hold_up_the_end(kept: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.feeder._LOOK_S", 0.01)
    entered, release = threading.Event(), threading.Event()

    def hang(events: Sequence[Event]) -> None:
        entered.set()
        release.wait(PATIENCE_S)

    feeder = feed(kept, hang)
    kept.append([make_event(1)])
    assert entered.wait(PATIENCE_S)
    assert not feeder.stop(kept.newest, 0.01)
    release.set()
    feeder._thread.join(PATIENCE_S)

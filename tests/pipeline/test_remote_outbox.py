"""A box's journal as a feeder in another process sees it; the box here is real, and on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.backoff import KeeperOptions
from pipeline.client import ReliableListener
from pipeline.errors import EventsRefused, SinkError
from pipeline.event import Event
from pipeline.feeder import Feeder
from pipeline.remote_outbox import RemoteOutbox, prefixes_of
from tests.pipeline.messages import wait_until
from tests.pipeline.test_reliable import Box


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "box")
    yield made
    made.stop()


class Shop:
    """A sink that may be told to fail."""

    def __init__(self) -> None:
        self.had: list[int] = []
        self.failing = False
        self.never: set[int] = set()

    def deliver(self, events: Sequence[Event]) -> None:
        if self.failing:
            raise OSError("closed")
        refused = {place: "no" for place, event in enumerate(events) if event.track_id in self.never}
        if refused:
            raise EventsRefused(refused)
        self.had += [int(event.track_id or 0) for event in events]


class Process:
    """What `sightline sink` runs, without the command line."""

    def __init__(self, box: Box, shop: Shop, *, batch: int = 500) -> None:
        self.listener = ReliableListener(box.endpoint, "sink/shop", from_start=True)
        self.outbox = RemoteOutbox(self.listener)
        pauses = KeeperOptions(retry_s=0.1, retry_most_s=0.1)
        self.feeder = Feeder("shop", self.outbox, shop.deliver, batch=batch, options=pauses)
        self.feeder.start()

    def close(self) -> None:
        self.feeder.stop(0, 10)
        self.listener.close()


def test_events_come_in_order_and_the_box_keeps_the_place(box: Box) -> None:
    shop = Shop()
    box.happen(30)
    with closing(Process(box, shop, batch=7)) as process:
        wait_until(lambda: len(shop.had) == 30)
        wait_until(lambda: box.journal.consumers()["sink/shop"].waiting == 0)
        wait_until(lambda: process.outbox.status.waiting == 0)
        assert process.outbox.status.has_answered
        assert process.outbox.status.connected
    box.happen(5)
    with closing(Process(box, shop)):
        wait_until(lambda: len(shop.had) == 35)
    assert shop.had == list(range(1, 36))


def test_while_the_sink_fails_nothing_is_acknowledged_and_nothing_lost(box: Box) -> None:
    shop = Shop()
    shop.failing = True
    box.happen(3)
    with closing(Process(box, shop)) as process:
        wait_until(lambda: process.feeder.status.failures > 0)
        assert box.journal.consumers()["sink/shop"].acknowledged == 0
        shop.failing = False
        wait_until(lambda: shop.had == [1, 2, 3])


def test_what_is_never_taken_is_left_out(box: Box) -> None:
    shop = Shop()
    shop.never = {2}
    box.happen(3)
    with closing(Process(box, shop)) as process:
        wait_until(lambda: shop.had == [1, 3])
        wait_until(lambda: process.feeder.status.refused == 1)
        wait_until(lambda: box.journal.consumers()["sink/shop"].waiting == 0)


def test_a_box_that_restarts_while_the_sink_fails_loses_nothing(box: Box) -> None:
    shop = Shop()
    box.happen(2)
    with closing(Process(box, shop)):
        wait_until(lambda: shop.had == [1, 2])
        shop.failing = True
        box.happen(2)
        box.stop()
        box.start()
        box.happen(2)
        shop.failing = False
        wait_until(lambda: sorted(set(shop.had)) == [1, 2, 3, 4, 5, 6])


@pytest.mark.slow  # the box is asked every two seconds
def test_with_another_journal_numbers_begin_anew_and_nothing_is_taken_for_a_double(box: Box) -> None:
    """The old journal's numbers are higher than the new one's: they must not hide its events."""
    shop = Shop()
    box.happen(50)
    with closing(Process(box, shop)) as process:
        wait_until(lambda: len(shop.had) == 50)
        shop.failing = True
        box.happen(1)
        wait_until(lambda: process.outbox.status.waiting == 1)
        box.stop()
        shutil.rmtree(box.folder)
        box.start()
        box.happen(5)
        wait_until(lambda: process.listener.box == box.journal.box)
        shop.failing = False
        wait_until(lambda: set(range(1, 57)) <= set(shop.had))
        wait_until(lambda: box.journal.consumers()["sink/shop"].waiting == 0)


def test_a_plain_listener_too_is_not_misled_by_another_journal(box: Box) -> None:
    box.happen(50)
    with box.listener(from_start=True) as listener:
        for _ in range(50):
            assert listener.receive(10) is not None
        box.stop()
        shutil.rmtree(box.folder)
        box.start()
        box.happen(3)
        found = [listener.receive(10) for _ in range(3)]
        assert [one.event.track_id for one in found if one] == [51, 52, 53]


def test_another_process_of_the_same_name_ends_it(box: Box) -> None:
    shop = Shop()
    with closing(Process(box, shop)) as first:
        wait_until(lambda: first.outbox.status.has_answered)
        with closing(Process(box, Shop())):
            assert first.outbox.ended.wait(10)
            assert isinstance(first.outbox.error, SinkError)
            assert "another program took the name 'sink/shop'" in str(first.outbox.error)


@pytest.mark.parametrize(
    ("kinds", "prefixes"),
    [
        (None, ()),
        (("line.crossing",), ("line.crossing",)),
        (("zone.*", "zone.?x", "a[bc]"), ("zone.", "a")),
        (("line.crossing", "*"), ()),
        (tuple(f"k{n}" for n in range(100)), ()),
    ],
)
def test_only_kinds_that_a_pattern_can_match_are_asked_for(
    kinds: tuple[str, ...] | None, prefixes: tuple[str, ...]
) -> None:
    assert prefixes_of(kinds) == prefixes

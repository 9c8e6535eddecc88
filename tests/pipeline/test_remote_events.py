"""Events of a box for a sink that takes them one by one, and what it was not done with when it was killed."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import Sink, SinkContext, SinkOptions
from pipeline.remote_events import EventCalls
from pipeline.unfinished import Unfinished
from tests.pipeline.messages import make_event


class Desk(Sink):
    """Takes events and is done with them when it is told so, with those of a bus at once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SinkOptions(**options), SinkContext(Path()))
        self.took: list[Event] = []
        self.open: set[UUID] = set()
        self.refuses: set[UUID] = set()

    def on_event(self, event: Event) -> None:
        if event.id in self.refuses:
            raise OSError("not now")
        self.took.append(event)
        if event.label != "bus":
            self.open.add(event.id)

    def held(self) -> Collection[UUID]:
        return frozenset(self.open)


class Life:
    """One process: a sink, and what brings it its events."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.desk = Desk(**options)
        self.expected: list[str] = []
        self.notes = Unfinished(path / "unfinished.sqlite3", self.desk.held)
        self.calls = EventCalls(self.desk, threading.Lock(), self.notes, self.expected.append)

    def __enter__(self) -> Life:
        return self

    def __exit__(self, *_: object) -> None:
        self.notes.close()


def test_what_was_not_done_with_is_handed_over_again(tmp_path: Path) -> None:
    events = [make_event(number) for number in range(4)]
    with Life(tmp_path) as first:
        assert first.calls.resume() == 0
        first.calls.deliver(events[:3])
        first.desk.open.discard(events[1].id)
        first.calls.settle()
    with Life(tmp_path) as second:
        assert second.calls.resume() == 2
        second.calls.deliver(events[2:])  # the box had not heard that the third was taken
        assert second.desk.took == [events[0], events[2], events[3]]
        second.desk.open.clear()
        second.calls.settle()
    with Life(tmp_path) as third:
        assert third.calls.resume() == 0


def test_what_a_sink_was_done_with_at_once_is_not_noted(tmp_path: Path) -> None:
    with Life(tmp_path) as life:
        life.calls.deliver([make_event(1, label="bus")])
        assert life.notes.left() == []


def test_an_event_comes_once_however_often_it_is_delivered(tmp_path: Path) -> None:
    events = [make_event(number) for number in range(3)]
    with Life(tmp_path) as life:
        life.desk.refuses = {events[1].id}
        with pytest.raises(OSError, match="not now"):
            life.calls.deliver(events)
        life.desk.refuses = set()
        life.calls.deliver(events)
        assert life.desk.took == events
        assert life.notes.left() == events
        assert life.expected[0] == "gate"


def test_what_cannot_be_noted_is_not_acknowledged(tmp_path: Path) -> None:
    event = make_event(1)
    with Life(tmp_path) as life:
        with closing(sqlite3.connect(tmp_path / "unfinished.sqlite3")) as other:
            other.execute("DROP TABLE events")
        with pytest.raises(SinkError, match="what is unfinished cannot be noted"):
            life.calls.deliver([event])
        assert life.desk.took == [event]


def test_one_that_is_not_taken_the_second_time_does_not_hold_up_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = [make_event(number) for number in range(2)]
    with Life(tmp_path) as first:
        first.calls.deliver(events)
    with Life(tmp_path) as second:
        second.desk.refuses = {events[0].id}
        second.calls.resume()
        assert second.desk.took == [events[1]]
    assert (
        f"event {events[0].id} (line.crossing), left unfinished, is given up: OSError: not now" in caplog.text
    )


@pytest.mark.parametrize("streams", [None, ("gate",)])
def test_it_takes_what_is_of_its_streams(tmp_path: Path, streams: tuple[str, ...] | None) -> None:
    with Life(tmp_path, streams=streams) as life:
        assert life.calls.takes(make_event(1, "gate"))
        assert life.calls.takes(make_event(1, "yard")) == (streams is None)
        assert not life.calls.takes(make_event(1, ""))


def test_a_damaged_file_begins_anew_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "unfinished.sqlite3").write_bytes(b"no database" * 100)
    with caplog.at_level(logging.WARNING), Life(tmp_path) as life:
        life.calls.deliver([make_event(1)])
        assert len(life.notes.left()) == 1
    assert "is damaged (file is not a database) and begins anew" in caplog.text


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "unfinished.sqlite3").mkdir()
    with pytest.raises(SinkError, match=r"unfinished.sqlite3: cannot be opened: .*; choose another folder"):
        Life(tmp_path)

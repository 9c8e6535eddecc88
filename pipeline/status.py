"""How streams and box are, told on the bus: every few seconds, at each change, and to who comes first."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pipeline.bus import Bus
from pipeline.errors import SightlineError
from pipeline.keeper import SourceStatus
from pipeline.moment import Clock, Moment
from pipeline.secret import without_credentials
from pipeline.stream import Stream
from pipeline.wire import BOX_STREAM, STATUS_TOPIC, BoxMessage, StatusMessage

logger = logging.getLogger(__name__)

EVERY_S = 2.0
_LOOK_S = 0.25
"""How often it is looked whether something has changed: so late is news at most."""
_BOX_TOPIC = STATUS_TOPIC + BOX_STREAM
_OF_JOURNAL = ("newest", "lost", "trouble", "reliable")


@dataclass(frozen=True, slots=True)
class About:
    """What belongs to no stream.

    Attributes:
        error: what went wrong outside of any stream, one line, or None.
        journal: see `Outbox.statistics`; None without a journal.
    """

    error: str | None
    journal: Mapping[str, Any] | None


class Beacon:
    """Publishes states, in a thread of its own, of what somebody subscribes to.

    Args:
        bus: where to.
        streams: of the run.
        box: its name; None: the host's.
        about: returns what belongs to no stream.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        bus: Bus,
        streams: Sequence[Stream],
        box: str | None,
        about: Callable[[], About],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._box = box or socket.gethostname() or "box"
        self._about = about
        self._streams = {STATUS_TOPIC + stream.config.name: stream for stream in streams}
        self._clock = clock
        self._began_s = clock()
        self._told: dict[str, tuple[float, object]] = {}
        self._frames: dict[str, tuple[float, int, int]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="bus-status", daemon=True)

    def start(self) -> None:
        """Start telling."""
        self._thread.start()

    def close(self) -> None:
        """Tell how it ended, and stop; safe more than once."""
        if self._over.is_set():
            return
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
            self.look(at_all=True)

    def look(self, *, at_all: bool = False) -> None:
        """Tell what is due; `at_all`: everything that somebody wants."""
        for topic, stream in self._streams.items():
            if self._is_due(topic, partial(_news_of, stream), at_all):
                self._bus.publish_status(topic, self._status(topic, stream))
        if self._is_due(_BOX_TOPIC, self._news_of_box, at_all):
            self._bus.publish_status(_BOX_TOPIC, self._box_message())

    def _work(self) -> None:
        while not self._over.wait(_LOOK_S):
            try:
                self.look()
            except Exception:  # states are a service: nothing else may fail by them
                logger.exception("the state cannot be told")

    def _is_due(self, topic: str, news_of: Callable[[], object], at_all: bool) -> bool:
        if not self._bus.wants_status(topic):
            self._told.pop(topic, None)  # whoever subscribes next hears at once
            return False
        now_s, news = self._clock(), news_of()
        told_s, before = self._told.get(topic, (now_s - EVERY_S, None))
        if not at_all and news == before and now_s - told_s < EVERY_S:
            return False
        self._told[topic] = now_s, news
        return True

    def _status(self, topic: str, stream: Stream) -> Callable[..., StatusMessage]:
        entry, span_s, info = stream.ledger.entry(), stream.media_span_s, stream.info
        now_s = self._clock()
        before_s, captured, finished = self._frames.get(topic, (now_s, 0, 0))
        self._frames[topic] = now_s, entry.captured, entry.finished
        passed_s = now_s - before_s
        return partial(
            StatusMessage,
            stream=stream.config.name,
            run=info.run if info else "",
            moment=Moment(span_s[1] if span_s else 0.0, time.time_ns(), Clock.ARRIVAL, 0),
            box=self._box,
            every_s=EVERY_S,
            state=str(stream.state),
            error=one_line_of(stream.error),
            source=_source_of(stream.source),
            width=info.width if info else None,
            height=info.height if info else None,
            seconds=round(stream.seconds, 3),
            frames={
                "captured": entry.captured,
                "finished": entry.finished,
                "in_flight": entry.in_flight,
                "dropped": entry.dropped,
            },
            captured_hz=round((entry.captured - captured) / passed_s, 2) if passed_s > 0 else None,
            finished_hz=round((entry.finished - finished) / passed_s, 2) if passed_s > 0 else None,
            age_ms=stream.ages.summary_ms(),
            counts=stream.tally.counts(),
            events=stream.tally.events,
            gaps=stream.tally.gaps()[0],
            sinks=stream.packet_statistics(),
        )

    def _box_message(self) -> Callable[..., BoxMessage]:
        about = self._about()
        journal = about.journal
        return partial(
            BoxMessage,
            moment=Moment(0.0, time.time_ns(), Clock.ARRIVAL, 0),
            box=self._box,
            every_s=EVERY_S,
            error=about.error,
            seconds=round(self._clock() - self._began_s, 3),
            streams={stream.config.name: str(stream.state) for stream in self._streams.values()},
            journal=None if journal is None else {name: journal[name] for name in _OF_JOURNAL},
            sinks={} if journal is None else journal["sinks"],
            sockets=self._bus.statistics(),
        )

    def _news_of_box(self) -> object:
        about = self._about()
        journal = about.journal or {"trouble": None, "lost": 0, "sinks": {}}
        sinks = [(sink["error"], sink["refused"]) for sink in journal["sinks"].values()]
        return about.error, journal["trouble"], journal["lost"], sinks


def one_line_of(error: SightlineError | None) -> str | None:
    """Return what an error says, on one line and without the credentials that it may hold."""
    return None if error is None else without_credentials(" ".join(str(error).split()))


def _news_of(stream: Stream) -> object:
    """Return what is told at once when it changes; numbers that grow all the time are not among it."""
    source = stream.source
    return (
        stream.state,
        stream.error,
        None if source is None else (source.state, source.reason, source.detail),
    )


def _source_of(status: SourceStatus | None) -> dict[str, Any] | None:
    if status is None:
        return None
    now_s = time.monotonic()
    next_try_s = None if status.next_try_s is None else round(max(0.0, status.next_try_s - now_s), 1)
    return {
        "state": str(status.state),
        "reason": None if status.reason is None else str(status.reason),
        "detail": status.detail,
        "for_s": round(max(0.0, now_s - status.since_s), 1),
        "connections": status.connections,
        "failures": status.failures,
        "next_try_s": next_try_s,
    }

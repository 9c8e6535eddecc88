"""Keeps a stream's source alive: a connection may die in any way, its keeper makes a new one, for ever."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.backoff import Backoff, KeeperOptions
from pipeline.blame import blaming
from pipeline.condition import Reason, SourceState
from pipeline.errors import ConfigError, SightlineError, SourceError
from pipeline.frame import Frame, Gap, joined
from pipeline.plugin import Source, StreamInfo
from pipeline.reader import Reader
from pipeline.secret import without_credentials
from pipeline.watch import Verdict, Watch

logger = logging.getLogger(__name__)

_LOOK_S = 0.1
"""How often a connection is looked at."""
_STEADY_S = 10.0
"""A connection that played for so long was a success: the next failure waits for the shortest pause."""
_PATIENCE_AT_END_S = 2.0
"""How long a stopped reader may take to come back before it is left to its own time-outs."""
_MOST_ABANDONED = 3
"""With so many readers that have not come back yet, no further connection is begun."""
_LEAST_STEP_S = 1e-3
_DETAIL_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """Where a source stands, for reports, displays and metrics.

    Attributes:
        state: the present state.
        reason: why it is not playing, or what is wrong while it plays; None when nothing is.
        detail: one line for a person, without credentials.
        since_s: monotonic time at which this state and reason began.
        connections: connections that came to play so far.
        failures: failed tries since it last played for a while.
        next_try_s: monotonic time of the next try while backing off, else None.
        abandoned: connections given up whose threads have not come back yet.
    """

    state: SourceState
    reason: Reason | None = None
    detail: str = ""
    since_s: float = 0.0
    connections: int = 0
    failures: int = 0
    next_try_s: float | None = None
    abandoned: int = 0


class Keeper:
    """Runs one source after the other until one ends for good, cannot be had as configured, or `stop`.

    Sources whose class is not `live` get one connection, whose failure `run` raises. Live ones are judged by
    the media time they deliver (see `Watch`). A reader that does not come back is abandoned: nothing of it
    reaches the stream any more, and its own time-outs end it.

    The runs of a live stream lie one after the other on one media clock: what follows a break is as much
    later as it really was, and its first frame carries the gap.

    Args:
        first: the first connection's source, not open yet.
        make: makes the next one.
        opened: called in the reader's thread with the info of each new connection, before its frames.
        deliver: called in the reader's thread with each item; False when nobody takes any more.
        tell: called with each new status, from the thread of `run`.
        options: how patient to be.
        clock: monotonic seconds.
        draw: random numbers in 0..1 for the pauses; the random module's when None.
        pause: waits for so many seconds, less when `stop` is called; by default on an inner condition.
    """

    def __init__(
        self,
        first: Source,
        make: Callable[[], Source],
        *,
        opened: Callable[[StreamInfo], None],
        deliver: Callable[[StreamInfo, Frame | Gap], bool],
        tell: Callable[[SourceStatus], None],
        options: KeeperOptions,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] | None = None,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._first: Source | None = first
        self._make = make
        self._opened = opened
        self._deliver = deliver
        self._tell = tell
        self._options = options
        self._live = first.live
        self._clock = clock
        self._pause = pause or self._wait
        self._backoff = Backoff(options) if draw is None else Backoff(options, draw)
        self._changed = threading.Condition()
        self._stop_asked = threading.Event()
        self._closing: Source | None = first
        self._abandoned: list[Reader] = []
        self._gap: Gap | None = None
        self._frozen: tuple[Reason, str] | None = None  # what we told of media time that stood still
        self._last: tuple[float, float] | None = None  # media and monotonic time of the latest frame
        self._offset_s = 0.0
        self._connections = 0
        self.status = SourceStatus(SourceState.CONNECTING, since_s=clock())

    def run(self) -> None:
        """Keep the source until it ends.

        Raises:
            ConfigError: if the source cannot be had as it is configured.
            SightlineError: what a source that is not kept failed with.
        """
        while not self._stop_asked.is_set():
            reader = self._begin()
            if reader is None:
                continue
            failure = self._follow(reader)
            self._note_playing(reader)
            if self._stop_asked.is_set():
                break
            if not self._is_kept(reader):
                self._say(SourceState.ENDED)
                if reader.error is not None:
                    raise reader.error
                if failure is not None:  # given up, which is not its end
                    raise SourceError(failure[1], failure[0])
                return
            if failure is None:
                failure = _failure_of(reader)
            self._lose(reader, *failure)
        self._say(SourceState.ENDED)

    def stop(self) -> None:
        """Have `run` return soon, whatever the source does. Returns at once; safe from any thread."""
        with self._changed:
            self._stop_asked.set()
            source = self._closing
            self._changed.notify_all()
        if source is not None:
            source.close()

    def _begin(self) -> Reader | None:
        """Start the next connection; None when it cannot be made now."""
        self._abandoned = [reader for reader in self._abandoned if reader.is_alive]
        if len(self._abandoned) >= _MOST_ABANDONED:
            detail = f"{len(self._abandoned)} earlier connections have not come back"
            self._back_off(self.status.reason or Reason.NO_ANSWER, detail)
            return None
        self._say(SourceState.CONNECTING)
        try:
            source = self._next()
        except SourceError as error:
            self._back_off(error.reason, str(error))
            return None
        reader = Reader(source, self._changed, self._opened, self._take)
        with self._changed:
            self._closing = source
        if self._stop_asked.is_set():
            source.close()
        now_s = self._clock()
        reader.watch = Watch(self._options, source.progress, now_s, patient=source.patient or not self._live)
        try:
            reader.start()
        except RuntimeError as error:  # the box has no thread left for now
            if not self._live:
                raise
            with suppress(Exception):
                source.close()
            self._back_off(Reason.FAILED, f"cannot be read: {error}")
            return None
        return reader

    def _next(self) -> Source:
        source, self._first = self._first, None
        if source is None:
            with blaming(SourceError, "the source cannot be made"):
                source = self._make()
        return source

    def _follow(self, reader: Reader) -> tuple[Reason, str] | None:
        """Wait until the connection is over, and return None; or give it up, and return why."""
        while True:
            with self._changed:
                if not reader.is_over and not self._stop_asked.is_set():
                    self._changed.wait(_LOOK_S)  # notified of the first picture, too
            if reader.is_over:
                return None
            self._note_playing(reader)
            if self._stop_asked.is_set():
                self._leave(reader)
                return None
            verdict = self._judged(reader)
            if verdict is None:
                continue
            self._say_of(reader, verdict)
            if verdict.give_up is not None:
                self._leave(reader, at_once=True)
                return verdict.give_up

    def _judged(self, reader: Reader) -> Verdict | None:
        """Return what is thought of the connection; None while it waits for somebody to take an item."""
        if not reader.lock.acquire(timeout=_LOOK_S):
            return None
        try:
            return reader.watch.judge(self._clock())
        finally:
            reader.lock.release()

    def _leave(self, reader: Reader, *, at_once: bool = False) -> None:
        """Close a connection; give it a moment to come back, and abandon it if it does not."""
        if at_once:
            reader.abandon()  # at once: nothing is being handed on, or it would not have been given up
        with suppress(Exception):  # what it complains of is of no interest any more
            reader.source.close()
        reader.join(0.0 if at_once else _PATIENCE_AT_END_S)
        if not reader.is_over:
            reader.forsake()
            self._abandoned.append(reader)

    def _is_kept(self, reader: Reader) -> bool:
        """Whether a new connection follows: always for cameras; for recordings only until they play."""
        if isinstance(reader.error, ConfigError) or not self._live:
            return False
        return reader.info is None or reader.info.live

    def _lose(self, reader: Reader, reason: Reason, detail: str) -> None:
        """Note that a connection is lost, and wait for the next try."""
        if reader.watch.played_s(self._clock()) >= _STEADY_S:
            self._backoff.succeeded()
        if self._last is not None and self._gap is None:  # what fails later does not begin the gap
            self._gap = Gap(str(reason), self._last[0], None, _shown(detail))
        self._back_off(reason, detail)

    def _back_off(self, reason: Reason, detail: str) -> None:
        state = SourceState.REFUSED if reason.is_refusal else SourceState.LOST
        self._say(state, reason, detail)
        pause_s = self._backoff.after(reason, has_played=self._connections > 0)
        backing_off = state if state is SourceState.REFUSED else SourceState.BACKING_OFF
        self._say(backing_off, reason, detail, next_try_s=self._clock() + pause_s)
        self._pause(pause_s)

    def _wait(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        with self._changed:
            while not self._stop_asked.is_set() and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)

    def _take(self, reader: Reader, info: StreamInfo, item: Frame | Gap) -> bool:
        """Pass an item on; called by the reader, whose lock is held."""
        if not self._live:
            return self._deliver(info, item)
        now_s = self._clock()
        if isinstance(item, Gap):
            if self._last is not None and reader.watch.pictures == 0:
                # A part of the break, whose length and beginning are known.
                self._gap = joined(self._gap, replace(item, after_s=self._last[0]))
                return True
            return self._deliver(info, replace(item, after_s=_later(item.after_s, self._offset_s)))
        arrived_s = now_s if item.arrived_s is None else item.arrived_s
        if info.live:  # a recording's pictures have no age
            item.arrived_s = arrived_s
        is_first = reader.watch.pictures == 0
        if is_first:
            if self._last is not None and arrived_s < self._last[1]:
                return True  # a server repeats what it has since a key frame: seen and counted already
            self._resume(item, arrived_s)
        pts_s = round(item.moment.pts_s + self._offset_s, 9)
        progress = reader.source.progress
        if self._last is not None and pts_s <= self._last[0]:
            self._frozen = (Reason.FROZEN_CLOCK, f"media time stands still at {pts_s:.3f} s")
            progress.trouble = self._frozen
            return True
        if self._frozen is not None and progress.trouble is self._frozen:
            progress.trouble = None
        self._frozen = None
        self._last = (pts_s, arrived_s)
        item.moment = replace(item.moment, pts_s=pts_s)
        reader.watch.picture(now_s)
        if is_first:
            with self._changed:
                self._changed.notify_all()
        is_taken = self._deliver(info, item)
        reader.watch.handed_on(self._clock())
        return is_taken

    def _resume(self, first: Frame, arrived_s: float) -> None:
        """Lay a new run behind the one before on the media clock, and tell its first frame of the gap."""
        gap, self._gap = self._gap, None
        if self._last is None:
            self._offset_s = 0.0
            return
        last_pts_s, last_s = self._last
        missing_s = max(arrived_s - last_s, _LEAST_STEP_S)
        self._offset_s = last_pts_s + missing_s - first.moment.pts_s
        if gap is not None:
            gap = replace(gap, seconds=round(missing_s, 6))
        first.gap = joined(gap, first.gap)

    def _say_of(self, reader: Reader, verdict: Verdict) -> None:
        reason, detail = verdict.trouble or (None, "")
        if reader.watch.played_s(self._clock()) >= _STEADY_S:
            self._backoff.succeeded()
        self._say(verdict.state, reason, detail)

    def _note_playing(self, reader: Reader) -> None:
        """Count a connection that has come to play and tell of it, also when it is over already."""
        if reader.watch.pictures and not reader.has_counted:
            reader.has_counted = True
            self._connections += 1
            self._say(SourceState.PLAYING)

    def _say(
        self,
        state: SourceState,
        reason: Reason | None = None,
        detail: str = "",
        *,
        next_try_s: float | None = None,
    ) -> None:
        """Set the status; tell of it when it is another."""
        before = self.status
        status = SourceStatus(
            state,
            reason,
            _shown(detail),
            before.since_s if (state, reason) == (before.state, before.reason) else self._clock(),
            self._connections,
            self._backoff.failures,
            next_try_s,
            sum(reader.is_alive for reader in self._abandoned),
        )
        if status != before:
            self.status = status
            self._tell(status)


def _failure_of(reader: Reader) -> tuple[Reason, str]:
    """Say why a connection ended by itself."""
    match reader.error:
        case None:
            return Reason.CLOSED, "the peer closed the connection"
        case SourceError() as error:
            return error.reason, str(error)
        case error:
            return Reason.FAILED, str(error) if isinstance(error, SightlineError) else repr(error)


def _shown(detail: str) -> str:
    """Return a plug-in's words as one line of bounded length without credentials."""
    return without_credentials(" ".join(detail.split()))[:_DETAIL_CHARACTERS]


def _later(pts_s: float | None, offset_s: float) -> float | None:
    return None if pts_s is None else round(pts_s + offset_s, 9)

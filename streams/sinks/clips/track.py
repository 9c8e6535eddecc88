"""The clips of one stream: its ring of packets, the windows that are wanted, and the files being written."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import UUID

import av

from pipeline.errors import SinkError
from pipeline.moment import Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.clips.clip import Clip
from streams.sinks.clips.ring import PacketRing
from streams.sinks.clips.windows import Request, Rule, Window, place

logger = logging.getLogger(__name__)

_MOST_WAITING = 1000
_MOST_WINDOWS = 64
_MOST_RECENT = 16
_MOST_RUNS = 16
_STUCK_S = 10.0
"""Media time that packets may be ahead of frames: then the analytics is not waited for any more."""
_GRACE_S = 2.0
"""Wall time after the end of a connection during which events of it are waited for."""
_UNKNOWN_S = 15.0
"""Wall time after which a connection whose packets have not come is not waited for."""
_ON_DISK_S = 3.0
"""Media time after which recordings are on the disk, and can be read."""
_RETRY_S = 5.0
_CLOCKS_S = 3.0
"""By so much media time and UTC may disagree between two connections of one start of the box."""
_SHORT_S = 0.5
"""A pre-roll that is shorter by less counts as whole: a key frame more or less."""
FAILURES = (OSError, SinkError, av.FFmpegError)


class Desk(Protocol):
    """What a track needs of its sink."""

    def begin(self, form: PacketFormat, window: Window) -> Clip:
        """Make room and begin a file. Raises one of `FAILURES`."""

    def check_room(self) -> None:
        """Make room for what is being written. Raises one of `FAILURES`."""

    def finish(self, window: Window, clip: Clip, missing_s: float, lost: int) -> str:
        """Finish a clip and tell of it; return its path. Raises one of `FAILURES`."""

    def failed(self, window: Window, reason: str) -> None:
        """Tell that a clip could not be kept."""

    def explained(self, error: Exception) -> str:
        """Return one of `FAILURES` in words: what, where, what to do."""

    def recorded(self, stream: str, window: Window, reach_s: float | None) -> tuple[Clip, int] | None:
        """Write a clip of what was recorded, if that reaches back further than memory.

        Returns:
            The clip, not finished yet, and how many pictures the recordings lack. Raises one of `FAILURES`.
        """

    def kept(self, request: Request) -> str | None:
        """Return the clip that an earlier process made of an event, as far as it is known."""

    def shows_too(self, path: str, window: Window) -> None:
        """Tell that a finished clip shows another event."""


@dataclass(slots=True, eq=False)
class _Job:
    """A window on its way to a file."""

    window: Window
    made_s: float
    clip: Clip | None = None
    next_number: int | None = None
    next_sequence: int | None = None
    lost: int = 0
    missing_s: float = 0.0
    shown_s: float = float("-inf")
    retry_s: float = float("-inf")
    asks_recordings: bool = False


class Track:
    """See the module. `wish`, `saw` and `gone` may be called from any thread, the others by one at a time.

    Args:
        stream: whose packets they are.
        rule: of the windows.
        keep_s: how far the ring reaches back.
        ring_bytes: most bytes in it.
        desk: where clips go.
        clock: monotonic seconds.

    """

    def __init__(
        self,
        stream: str,
        rule: Rule,
        *,
        keep_s: float,
        ring_bytes: int,
        desk: Desk,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = stream
        self._seen: tuple[float | None, int] = (float("-inf"), 0)
        self._rule = rule
        self._desk = desk
        self._clock = clock
        self._ring = PacketRing(keep_s, ring_bytes)
        self._inbox: deque[Request] = deque()
        self._wished_s = float("-inf")
        self._jobs: list[_Job] = []
        self._form: PacketFormat | None = None
        self._latest: Moment | None = None
        self._runs: deque[str] = deque(maxlen=_MOST_RUNS)
        self._over: tuple[str, float] = ("", float("-inf"))
        self._gone = ""
        self._is_closed = False
        self._came_s = float("-inf")
        self._recent: deque[tuple[Window, str]] = deque(maxlen=_MOST_RECENT)

    @property
    def newest_s(self) -> float | None:
        """Media time of the latest packet, None before the first."""
        return self._ring.newest_s

    @property
    def is_idle(self) -> bool:
        """Whether no clip is wanted."""
        return not self._jobs and not self._inbox

    def asked(self) -> list[UUID]:
        """Return the events whose clips are neither finished nor given up; from any thread."""
        waiting = self._inbox.copy()  # first: what leaves it is among the jobs by then
        requests = [request for job in self._jobs.copy() for request in job.window.requests.copy()]
        return [request.event_id for request in (*waiting, *requests)]

    def wish(self, request: Request) -> bool:
        """Ask for a clip; False when too many wait already."""
        if len(self._inbox) >= _MOST_WAITING:
            return False
        if not self._inbox:
            self._wished_s = self._clock()
        self._inbox.append(request)
        return True

    def saw(self, pts_s: float | None, time_ns: int) -> None:
        """Take note that all events up to a time are known.

        Args:
            pts_s: media time; None where UTC counts, because another stream was looked at.
            time_ns: UTC.
        """
        self._seen = (pts_s, time_ns)

    def gone(self, run: str) -> None:
        """Take note that a source was lost: what comes of this run yet is on its way already."""
        self._gone = run

    @property
    def seen_s(self) -> float:
        """Media time up to which all events are known; -inf before the first frame."""
        pts_s, time_ns = self._seen
        found = self._media_s(time_ns) if pts_s is None else pts_s
        return float("-inf") if found is None else found

    def begin(self, form: PacketFormat) -> None:
        """Take note of a connection's format."""
        if self._form is not None and self._form.run != form.run:
            self.over()
        if form.run not in self._runs:
            self._runs.append(form.run)
        if self._over[0] == form.run:  # the same goes on after a failure
            self._over = ("", float("-inf"))
        self._gone, self._is_closed = "", False
        self._form = form
        self._ring.begin()

    def add(self, packet: Packet) -> None:
        """Take a packet."""
        if self._form is None:
            return
        self._ring.add(self._form, packet)
        self._latest = packet.moment
        self._came_s = self._clock()
        if self._over[0] == packet.run:  # these were on their way when its source was lost
            self._over = (packet.run, self._came_s)
        self.advance()

    def over(self) -> None:
        """Take note that the connection has ended."""
        if self._form is not None and not self._is_closed:
            self._over = (self._form.run, self._clock())
            self._is_closed = True
            self._ring.begin()

    def advance(self, *, final: bool = False) -> None:
        """Write what is there for the windows, and finish those of which nothing more can come.

        Args:
            final: nothing more will come of anything.
        """
        if self._gone and self._form is not None and self._gone == self._form.run:
            if self._over[0] != self._gone:
                self._over = (self._gone, self._clock())
            self._gone = ""
        is_known = self._form is not None or self._clock() - self._wished_s >= _UNKNOWN_S
        if is_known or final:
            self._take_wishes()
        for job in list(self._jobs):
            if job.retry_s <= self._clock() or final:
                self._work(job, final=final)

    def _take_wishes(self) -> None:
        while self._inbox:
            try:
                self._take_wish(self._placed(self._inbox[0]))
            finally:
                self._inbox.popleft()  # it was asked for until now, see `asked`

    def _take_wish(self, request: Request) -> None:
        # A recording that is processed again asks for the same clips again, and gets them anew.
        is_new = self._form is not None and not self._form.live
        shown = None if is_new else self._desk.kept(request)
        new = place(request, [] if shown else [job.window for job in self._jobs], self._rule)
        if new is None:
            return
        shown = shown or next((path for window, path in self._recent if _lies_in(new, window)), None)
        if shown is not None:
            self._desk.shows_too(shown, new)
        elif len(self._jobs) >= _MOST_WINDOWS:
            self._desk.failed(new, f"{_MOST_WINDOWS} clips of this stream are being made already")
        else:
            job = _Job(new, self._waits_since(request), asks_recordings=self._has_gone(new))
            self._jobs.append(job)
            if job.made_s == float("-inf"):
                self._work(job, final=False)  # now, as it must not take the place of one that happens

    def _waits_since(self, request: Request) -> float:
        """Return since when packets of an unknown connection are waited for."""
        latest = self._latest
        if self._form is None or latest is None:
            return self._wished_s
        # What happened while this process was away: its packets will not come any more.
        is_past = (
            self._form.live and latest.time_ns - request.time_ns > (_UNKNOWN_S + self._rule.post_s) * 1e9
        )
        return float("-inf") if is_past else self._clock()

    def _placed(self, request: Request) -> Request:
        """Return a request of another stream in the time of this one."""
        if request.at_s is not None:
            return replace(request, run=self._run_of(request.run, request.at_s, request.time_ns))
        at_s = self._media_s(request.time_ns)
        if at_s is None:
            return replace(request, at_s=0.0)  # no packets yet: it will find none
        return replace(request, at_s=at_s, run=self._ring.run_at(at_s) or "")

    def _run_of(self, run: str, at_s: float, time_ns: int) -> str:
        """Return the connection in whose time an event lies.

        That of its frame as a rule; but an object that was there before the camera was lost, and is there
        again, has crossed a line in between, which the first frames of the next connection tell. Both clocks
        must agree on it: an event of before a restart of the box has a media time that means another moment.
        """
        reach_s, newest_s = self._ring.reach_s(run), self._ring.newest_s
        if reach_s is None and newest_s is not None and self._form is not None and self._form.live:
            reach_s = newest_s  # its packets are still on their way
        media_s = self._media_s(time_ns)
        if reach_s is None or at_s >= reach_s or media_s is None or abs(media_s - at_s) > _CLOCKS_S:
            return run
        return self._ring.run_at(at_s) or run

    def _media_s(self, time_ns: int) -> float | None:
        moment = self._latest
        return None if moment is None else moment.pts_s + (time_ns - moment.time_ns) / 1e9

    def _work(self, job: _Job, *, final: bool) -> None:
        window = job.window
        try:
            self._write(job)
            if job.clip is not None:
                job.clip.note(window)
            if not final and not self._is_settled(job):
                return
            if job.asks_recordings and self._latest is not None:
                if not final and not self._is_on_disk(window, self._latest):
                    return
                self._take_recorded(job)
            if job.clip is None:
                self._give_up(job, "the packets of its time are not there any more")
                return
            path = self._desk.finish(window, job.clip, job.missing_s, job.lost)
            self._jobs.remove(job)
            self._recent.append((window, path))
        except FAILURES as error:
            self._put_off(job, error, final=final)

    def _is_on_disk(self, window: Window, latest: Moment) -> bool:
        """Whether a window has been over for long enough, by either clock: a restart sets one back."""
        _, ahead_s = window.first.offsets_s(window)
        since_s = (latest.time_ns - window.first.time_ns) / 1e9 - ahead_s
        return max(since_s, latest.pts_s - window.end_s) >= _ON_DISK_S

    def _take_recorded(self, job: _Job) -> None:
        """Take what was recorded instead of what memory had, if that is more."""
        job.asks_recordings = False
        reach_s = None if job.clip is None or job.clip.start is None else job.clip.start.pts_s
        found = self._desk.recorded(self.stream, job.window, reach_s)
        if found is None:
            return
        if job.clip is not None:
            job.clip.abandon()
        job.clip, job.lost = found
        begun = job.clip.start
        job.missing_s = 0.0 if begun is None else max(0.0, begun.pts_s - job.window.start_s)

    def _has_gone(self, window: Window) -> bool:
        """Whether memory has lost what a window begins with."""
        reach_s = self._ring.reach_s(window.run)
        return self._ring.has_lost(window.run) and (reach_s is None or reach_s > window.start_s + _SHORT_S)

    def _write(self, job: _Job) -> None:
        window = job.window
        newest_s = self._ring.newest_s
        if newest_s is None or newest_s < window.start_s or job.shown_s >= window.end_s:
            return  # of those that are done, a later event may make the window longer: then they go on
        if job.next_number is None:
            reach_s = self._ring.reach_s(window.run)
            if reach_s is None or reach_s > window.end_s:
                return
            job.next_number = self._ring.number_at(window.run, window.start_s)
        for number, form, packet in self._ring.since(job.next_number or 0):
            if form.run != window.run:
                return
            if job.clip is None:
                job.clip = self._desk.begin(form, window)
                job.missing_s = max(0.0, packet.moment.pts_s - window.start_s)
            elif packet.is_key:
                self._desk.check_room()
            if job.next_sequence is not None:
                job.lost += max(0, packet.sequence - job.next_sequence)
            job.clip.write(packet)
            job.next_number, job.next_sequence = number + 1, packet.sequence + 1
            job.shown_s = max(job.shown_s, packet.moment.pts_s)
            if job.shown_s >= window.end_s:
                return

    def _is_settled(self, job: _Job) -> bool:
        """Whether neither packets nor events that belong to a window can still come."""
        window, newest_s, now_s = job.window, self._ring.newest_s, self._clock()
        if self._form is None or newest_s is None or window.run not in self._runs:
            return now_s - job.made_s >= _UNKNOWN_S
        if window.run != self._form.run or window.run == self._over[0]:
            since_s = self._over[1] if window.run == self._over[0] else float("-inf")
            all_is_here = self._is_closed or window.run != self._form.run
            all_is_known = all_is_here and self.seen_s >= min(window.end_s, newest_s)
            return all_is_known or now_s - since_s >= _GRACE_S
        if newest_s < window.end_s:  # a connection that is silent for all that time
            return now_s - self._came_s >= window.end_s - newest_s + _GRACE_S
        return self.seen_s >= window.end_s or newest_s >= window.end_s + _STUCK_S

    def _put_off(self, job: _Job, error: Exception, *, final: bool) -> None:
        """Begin a clip anew later, from what the ring then has; give it up when that is nothing."""
        if job.clip is not None:
            job.clip.abandon()
        job.clip = job.next_number = job.next_sequence = None
        job.lost, job.shown_s = 0, float("-inf")
        job.retry_s = self._clock() + _RETRY_S
        logger.debug("a clip of stream '%s' is put off", self.stream, exc_info=error)
        reach_s = self._ring.reach_s(job.window.run)
        if final or reach_s is None or reach_s > job.window.end_s:
            self._give_up(job, self._desk.explained(error))

    def _give_up(self, job: _Job, reason: str) -> None:
        self._jobs.remove(job)
        self._desk.failed(job.window, reason)


def _lies_in(window: Window, other: Window) -> bool:
    is_within = window.start_s >= other.start_s - _SHORT_S and window.end_s <= other.end_s + _SHORT_S
    return window.run == other.run and is_within

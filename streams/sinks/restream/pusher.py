"""Keeps one stream at a server: connects, sends, stands in, connects again. A thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from pipeline.backoff import Backoff, KeeperOptions
from pipeline.condition import Reason
from pipeline.errors import SinkError
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.encoder import TIME_BASE
from streams.sinks.restream.connection import Refused
from streams.sinks.restream.inbox import Inbox, Waiting
from streams.sinks.restream.makers import Coded, Maker, StandIn
from streams.sinks.restream.timeline import Timeline
from streams.sinks.stub import stub_picture

logger = logging.getLogger(__name__)

_STAND_IN_HZ = 4.0
_STAND_IN_CODECS = ("h264", "hevc")
_TOLD_EVERY_S = 60.0
_WINDOW_S = 5.0
_TOLERATED = 5
"""Packets or pictures lost within a window: a burst after a moment of load is counted, but no news."""
_PAUSES = KeeperOptions(retry_s=0.5, retry_most_s=30.0, refused_retry_s=60.0)

Item = TypeVar("Item")


class Line(Protocol):
    """What a pusher needs of a `Connection`."""

    @property
    def is_established(self) -> bool:
        """Whether the other end takes the stream."""

    def write(self, packet: Packet) -> None:
        """Send a packet."""

    def close(self) -> None:
        """End in good order."""

    def cut(self) -> None:
        """Break off, from any thread."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a pusher works.

    Attributes:
        live: whether what comes has its own pace; else it is sent at the pace of its media time.
        stands_in: whether a picture stands in for a live source that is gone.
        stand_in_after_s: after so long without anything from it.
    """

    live: bool
    stands_in: bool = True
    stand_in_after_s: float = 2.0


class Pusher(Generic[Item]):
    """Sends what comes through its inbox.

    What comes while there is no connection is not sent later: a live picture would be late. It begins at a
    key frame, and a line that is too slow for the stream loses whole groups of pictures (`Inbox`).

    Args:
        stream: name of the stream.
        shown: where it goes, fit to be shown.
        inbox: what to send.
        maker: makes packets of it.
        connect: opens a connection for packets of a format.
        manner: how to work.
        moment_of: the moment of an item.
        tell: told as `tell(data)` when it does not work, and when it does again.
        clock: monotonic seconds.
        draw: random numbers in 0..1 for the pauses between tries.
        look_s: how often it looks whether something is due while nothing comes.
    """

    def __init__(
        self,
        stream: str,
        shown: str,
        inbox: Inbox[Item],
        maker: Maker[Item],
        connect: Callable[[PacketFormat], Line],
        manner: Manner,
        moment_of: Callable[[Item], Moment],
        tell: Callable[[Mapping[str, Any]], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] | None = None,
        look_s: float = 0.1,
    ) -> None:
        self.inbox = inbox
        self._stream, self._shown = stream, shown
        self._maker, self._connect, self._manner = maker, connect, manner
        self._moment_of = moment_of
        self._tell, self._clock = tell, clock
        self._backoff = Backoff(_PAUSES) if draw is None else Backoff(_PAUSES, draw)
        self._look_s = look_s
        self._stopping = threading.Event()
        self._line: Line | None = None
        self._form: PacketFormat | None = None  # of the line, or of the one to come
        self._timeline = Timeline()
        self._needs_key = True
        self._retry_s = 0.0
        self._trouble = ""
        self._sent = 0
        self._unsent = 0
        self._known_dropped = self._untold = 0
        self._looked_s = self._told_s = clock()
        self._is_behind = False
        self._stand_in: StandIn | None = None
        self._stand_in_s = 0.0
        self._heard_s = clock()
        self._heard_ns: int | None = None
        self._first: tuple[float, float] | None = None
        self._thread = threading.Thread(target=self._work, name=f"push-{stream}", daemon=True)

    def start(self) -> None:
        """Start; the first connection is made for the first key frame."""
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Send what waits, for at most so long, and end in good order."""
        self.inbox.finish()
        self._thread.join(timeout_s)
        self.stop(timeout_s)

    def leave(self) -> None:
        """Begin to end; without waiting for it."""
        self._stopping.set()
        self.inbox.finish(empty=True)

    def stop(self, timeout_s: float) -> None:
        """End now; safe more than once."""
        self.leave()
        if self._thread.ident is not None:
            self._thread.join(min(1.0, timeout_s))
            line = self._line
            if self._thread.is_alive() and line is not None:
                line.cut()
            self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def trouble(self) -> str:
        """Why nothing is sent, one line; "" while it is."""
        return self._trouble

    @property
    def wants(self) -> bool:
        """Whether something that came now would be sent, or make it try to connect."""
        return self._line is not None or self._clock() >= self._retry_s

    def _work(self) -> None:
        try:
            while not self._stopping.is_set() and not self.inbox.is_over:
                waiting = self.inbox.take(self._look_s)
                if waiting is not None:
                    self._heard_s = self._clock()
                    self._heard_ns = self._moment_of(waiting.item).time_ns
                    self._forward(waiting)
                self._stand_in_if_due()
                self._tell_losses()
        except Exception:
            logger.exception("stream '%s': the push to %s ended by a defect", self._stream, self._shown)
            self.inbox.finish(empty=True)
        finally:
            self._close_line()

    def _forward(self, waiting: Waiting[Item]) -> None:
        if not self.wants or (self._needs_key and not waiting.can_start):
            self._unsent += 1
            return
        try:
            coded = self._maker.make(waiting.item, key=self._needs_key)
            if not self._manner.live:
                self._keep_pace(waiting.pts_s)
            self._send(coded)
            self._stand_in = None
        except SinkError as error:
            self._unsent += 1
            self._failed(error)

    def _send(self, coded: Coded) -> None:
        form = self._form
        if self._line is not None and form is not None and _differs(form, coded.form):
            self._close_line()
        if self._line is None:
            if not coded.packet.is_key:
                self._needs_key = True
                return
            self._form = coded.form
            self._timeline = Timeline()
            self._line = self._connect(coded.form)
        packet = coded.packet
        pts, dts = self._timeline.place(
            coded.part, packet.pts, packet.dts, coded.form.time_base, self._clock()
        )
        duration = round(packet.duration * coded.form.time_base / TIME_BASE)
        self._line.write(replace(packet, pts=pts, dts=dts, duration=duration))
        self._form = coded.form
        self._needs_key = False
        self._sent += 1
        self.inbox.flow(True)
        if self._trouble and self._line.is_established:
            self._recovered()

    def _stand_in_if_due(self) -> None:
        """Send the picture of a source that is gone, where the connection can show one."""
        form, now_s = self._form, self._clock()
        if not (self._manner.live and self._manner.stands_in) or form is None:
            return
        is_gone = now_s - self._heard_s >= self._manner.stand_in_after_s
        if not is_gone and self._stand_in is None:
            return
        if form.codec not in _STAND_IN_CODECS or now_s < self._stand_in_s or not self.wants:
            return
        try:
            is_first = self._stand_in is None or self._line is None
            if self._stand_in is None:
                picture = stub_picture(form.width, form.height, self._stream, self._heard_ns)
                self._stand_in = StandIn(form, picture, _STAND_IN_HZ)
            self._stand_in_s = now_s + 1 / _STAND_IN_HZ
            moment = Moment(now_s, 0, Clock.ARRIVAL)
            self._send(self._stand_in.make(moment, key=is_first))
            self._needs_key = True  # the source goes on where it can be joined
        except SinkError as error:
            self._failed(error)

    def _keep_pace(self, pts_s: float) -> None:
        """Wait until a picture of a recording is due."""
        now_s = self._clock()
        if self._first is None or self._line is None:
            self._first = (now_s, pts_s)
        due_s = self._first[0] + pts_s - self._first[1]
        if due_s > now_s:
            self._stopping.wait(due_s - now_s)

    def _failed(self, error: SinkError) -> None:
        self._close_line(cut=True)
        self.inbox.flow(False)
        reason = error.reason if isinstance(error, Refused) else Reason.FAILED
        self._retry_s = self._clock() + self._backoff.after(reason, has_played=self._sent > 0)
        detail = str(error)
        if detail != self._trouble:
            logger.error("stream '%s': is not pushed, and tried again: %s", self._stream, detail)
            self._trouble = detail
            self._say("failed", detail)

    def _recovered(self) -> None:
        self._backoff.succeeded()
        self._trouble = ""
        self._is_behind = False
        self._known_dropped = self.inbox.dropped
        logger.warning("stream '%s': is pushed to %s again", self._stream, self._shown)
        self._say("working", "")

    def _tell_losses(self) -> None:
        """Tell when a line is too slow, again each minute, and when it no longer is."""
        now_s = self._clock()
        if self._line is None or now_s - self._looked_s < _WINDOW_S:
            return
        self._looked_s = now_s
        dropped = self.inbox.dropped
        new, self._known_dropped = dropped - self._known_dropped, dropped
        is_due = now_s - self._told_s >= _TOLD_EVERY_S
        if new > _TOLERATED:
            self._untold += new
            if is_due or not self._is_behind:
                detail = (
                    f"{self._shown}: too slow for the stream, {self._untold} packets or pictures were dropped"
                )
                logger.warning("stream '%s': %s", self._stream, detail)
                self._say("behind", detail)
                self._untold, self._told_s = 0, now_s
            self._is_behind = True
        elif self._is_behind and is_due:
            logger.warning("stream '%s': %s keeps up again", self._stream, self._shown)
            self._say("working", "")
            self._is_behind = False

    def _say(self, state: str, detail: str) -> None:
        lost = self._unsent + self.inbox.dropped
        self._tell({"sink": "push", "state": state, "detail": detail, "lost_packets": lost})

    def _close_line(self, *, cut: bool = False) -> None:
        line, self._line = self._line, None
        self._needs_key = True
        if line is None:
            return
        if cut:
            line.cut()
        line.close()


def _differs(one: PacketFormat, other: PacketFormat) -> bool:
    """Whether a connection for one cannot go on with the other: other parameter sets alone it can."""
    return (one.codec, one.width, one.height) != (other.codec, other.width, other.height)

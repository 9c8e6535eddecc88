"""The live way of reading: a connection's good pictures with their times, and what was missed."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import chain

from av.video.frame import VideoFrame

from pipeline.condition import Progress, Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import StreamInfo
from streams.sources.decode import PictureMaker
from streams.sources.network.clock import MediaTime
from streams.sources.network.connection import Connection, Damage
from streams.sources.network.options import ClockChoice
from streams.sources.network.tracks import TIMELESS
from streams.sources.network.trouble import Watch
from streams.sources.network.wall_time import WallTime
from streams.sources.upright import Upright

logger = logging.getLogger(__name__)

_MICROSECOND_S = 1e-6


class LiveRun:
    """Reads one live connection from its first good picture on; used by one thread.

    Args:
        connection: just opened.
        stream: name of the stream.
        url: fit to be shown.
        progress: where trouble is told.
        clock: whose clock is believed.
        pace: called with each picture's media time before it is handed on; False ends the run. None hands
            on at once.
        painted: True if a picture arises only when it is due, which then is its arrival.
        monotonic_s: the clock of this box.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        url: str,
        progress: Progress,
        clock: ClockChoice,
        pace: Callable[[float], bool] | None = None,
        painted: bool = False,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._url = url
        self._clock = clock
        self._pace = pace
        self._painted = painted
        self._monotonic_s = monotonic_s
        self._watch = Watch(progress, monotonic_s)
        self._items = connection.items()
        self._run = uuid.uuid4().hex
        self._timeless = connection.format in TIMELESS

    def open(self) -> StreamInfo:
        """Decode up to the first good picture: only that tells size and which way is up.

        Raises:
            SourceError: if the stream ends or breaks before.
        """
        for item in self._items:
            if isinstance(item, Damage):
                self._watch.damaged(item.reason)
                continue
            self._first = item
            info = self._info(item.frame)
            self._connection.copy.begin(
                self._connection.stream,
                stream=self._stream,
                run=self._run,
                live=True,
                rotation_deg=info.rotation_deg,
                timeless=self._timeless,
            )
            return info
        if self._connection.stopped:
            raise SourceError(f"{self._connection.name}: was closed while it was opened", Reason.CLOSED)
        raise SourceError(
            f"{self._connection.name}: ended before its first picture{self._watch.remark()}", Reason.CLOSED
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield frames and gaps; see `Source.read`."""
        pictures = PictureMaker(self._upright)
        media = MediaTime(_MICROSECOND_S if self._timeless else self._connection.tick_s)
        wall = WallTime(self._clock)
        lost = 0
        why = ""
        is_bursting = False
        sequence = 0
        for item in chain([self._first], self._items):
            if isinstance(item, Damage):
                lost += 1
                why = why or item.reason
                self._watch.damaged(item.reason)
                continue
            frame = item.frame
            self._check(frame)
            ticks = round(item.arrived_s / _MICROSECOND_S) if self._timeless else frame.pts
            after_s = media.last_s
            # What is painted here comes when we ask: it cannot come late or early.
            at_s = (ticks or 0) * self._connection.tick_s if self._painted else item.arrived_s
            placed = media.place(ticks, at_s)
            if placed.pts_s is None:
                self._watch.timeless(media.frozen_s(item.arrived_s), placed.detail)
                if sequence:
                    lost += 1
                    why = why or placed.detail
                continue
            self._watch.good()
            if placed.cause == "timestamp jump" and not is_bursting:
                logger.warning("%s: %s", self._connection.name, placed.detail)
            is_bursting = placed.cause == "timestamp jump"
            if (lost or placed.cause) and after_s is not None:
                yield self._gap(
                    lost, why, after_s, placed.cause, placed.missing_s, placed.detail, placed.pts_s
                )
            lost, why = 0, ""
            if self._pace is not None and not self._pace(placed.pts_s):
                return
            arrived_s = self._monotonic_s() if self._painted else item.arrived_s
            moment = wall.moment(placed.pts_s, arrived_s, item.camera_ns)
            warning = wall.take_warning()
            if warning:
                logger.warning("%s: %s", self._connection.name, warning)
            picture = pictures.make(frame)
            yield Frame(self._stream, self._run, sequence, moment, picture, arrived_s=arrived_s, ticks=ticks)
            sequence += 1

    def _gap(
        self,
        lost: int,
        why: str,
        after_s: float,
        cause: str,
        missing_s: float | None,
        detail: str,
        pts_s: float,
    ) -> Gap:
        if not lost:
            return Gap(cause, after_s, missing_s, detail)
        if missing_s is None and cause != "timestamp jump":
            missing_s = round(pts_s - after_s, 9)
        pictures = f"({lost} picture{'s' if lost > 1 else ''})"
        return Gap(cause or "decode error", after_s, missing_s, f"{detail or why} {pictures}")

    def _info(self, frame: VideoFrame) -> StreamInfo:
        self._upright = Upright.turned(frame)
        self._stored = (frame.width, frame.height, _plain(frame))
        width, height = self._upright.size(frame.width, frame.height)
        stream = self._connection.stream
        rate = stream.average_rate or stream.guessed_rate
        return StreamInfo(
            stream=self._stream,
            url=self._url,
            run=self._run,
            width=width,
            height=height,
            live=True,
            codec=stream.codec_context.codec.canonical_name,
            container=self._connection.format,
            pixel_format=frame.format.name,
            rate_hz=float(rate) if rate and not self._timeless else None,
            rotation_deg=self._upright.turn_deg,
            has_audio=bool(self._connection.container.streams.audio),
        )

    def _check(self, frame: VideoFrame) -> None:
        now = (frame.width, frame.height, _plain(frame))
        if now != self._stored:
            before = self._stored
            raise SourceError(
                f"{self._connection.name}: pictures change from {before[0]} x {before[1]} {before[2]} to "
                f"{now[0]} x {now[1]} {now[2]}; connecting anew",
                Reason.CHANGED,
            )


def _plain(frame: VideoFrame) -> str:
    """Return the pixel format; "yuvj" is the older name of "yuv" with full range, and no other format."""
    return frame.format.name.replace("yuvj", "yuv")

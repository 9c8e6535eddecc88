"""The recorded way of reading: every picture of a recording on a server, with its true time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import StreamInfo
from streams.sources.decode import PictureMaker
from streams.sources.media_facts import MediaFacts
from streams.sources.media_file import Lost
from streams.sources.network.connection import Connection, Damage, Shot
from streams.sources.network.tracks import PLAYLISTS
from streams.sources.recording import on_the_clock, recording_info
from streams.sources.timeline import Timeline
from streams.sources.upright import Upright
from streams.sources.wall_clock import WallClock

_END_TOLERANCE_S = 0.5
_END_TOLERANCE_PICTURES = 3
_END_TOLERANCE_SHARE = 0.02

_Piece = tuple[Lost | None, Shot | None]


class RecordedRun:
    """Reads one recording over a connection, as the source `file` reads one from a disk; used by one thread.

    Args:
        connection: just opened.
        stream: name of the stream.
        url: fit to be shown.
        start_time: wall-clock time of the first picture, if it is known.
    """

    def __init__(
        self, connection: Connection, stream: str, url: str, start_time: datetime | None = None
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._url = url
        self._facts = MediaFacts.of(connection.container, connection.stream)
        self._size_bytes = connection.container.size
        self._clock = WallClock.starting(start_time, self._facts.creation_time)
        self._pieces = self._combined()
        self._broken: SourceError | None = None
        # The same recording gives the same run, as far as its server describes it.
        described = (url, self._facts.format, self._facts.codec, self._facts.duration_s, self._size_bytes)
        self._run = hashlib.blake2b(repr(described).encode(), digest_size=8).hexdigest()

    def open(self) -> StreamInfo:
        """Decode up to the first good picture.

        Raises:
            SourceError: if there is none.
        """
        self._ahead = next(self._pieces)
        lost, shot = self._ahead
        name = self._connection.name
        if shot is None:
            if self._connection.stopped:
                raise SourceError(f"{name}: was closed while it was opened", Reason.CLOSED)
            if self._broken is not None:
                raise self._broken
            raise SourceError(
                f"{name}: not one picture can be decoded{f' ({lost.detail})' if lost else ''}",
                Reason.DECODE_ERRORS,
            )
        frame = shot.frame
        self._upright = Upright.of(frame)
        self._stored = (frame.width, frame.height)
        self._connection.copy.begin(
            self._connection.stream,
            stream=self._stream,
            run=self._run,
            live=False,
            rotation_deg=self._upright.turn_deg,
        )
        return recording_info(
            self._facts, frame, self._upright, stream=self._stream, url=self._url, run=self._run
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield frames and gaps as the source `file` does; a `Gap` "truncated" where the server broke off.

        Raises:
            SourceError: if the recording ends before its end, or its pictures change their size.
        """
        connection = self._connection
        pictures = PictureMaker(self._upright)
        is_steady = self._facts.steady or self._facts.format in PLAYLISTS
        timeline = Timeline(self._facts.start_s, steady=is_steady)

        def frame(shot: Shot, pts_s: float, sequence: int) -> Frame:
            moment, picture = self._clock.moment(pts_s), pictures.make(shot.frame)
            return Frame(self._stream, self._run, sequence, moment, picture, ticks=_ticks(shot))

        lost = yield from on_the_clock(
            chain([self._ahead], self._pieces),
            timeline,
            stamp_s=self._stamp_s,
            check=lambda shot: self._check_size((shot.frame.width, shot.frame.height), timeline.end_s),
            frame=frame,
            goes_on=lambda: not connection.stopped,
        )
        if not connection.stopped:
            yield from self._end(timeline, lost)

    def _combined(self) -> Iterator[_Piece]:
        """Yield every good picture with what was lost right before it; the last piece has no picture."""
        lost: Lost | None = None
        try:
            for item in self._connection.items():
                if isinstance(item, Damage):
                    lost = Lost("decode error", item.reason or "no key frame yet").after(lost)
                else:
                    yield lost, item
                    lost = None
        except SourceError as error:
            self._broken = error
        yield lost, None

    def _end(self, timeline: Timeline, lost: Lost | None) -> Iterator[Gap]:
        name = self._connection.name
        if timeline.last_s is None:
            raise SourceError(f"{name}: no picture has a usable time stamp; download and convert it")
        end_s = self._declared_end_s()
        step_s = timeline.end_s - timeline.last_s
        tolerance_s = max(_END_TOLERANCE_S, _END_TOLERANCE_PICTURES * step_s)
        is_short = self._broken is not None
        if end_s is not None:
            is_any_track = self._facts.ends_with_last_track or self._facts.format in PLAYLISTS
            read_end_s = self._connection.any_end_s if is_any_track else self._connection.read_end_s
            is_short = is_short or read_end_s < end_s - tolerance_s
        elif self._facts.format not in PLAYLISTS and self._size_bytes > 0:
            unread = self._size_bytes - self._connection.read_end_bytes
            is_short = is_short or unread > _END_TOLERANCE_SHARE * self._size_bytes + 65536
        if not is_short:
            if lost is not None:
                missing_s = timeline.missing_until(self._connection.read_end_s)
                yield Gap(lost.cause, timeline.last_s, missing_s, lost.detail)
            return
        ends = f"ends at {timeline.end_s:.1f} s"
        lacking_s: float | None = None
        if end_s is not None:
            ends += f" of {timeline.media_s(end_s):.1f} s declared"
            lacking_s = timeline.missing_until(end_s)
        yield Gap("truncated", timeline.last_s, lacking_s, ends)
        raise SourceError(
            f"{name}: {ends}: the server broke off; what was read before counts", Reason.CLOSED
        ) from self._broken

    def _declared_end_s(self) -> float | None:
        if self._facts.declared_end_s is not None:
            return self._facts.declared_end_s
        if self._facts.format in PLAYLISTS and self._facts.duration_s is not None:
            return (self._facts.start_s or 0.0) + self._facts.duration_s
        return None

    def _stamp_s(self, shot: Shot) -> float | None:
        ticks = _ticks(shot)
        return None if ticks is None else ticks * self._connection.tick_s

    def _check_size(self, size: tuple[int, int], at_s: float) -> None:
        if size != self._stored:
            raise SourceError(
                f"{self._connection.name}: pictures change from {self._stored[0]} x {self._stored[1]} to "
                f"{size[0]} x {size[1]} pixels at {at_s:.1f} s",
                Reason.CHANGED,
            )


def _ticks(shot: Shot) -> int | None:
    return shot.frame.dts if shot.frame.pts is None else shot.frame.pts

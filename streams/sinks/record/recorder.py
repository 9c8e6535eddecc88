"""Writes the packets of one stream into segments."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import SinkError
from pipeline.moment import iso_utc
from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.copier import Copier
from streams.sinks.copying.leaps import Leaps
from streams.sinks.copying.parameters import with_parameters
from streams.sinks.copying.target import FileTarget, Target
from streams.sinks.record.archive import Archive
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.probe import COMMENT, UNREADABLE, count, mend
from streams.sinks.record.segment import Segment, State

_NOTED_EVERY_S = 5.0
"""Seconds of media between two entries of a growing segment in the index."""
_MUXERS = {"mp4": "mp4", "mkv": "matroska"}
_IN_MP4 = {"h264", "hevc", "av1", "vp9", "mjpeg", "mpeg4", "mpeg2video", "mpeg1video"}


@dataclass(slots=True)
class _Current:
    """The segment that grows."""

    segment: Segment
    target: Target
    copier: Copier
    synced_s: float
    noted_s: float
    last_s: float | None = None
    """Media time of the last packet."""
    seen_size: int = 0
    """Bytes that the target had at the last look: more means that a fragment has ended."""


class Recorder:
    """One connection's packets, cut at key frames. Used by one thread.

    Attributes:
        lost: packets that did not come here.
        until_s: media time at which the last segment that was ended is over; None before the first.

    Args:
        form: of the packets.
        options: of the sink.
        archive: where segments go.
        make: makes a segment's file; another one may encrypt.
        suffix: what such a file's name ends with, after that of the container; such files are not checked.
        damaged: is told of a finished segment that does not have what was written.

    Raises:
        OSError, av.FFmpegError: from all methods, when the disk does not take what is written.
        SinkError: likewise, when there is no room, or the index fails.
    """

    def __init__(
        self,
        form: PacketFormat,
        options: RecordOptions,
        archive: Archive,
        *,
        make: Callable[[Path], Target] = FileTarget,
        suffix: str = "",
        damaged: Callable[[Segment], None] = lambda _: None,
    ) -> None:
        if options.container == "mp4" and form.codec not in _IN_MP4:
            raise SinkError(
                f"stream '{form.stream}': MP4 does not hold video of the codec {form.codec}; "
                "record with `container: mkv`"
            )
        self._form = form
        self._options = options
        self._archive = archive
        self._make = make
        self._suffix = f".{options.container}{suffix}"
        self._is_plain = not suffix
        self._current: _Current | None = None
        self._leaps = Leaps(form.time_base)
        self._next_sequence: int | None = None
        self._step_s = 0.0
        self._spent_s = 0.0
        self.lost = 0
        self.until_s: float | None = None
        self._damaged = damaged

    @property
    def segment(self) -> Segment | None:
        """The segment that grows, as it is on the disk."""
        return None if self._current is None else self._current.segment

    @property
    def spent_s(self) -> float:
        """Seconds that the disk took so far."""
        return self._spent_s + (0.0 if self._current is None else self._current.target.spent_s)

    def write(self, packet: Packet) -> bool:
        """Write a packet; return whether the disk has got a fragment with it."""
        lost = 0 if self._next_sequence is None else packet.sequence - self._next_sequence
        self._next_sequence = packet.sequence + 1
        self.lost += lost
        current = self._current
        if current is None or (packet.is_key and self._is_due(current.segment, packet)):
            self.close()
            current = self._current = self._begin(packet)
            lost = 0
        if lost > 0:
            current.segment = replace(
                current.segment, gaps=current.segment.gaps + 1, lost=current.segment.lost + lost
            )
        try:
            current.copier.write(self._leaps.without(packet))
            self._count(current, packet)
            if current.target.size == current.seen_size:
                return False
            self._store(current)
        except UNREADABLE:
            self._abort(current)
            raise
        self._archive.grown(current.segment.path, current.target.size)
        return True

    def look(self) -> None:
        """Give up the file that grows if it is gone.

        Raises:
            FileNotFoundError: if it is.
        """
        if self._current is not None and not self._current.target.is_there():
            path = self._current.target.path
            self._abort(self._current)
            raise _gone(path)

    def close(self) -> Segment | None:
        """Finish the segment that grows, check it and enter it into the index; return it."""
        current, self._current = self._current, None
        if current is None:
            return None
        self._spent_s += current.target.spent_s
        try:
            current.copier.close()
            if self._options.sync_s is not None:
                current.target.sync()
        except UNREADABLE:
            self._end(current, State.CUT)
            raise
        return self._end(current, State.WHOLE)

    def _abort(self, current: _Current) -> None:
        """Leave the segment as the disk has it."""
        self._current = None
        self._spent_s += current.target.spent_s
        with suppress(*UNREADABLE):
            current.copier.close()  # the target takes nothing any more
        with suppress(*UNREADABLE, SinkError):
            self._end(current, State.CUT)

    def _end(self, current: _Current, state: State) -> Segment:
        is_there = current.target.is_there()
        with suppress(*UNREADABLE):
            current.target.close()
        segment = replace(
            current.segment, size=current.target.size, stored_ns=self._archive.now_ns(), state=state
        )
        if not is_there:
            self._archive.forget(segment.path)
            return segment
        if not segment.size:  # the disk has taken nothing of it
            with suppress(OSError):
                (self._archive.root / segment.path).unlink()
            self._archive.forget(segment.path)
            return segment
        if self._is_plain and state is State.CUT:
            with suppress(OSError):
                mend(self._archive.root / segment.path)
        if self._is_plain and (state is State.CUT or not self._is_as_written(segment)):
            segment = self._as_found(segment)
        self.until_s = segment.end_s
        if segment.state is State.DAMAGED:
            self._damaged(segment)
        self._archive.end(segment)
        return segment

    def _is_as_written(self, segment: Segment) -> bool:
        path = self._archive.root / segment.path
        try:
            found = count(path)
            size = path.stat().st_size
        except UNREADABLE:
            return False
        return (found.packets, size) == (segment.packets, segment.size) and found.size == size

    def _as_found(self, segment: Segment) -> Segment:
        """Return the segment as the disk has it, after writing has failed."""
        path = self._archive.root / segment.path
        try:
            found = count(path)
            size = path.stat().st_size
        except UNREADABLE:
            return replace(segment, state=State.DAMAGED, packets=0, keys=0)
        state = State.CUT if segment.state is State.CUT and found.packets else State.DAMAGED
        end_ns = segment.start_ns + round(found.seconds * 1e9)
        return replace(
            segment,
            state=state,
            packets=found.packets,
            keys=found.keys,
            size=size,
            end_ns=end_ns,
            end_s=segment.start_s + found.seconds,
        )

    def _is_due(self, segment: Segment, key: Packet) -> bool:
        each_ns = self._options.segment_s * 1_000_000_000
        is_next = key.moment.time_ns // each_ns != segment.start_ns // each_ns
        return is_next or key.moment.pts_s < segment.start_s

    def _begin(self, packet: Packet) -> _Current:
        form, moment = self._form, packet.moment
        self._archive.make_room()
        path, target = self._archive.begin(form.stream, moment.time_ns, self._suffix, self._make)
        segment = Segment(
            path,
            form.stream,
            moment.time_ns,
            moment.time_ns,
            self._archive.now_ns(),
            codec=form.codec,
            width=form.width,
            height=form.height,
            run=form.run,
            start_s=moment.pts_s,
            end_s=moment.pts_s,
            clock=str(moment.clock),
        )
        try:
            copier = Copier(
                target,
                with_parameters(form, packet) if self._options.container == "mkv" else form,
                container=_MUXERS[self._options.container],
                options=self._muxer_options(),
                metadata=_metadata(segment),
            )
        except BaseException:
            self._archive.abandon(path)
            with suppress(*UNREADABLE):
                target.close()
            with suppress(OSError):  # it is tried again for ever, and each time would leave one
                target.path.unlink()
            raise
        self._archive.note(segment)
        return _Current(segment, target, copier, synced_s=moment.pts_s, noted_s=moment.pts_s)

    def _muxer_options(self) -> Mapping[str, str]:
        if self._options.container == "mkv":
            return {"flush_packets": "1", "cluster_time_limit": str(round(self._options.fragment_s * 1000))}
        # `delay_moov` takes parameter sets from the first picture where the source has not told them.
        return {
            "movflags": "frag_keyframe+delay_moov+default_base_moof",
            "frag_duration": str(round(self._options.fragment_s * 1e6)),
            "flush_packets": "1",
        }

    def _count(self, current: _Current, packet: Packet) -> None:
        begin_s = packet.moment.pts_s
        if packet.duration:
            self._step_s = float(packet.duration * self._form.time_base)
        elif current.last_s is not None:
            self._step_s = min(abs(begin_s - current.last_s), 1.0)
        current.last_s = begin_s
        segment = current.segment
        end_s = max(segment.end_s, begin_s + self._step_s)
        current.segment = replace(
            segment,
            packets=segment.packets + 1,
            keys=segment.keys + packet.is_key,
            end_s=end_s,
            # By media time: the clock of this box may be set in the midst, by hours.
            end_ns=segment.start_ns + round((end_s - segment.start_s) * 1e9),
        )

    def _store(self, current: _Current) -> None:
        """Do what is due when a fragment has ended."""
        target, segment = current.target, current.segment
        current.seen_size = target.size
        if not target.is_there():
            raise _gone(target.path)
        now_s = segment.end_s
        if self._options.sync_s is not None and now_s - current.synced_s >= self._options.sync_s:
            target.sync()
            current.synced_s = now_s
        if now_s - current.noted_s >= _NOTED_EVERY_S:
            current.noted_s = now_s
            self._archive.note(replace(segment, size=target.size, stored_ns=self._archive.now_ns()))


def _gone(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "the file is no longer there", str(path))


def _metadata(segment: Segment) -> dict[str, str]:
    said = {
        "stream": segment.stream,
        "run": segment.run,
        "time_ns": segment.start_ns,
        "pts_s": segment.start_s,
        "clock": segment.clock,
    }
    return {
        "title": segment.stream,
        "creation_time": iso_utc(segment.start_ns),
        COMMENT: json.dumps(said),
    }

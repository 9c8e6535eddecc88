"""Sink `record`: what cameras sent, copied into files without decoding."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import av

from pipeline.errors import SinkError
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import SinkContext
from streams.sinks.record.alarm import Alarm
from streams.sinks.record.archive import Archive
from streams.sinks.record.chores import Chores
from streams.sinks.record.disk import Trouble, advice_for, trouble_of
from streams.sinks.record.index import FILE
from streams.sinks.record.keep import LEAST_FREE_BYTES, Keep, NoRoom
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.recorder import Recorder
from streams.sinks.record.segment import Segment
from streams.sinks.sealed.files import SUFFIX, create

_QUIET_S = 10.0
"""Media without a loss, after which an alarm about losses is over."""
_LEAVE_S = 2.0
"""How long the end of a run waits for a disk."""
_MOSTLY = 0.5
"""Share of the time that the disk takes, above which it is the one that is too slow."""


@dataclass(slots=True)
class _Stream:
    """What is known of a stream over its connections."""

    alarm: Alarm
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while the recorder is used: at the end another thread than the stream's may want to close it."""
    recorder: Recorder | None = None
    failed: bool = False
    until_s: float | None = None
    """Media time up to which it was stored when recording failed."""
    busy_since_s: float | None = None
    lost_s: float = 0.0
    """Media time of the last loss."""
    seen_lost: int = 0
    mark: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), 0.0))
    """When, and what the disk had taken then: to tell a slow disk from a busy box."""


class RecordSink(PacketSink):
    """Writes packets into files that play to the last fragment, whatever happens; keeps the newest.

    A failure is told as an event `recording.alarm`, which begins with the reason and ends with what is
    missing. The engine tries again for ever, so that recording goes on once the disk does.
    """

    Options = RecordOptions
    emits: ClassVar[Mapping[str, str]] = {
        "recording.alarm": "recording of a stream, or the index, does not work; and when that ends",
        "recording.damaged": "a finished file has not what was written",
        "recording.reconciled": "index and disk differed",
    }
    options: RecordOptions

    def __init__(self, options: RecordOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        root = context.folder / options.folder
        free_bytes = max(int(options.free_gb * 1e9), LEAST_FREE_BYTES)
        keep = Keep(options.keep_days, int(options.keep_gb * 1e9), free_bytes)
        index = None if options.index is None else context.folder / options.index
        self._archive = Archive(root, keep, index=index, make=not Path(options.folder).is_absolute())
        self._public_keys = options.public_keys()
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._chores = Chores(self._archive, context.tell, self._busy, lambda name: self._of(name).alarm)
        self._started = False

    @classmethod
    def files(cls, options: RecordOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the index, which two sinks cannot share."""
        return [str(options.index or Path(options.folder, FILE))]

    def open_packets(self, form: PacketFormat) -> None:
        """Make ready; the first file is made for the first packet."""
        stream = self._of(form.stream)
        with self._explained(stream):
            self._archive.open()
            self._archive.make_room()
            stream.recorder = Recorder(
                form,
                self.options,
                self._archive,
                make=lambda path: create(path, self._public_keys),
                suffix=SUFFIX if self._public_keys else "",
                damaged=self._say_damaged,
            )
        stream.seen_lost = 0
        with self._lock:
            if not self._started:
                self._started = True
                self._chores.start()

    def on_packet(self, packet: Packet) -> None:
        """Write it."""
        stream = self._of(packet.stream)
        recorder = stream.recorder
        if recorder is None:
            raise SinkError(f"stream '{packet.stream}': a packet came before its format")
        with stream.lock, self._explained(stream):
            is_stored = recorder.write(packet)
        if recorder.lost != stream.seen_lost:
            self._lost(stream, recorder, packet)
        if is_stored:
            self._stored(stream, recorder, packet)

    def on_idle(self, stream: str) -> None:
        """Notice that the file is gone also while nothing is written."""
        known = self._of(stream)
        if known.recorder is not None:
            with known.lock, self._explained(known):
                known.recorder.look()

    def close_packets(self, stream: str) -> None:
        """Finish the file."""
        self._close(self._of(stream))

    def close(self) -> None:
        """Finish what is still open."""
        self._chores.stop()
        for stream in list(self._streams.values()):
            with suppress(SinkError):  # the alarm has told
                self._close(stream, _LEAVE_S)
        self._archive.let_go(_LEAVE_S)

    def _close(self, stream: _Stream, wait_s: float = -1) -> None:
        if not stream.lock.acquire(timeout=wait_s):
            return  # its thread waits for a disk that does not answer
        try:
            recorder, stream.recorder = stream.recorder, None
            if recorder is None:
                return
            try:
                with self._explained(stream):
                    recorder.close()
            finally:
                stream.until_s = recorder.until_s if recorder.until_s is not None else stream.until_s
        finally:
            stream.lock.release()

    def _of(self, stream: str) -> _Stream:
        with self._lock:
            known = self._streams.get(stream)
            if known is None:
                alarm = Alarm(stream, self.context.tell, self._archive.now_ns)
                known = self._streams[stream] = _Stream(alarm)
            return known

    def _busy(self) -> dict[str, float | None]:
        with self._lock:
            return {name: stream.busy_since_s for name, stream in self._streams.items()}

    @contextmanager
    def _explained(self, stream: _Stream) -> Iterator[None]:
        """Turn what a disk raises into one line, and begin the alarm."""
        stream.busy_since_s = time.monotonic()
        try:
            yield
        except NoRoom as error:
            self._fail(stream, Trouble.FULL, str(error))
            raise
        except SinkError as error:
            self._fail(stream, Trouble.FAILED, str(error))
            raise
        except (OSError, av.FFmpegError) as error:
            trouble = trouble_of(error)
            root = self._archive.root
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # a quota is not seen before it bites
                self._archive.give_way()
            line = f"{root}: {trouble.value} ({error.strerror or error}); {advice_for(trouble)}"
            self._fail(stream, trouble, line)
            raise SinkError(line) from error
        finally:
            stream.busy_since_s = None

    def _fail(self, stream: _Stream, trouble: Trouble, line: str) -> None:
        stream.failed = True
        if trouble is not Trouble.FULL:
            self._archive.let_go()  # another disk may come, with another index
        stream.alarm.begin(trouble, line)

    def _lost(self, stream: _Stream, recorder: Recorder, packet: Packet) -> None:
        """Say whose fault it is that packets did not come here."""
        number = recorder.lost - stream.seen_lost
        stream.seen_lost = recorder.lost
        stream.lost_s = packet.moment.pts_s
        begun_s, spent_s = stream.mark
        waited_s = time.monotonic() - begun_s
        is_slow = recorder.spent_s - spent_s > waited_s * _MOSTLY
        trouble = Trouble.SLOW if is_slow else Trouble.BEHIND
        stream.alarm.begin(
            trouble, f"{number} packets were lost before they could be stored; {advice_for(trouble)}", number
        )

    def _stored(self, stream: _Stream, recorder: Recorder, packet: Packet) -> None:
        """Note that the disk has a fragment more."""
        if stream.failed:
            stream.failed = False
            segment = recorder.segment
            lost_s = None
            if stream.until_s is not None and segment is not None:
                lost_s = max(0.0, segment.start_s - stream.until_s)
            stream.alarm.end(lost_s)
        elif packet.moment.pts_s - stream.lost_s >= _QUIET_S:
            stream.alarm.end()
        now_s = time.monotonic()
        if now_s - stream.mark[0] >= _QUIET_S:
            stream.mark = now_s, recorder.spent_s

    def _say_damaged(self, segment: Segment) -> None:
        self.context.tell(
            segment.stream,
            "recording.damaged",
            {"path": segment.path, "packets": segment.packets, "bytes": segment.size},
        )

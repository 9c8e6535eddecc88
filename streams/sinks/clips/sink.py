"""Sink `clips`: a file for each event, with what was before and after it, copied out of the stream."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

from pipeline.errors import SinkError, SourceError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import iso_utc
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import Input, SinkContext
from streams.sinks.clips.clip import PART, Clip, Saved, name_of, told_of, write_note
from streams.sinks.clips.options import ClipsOptions
from streams.sinks.clips.shelf import Shelf
from streams.sinks.clips.track import FAILURES, Track
from streams.sinks.clips.windows import Request, Window
from streams.sinks.copying.reason import cause_of, reason_of
from streams.sinks.cut.film import packets_between
from streams.sinks.record.disk import Trouble, advice_for, trouble_of
from streams.sinks.record.index import FILE
from streams.sinks.record.reading import Recordings, open_recordings

logger = logging.getLogger(__name__)

SAVED, FAILED = "clip.saved", "clip.failed"
_PATIENCE_S = 3.0
"""How long the end of a recording waits for an analytics that stands still; its stream's end is the last."""
_LOOK_S = 0.02
_LEAST_FREE_BYTES = 300_000
"""So much stays free at least: what is written between two looks at the disk must fit."""
_END_S = 5.0


class ClipsSink(PacketSink):
    """Keeps `clips/STREAM/DAY/STREAM_TIME_KIND_ID.mp4`, and tells of each by an event `clip.saved`.

    A clip begins with the key frame before its pre-roll, out of packets in memory, or of what the sink
    `record` has where an event is known too late for those. Events whose clips would overlap share one. It
    ends with its connection if that ends first. A disk that does not take it never disturbs analytics: it
    is begun anew as long as its packets are in memory, and then given up, which `clip.failed` tells.
    """

    Options = ClipsOptions
    emits: ClassVar[Mapping[str, str]] = {
        SAVED: "a clip of events is on the disk",
        FAILED: "a clip could not be kept",
    }
    options: ClipsOptions

    def __init__(
        self, options: ClipsOptions, context: SinkContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(options, context)
        self._clock = clock
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}
        self._work: dict[str, threading.Lock] = {}
        self._live: dict[str, bool] = {}
        self._public_keys = options.public_keys()
        self._root = context.folder / options.folder
        self._writing: dict[str, Clip] = {}
        self._has_looked = False
        self._shelf = Shelf(
            self._root,
            keep_days=options.keep_days,
            most_bytes=int(options.keep_gb * 1e9),
            free_bytes=max(int(options.free_gb * 1e9), _LEAST_FREE_BYTES),
        )

    @classmethod
    def asked_kinds(cls, options: ClipsOptions) -> Mapping[tuple[str, ...], Sequence[str]]:
        """Return the patterns of its option `kinds`."""
        return {("kinds",): options.kinds}

    @classmethod
    def files(cls, options: ClipsOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return the folder, which two sinks cannot share: each keeps to its own bounds."""
        return [options.folder]

    @classmethod
    def inputs(cls, options: ClipsOptions) -> frozenset[Input]:  # noqa: ARG003
        """Return events and packets: frames only tell sooner that all events of a clip are known."""
        return frozenset({"events", "packets"})

    def held(self) -> Collection[UUID]:
        """Return the ids of events whose clips are neither finished nor given up."""
        with self._lock:
            tracks = list(self._tracks.values())
        return frozenset(event_id for track in tracks for event_id in track.asked())

    def open_packets(self, form: PacketFormat) -> None:
        """Hold packets of this format."""
        self._tell_interrupted()
        self._live[form.stream] = form.live
        with self._work_of(form.stream):
            self._track(form.stream).begin(form)

    def on_packet(self, packet: Packet) -> None:
        """Hold a packet, and write it where a clip is wanted."""
        if packet.stream in self.options.film:
            return  # another stream shows its events
        with self._work_of(packet.stream):
            self._track(packet.stream).add(packet)

    def on_idle(self, stream: str) -> None:
        """Finish what is due while no packets come."""
        with self._work_of(stream):
            self._track(stream).advance()

    def close_packets(self, stream: str) -> None:
        """Take note that the connection is over; of a recording, finish the clips once all is known."""
        track = self._track(stream)
        with self._work_of(stream):
            track.over()
        if not self._live.get(stream, True):
            self._wait_for_events(track)
            with self._work_of(stream):
                track.advance()

    def on_event(self, event: Event) -> None:
        """Ask for a clip of it, if it is wanted."""
        if event.kind == "source.state" and event.data.get("state") == "lost":
            self._track(event.stream).gone(event.run)
        if not self.options.wants(event):
            return
        shown = self.options.shows(event.stream)
        is_own = shown == event.stream
        moment = event.moment
        request = Request(
            event.run if is_own else "",
            event.id,
            event.kind,
            event.stream,
            moment.pts_s if is_own else None,
            moment.time_ns,
        )
        if not self._track(shown).wish(request):
            logger.error("stream '%s': too many events at once; no clip of %s", shown, event.id)

    def on_frame(self, frame: Frame) -> None:
        """Take note that all events up to it are known."""
        shown = self.options.shows(frame.stream)
        pts_s = frame.moment.pts_s if shown == frame.stream else None
        self._track(shown).saw(pts_s, frame.moment.time_ns)

    def close_stream(self, stream: str) -> None:
        """Finish the clips of a stream whose packets have ended."""
        shown = self.options.shows(stream)
        lock = self._work_of(shown)
        if not lock.acquire(timeout=_END_S):  # its disk hangs
            raise SinkError(f"a clip of stream '{shown}' could not be finished: the disk does not answer")
        try:
            self._track(shown).advance(final=True)
        finally:
            lock.release()

    def close(self) -> None:
        """Finish everything."""
        for stream in sorted(self._tracks):
            self.close_stream(stream)

    # What the tracks ask for, see `track.Desk`.

    def begin(self, form: PacketFormat, window: Window, part: str = PART) -> Clip:
        """Make room and begin a file."""
        self.check_room()
        name = name_of(form, window.first, sealed=bool(self._public_keys))
        clip = Clip(self._root, form, window, self._public_keys, name, part)
        with self._lock:
            self._writing[clip.path] = clip
        return clip

    def check_room(self) -> None:
        """Make room for what is being written."""
        self._shelf.open()
        with self._lock:
            self._writing = {path: clip for path, clip in self._writing.items() if not clip.is_closed}
            coming = sum(clip.size for clip in self._writing.values())
        self._shelf.make_room(coming)

    def finish(self, window: Window, clip: Clip, missing_s: float, lost: int) -> str:
        """Finish a clip and tell of it."""
        self._shelf.leaving(clip.path)  # of an earlier run of the same recording
        saved = clip.finish(fsync=self.options.fsync)
        self._put(window, clip.stream, saved, missing_s, lost)
        return saved.path

    def failed(self, window: Window, reason: str) -> None:
        """Tell that a clip could not be kept."""
        logger.error("no clip of %s of stream '%s': %s", window.first.kind, window.first.stream, reason)
        data = {**told_of(window, window.first.stream), "reason": reason}
        self.context.tell(window.first.stream, FAILED, data)

    def explained(self, error: Exception) -> str:
        """Return a failure in words."""
        if isinstance(error, SinkError):
            return str(error)
        cause = cause_of(error)
        trouble = trouble_of(cause) if isinstance(cause, OSError) else Trouble.BROKEN
        return f"{self._root}: {trouble} ({reason_of(error)}); {advice_for(trouble)}"

    def recorded(self, stream: str, window: Window, reach_s: float | None) -> tuple[Clip, int] | None:
        """Write a clip of what was recorded, if that reaches back further than memory."""
        folder = self.context.folder / self.options.recordings
        index = self.context.folder / (self.options.recordings_index or folder / FILE)
        if not index.is_file():
            return None  # to look into all files would take too long here
        first = window.first
        ago_s, ahead_s = first.offsets_s(window)
        from_ns, to_ns = first.time_ns - round(ago_s * 1e9), first.time_ns + round(ahead_s * 1e9)
        clip: Clip | None = None
        try:
            with _opened(folder, index) as found:
                segments = [(found.path_of(segment), segment) for segment in found.of(stream, from_ns, to_ns)]
                for form, packet in packets_between(segments, from_ns, to_ns):
                    if clip is None:
                        if reach_s is not None and packet.moment.pts_s >= reach_s:
                            return None
                        clip = self.begin(form, window, part=".recorded" + PART)
                    clip.write(packet)
        except SourceError as error:
            logger.debug("no recordings for a clip of stream '%s': %s", stream, error)
            if clip is not None:
                clip.abandon()
            return None
        return None if clip is None else (clip, sum(segment.lost for _, segment in segments))

    def kept(self, request: Request) -> str | None:
        """Return the clip that an earlier process made of an event, as far as it is known."""
        if not self._has_looked:
            self._tell_interrupted()
        return self._shelf.made.get(str(request.event_id))

    def shows_too(self, path: str, window: Window) -> None:
        """Tell that a finished clip shows another event."""
        stream = window.first.stream
        data = {**told_of(window, stream), "path": f"{self.options.folder}/{path}", "shared": True}
        self.context.tell(stream, SAVED, data, {"clip": {"stream": stream, "path": data["path"]}})

    def _put(self, window: Window, stream: str, saved: Saved, missing_s: float, lost: int) -> None:
        """Count a finished clip, note and tell what it shows."""
        with self._lock:
            self._writing.pop(saved.path, None)
        self._shelf.added(saved.path)
        with suppress(*FAILURES):  # the next clip is told
            self._shelf.make_room(spared=saved.path)
        place = {
            "stream": stream,
            "from_s": round(saved.start.pts_s, 6),
            "to_s": round(saved.end.pts_s, 6),
            "from": iso_utc(saved.start.time_ns),
            "to": iso_utc(saved.end.time_ns),
            "path": f"{self.options.folder}/{saved.path}",
        }
        data: dict[str, Any] = {
            **told_of(window, stream),
            **place,
            "bytes": saved.size,
            "pictures": saved.packets,
            "missing_s": round(missing_s, 3),
            "lost_pictures": lost,
            "sealed": bool(self._public_keys),
            "sound": saved.is_sound,
        }
        write_note(self._root / saved.path, data)
        if not saved.is_sound:
            logger.error("the clip %s does not have all that was written; is the disk failing?", saved.path)
        self.context.tell(window.first.stream, SAVED, data, {"clip": place})

    def _tell_interrupted(self) -> None:
        """Tell of clips that a crash interrupted; they end where it happened."""
        self._has_looked = True
        try:
            found = self._shelf.open()
        except FAILURES as error:
            logger.warning("clips cannot be kept for now: %s", self.explained(error))
            return
        for note in found:
            path = f"{self.options.folder}/{note['path']}"
            stream = str(note.get("stream", ""))
            logger.warning("the clip %s was interrupted; it ends there", path)
            data = {**note, "path": path, "interrupted": True}
            self.context.tell(stream, SAVED, data, {"clip": {"stream": stream, "path": path}})

    def _wait_for_events(self, track: Track) -> None:
        """Wait until the frames of the last packets are through; give up when they come no further."""
        ends_s, seen_s = self._clock() + _PATIENCE_S, track.seen_s
        newest_s = track.newest_s
        while newest_s is not None and track.seen_s < newest_s - _LOOK_S and self._clock() < ends_s:
            time.sleep(_LOOK_S)
            if track.seen_s != seen_s:
                ends_s, seen_s = self._clock() + _PATIENCE_S, track.seen_s

    def _track(self, stream: str) -> Track:
        with self._lock:
            track = self._tracks.get(stream)
            if track is None:
                options = self.options
                track = self._tracks[stream] = Track(
                    stream,
                    options.rule,
                    keep_s=options.pre_s + options.lag_s,
                    ring_bytes=int(options.ring_mb * 1e6),
                    desk=self,
                    clock=self._clock,
                )
                self._work[stream] = threading.Lock()
            return track

    def _work_of(self, stream: str) -> threading.Lock:
        self._track(stream)
        return self._work[stream]


@contextmanager
def _opened(folder: Path, index: Path) -> Iterator[Recordings]:
    """Open recordings. Raises SourceError if there are none."""
    found = open_recordings(folder, index)
    try:
        yield found
    finally:
        found.close()

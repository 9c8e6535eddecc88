"""One clip while it is written: a file, and beside it what it shows, as JSON."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from pipeline.moment import Moment, iso_utc
from pipeline.packet import Packet, PacketFormat
from streams.sinks.clips.windows import Request, Window
from streams.sinks.copying.copier import Copier
from streams.sinks.copying.leaps import Leaps
from streams.sinks.copying.target import Target, sync_folder
from streams.sinks.record.probe import COMMENT
from streams.sinks.record.segment import path_of
from streams.sinks.sealed.files import SUFFIX, create

PART, NOTE = ".part", ".json"
"""Suffixes of a clip that is being written, and of what is known of it."""
_FORMAT = 1
_LONGEST_WORD = 40
_NOTE_EVERY_S = 1.0
_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")
# Fragments until it is finished, so that all but the last is there if it never is; then an ordinary file,
# which needs the head to be written again. What is sealed cannot be, and stays fragmented.
_FLAGS = "frag_keyframe+default_base_moof+delay_moov"
_PLAIN = {"movflags": f"{_FLAGS}+hybrid_fragmented"}
_SEALED = {"movflags": _FLAGS}
_COMMON = {"frag_duration": "1000000", "flush_packets": "1"}
_MATROSKA = {"cluster_time_limit": "1000", "flush_packets": "1"}
_IN_MP4 = {"h264", "hevc", "av1", "mpeg4", "mjpeg"}
"""Codecs whose files play; others go into Matroska."""


def word_of(text: str) -> str:
    """Return what is left of a text in the name of a file: letters, digits, `.` and `-`."""
    return _UNFIT.sub("-", text).strip(".-")[:_LONGEST_WORD] or "x"


def name_of(form: PacketFormat, request: Request, *, sealed: bool) -> str:
    """Return `STREAM/DAY/STREAM_TIME_KIND_ID.mp4`, by the event that asked first."""
    suffix = f".{'mp4' if form.codec in _IN_MP4 else 'mkv'}{SUFFIX if sealed else ''}"
    return path_of(
        word_of(form.stream), request.time_ns, f"_{word_of(request.kind)}_{request.event_id}{suffix}"
    )


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished clip.

    Attributes:
        path: relative to the folder of clips, with `/`.
        size: bytes.
        packets: pictures.
        start: of the first picture.
        end: of the last picture.
        is_sound: whether it has all that was written, as far as that can be looked up.
    """

    path: str
    size: int
    packets: int
    start: Moment
    end: Moment
    is_sound: bool


class Clip:
    """Writes a clip. Used by one thread.

    Args:
        root: folder of the clips.
        form: of the packets.
        window: what it is to show.
        public_keys: of those who may read it; none for all.
        name: of the file, relative to `root`.
        part: what comes after that name until it is finished.

    Raises:
        OSError: as every method does when the disk does not take it.
        SinkError: if the codec cannot be copied.

    Attributes:
        path: relative to the folder of clips.
        packets: written so far.
        start: of the first of them, None before.
        end: of the last.
    """

    def __init__(
        self,
        root: Path,
        form: PacketFormat,
        window: Window,
        public_keys: Sequence[bytes],
        name: str,
        part: str = PART,
    ) -> None:
        self.path = name
        self.packets = 0
        self.start: Moment | None = None
        self.end: Moment | None = None
        self._final = root / name
        self._part = self._final.with_name(self._final.name + part)
        self._form = form
        self._leaps = Leaps(form.time_base)
        self._sealed = bool(public_keys)
        self._noted = 0
        self._note_due_s = float("-inf")
        self._final.parent.mkdir(parents=True, exist_ok=True)
        self._part.unlink(missing_ok=True)
        self._target: Target = create(self._part, public_keys)
        self._copier: Copier | None = None
        try:
            said = {"stream": form.stream, "kind": window.first.kind, "event": str(window.first.event_id)}
            is_mp4 = form.codec in _IN_MP4
            self._copier = Copier(
                self._target,
                form,
                container="mp4" if is_mp4 else "matroska",
                options={**_COMMON, **(_SEALED if public_keys else _PLAIN)} if is_mp4 else _MATROSKA,
                metadata={"title": f"{form.stream} {window.first.kind}", COMMENT: json.dumps(said)},
            )
            self.note(window)
        except BaseException:
            self.abandon()
            raise

    @property
    def stream(self) -> str:
        """Whose packets they are."""
        return self._form.stream

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._target.size

    @property
    def is_closed(self) -> bool:
        """Whether it was finished or abandoned."""
        return self._copier is None

    def write(self, packet: Packet) -> None:
        """Add a packet."""
        if self._copier is None:
            raise ValueError(f"the clip {self.path} is closed")
        self._copier.write(self._leaps.without(packet))
        self.packets += 1
        if self.start is None or packet.moment.pts_s < self.start.pts_s:
            self.start = packet.moment
        if self.end is None or packet.moment.pts_s > self.end.pts_s:
            self.end = packet.moment

    def note(self, window: Window) -> None:
        """Write down which events it shows, once a second if that has changed: what is left after a crash."""
        now_s = time.monotonic()
        if window.count != self._noted and now_s >= self._note_due_s:
            self._noted, self._note_due_s = window.count, now_s + _NOTE_EVERY_S
            write_note(
                self._final, {"format": _FORMAT, "path": self.path, **told_of(window, self._form.stream)}
            )

    def finish(self, fsync: bool) -> Saved:
        """Finish the file and give it its name.

        Raises:
            OSError: if the disk does not take its end.
        """
        copier, self._copier = self._copier, None
        if copier is None or self.start is None or self.end is None:
            raise ValueError(f"the clip {self.path} is closed, or has no picture")
        copier.close()
        if fsync:
            self._target.sync()
        self._target.close()
        is_sound = self._sealed or _packets_in(self._part) == self.packets
        os.replace(self._part, self._final)  # noqa: PTH105 - Path.replace is the same, but this says "atomic"
        if fsync:
            sync_folder(self._final.parent)
        size = self._final.stat().st_size
        return Saved(self.path, size, self.packets, self.start, self.end, is_sound)

    def abandon(self) -> None:
        """Close and remove it; does not raise."""
        copier, self._copier = self._copier, None
        for close in (None if copier is None else copier.close, self._target.close):
            with suppress(OSError, av.FFmpegError):
                if close:
                    close()
        for path in (self._part, note_path(self._final)):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def told_of(window: Window, stream: str) -> dict[str, Any]:
    """Return the particulars of a clip that follow from its events, plain JSON values."""
    return {
        "stream": stream,
        "events": [str(request.event_id) for request in window.requests],
        "kinds": sorted({request.kind for request in window.requests}),
        "count": window.count,
        "event_time": iso_utc(window.first.time_ns),
    }


def note_path(clip: Path) -> Path:
    """Return the path of the JSON beside a clip."""
    return clip.with_name(clip.name + NOTE)


def write_note(clip: Path, values: Mapping[str, Any]) -> None:
    """Write the JSON beside a clip, whole or not at all. Raises OSError."""
    path = note_path(clip)
    part = path.with_name(path.name + PART)
    part.write_text(json.dumps(values, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)  # noqa: PTH105 - as above


def read_note(clip: Path) -> dict[str, Any]:
    """Return what is known of a clip; nothing where that is missing or damaged."""
    try:
        found = json.loads(note_path(clip).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _packets_in(path: Path) -> int:
    with av.open(str(path), "r") as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)

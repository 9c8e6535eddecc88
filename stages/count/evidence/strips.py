"""Audit strips: slits laid side by side, closed and encoded every half minute or so."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.moment import Moment, iso_utc
from pipeline.picture import Picture, U8Array
from stages.count.evidence.shelf import hour_of
from stages.count.evidence.slit import F32Array, SlitReader, to_bgr
from stages.count.place import LinePlace

FORMAT = 1
MAX_SLITS = 384
MAX_S = 60.0
_HOUR_NS = 3_600_000_000_000


class StripFile(NamedTuple):
    """A file of a closed strip: the hour it belongs to, its name there, its content."""

    hour: str
    name: str
    content: bytes


@dataclass(slots=True)
class _Open:
    """The strips that are being made.

    Attributes:
        filled: slits that are laid down; the rest show what the last of them shows.
    """

    run: str
    matrix: F32Array | None
    first: Moment
    filled: int = 1
    times_ms: list[int] = field(default_factory=list)
    suspended: list[list[Any]] = field(default_factory=list)
    last: Moment | None = None


class Strips:
    """Collects the slits of all lines of a stream.

    Args:
        places: by name, at least one.
        reader: of their slits.
        hz: most slits a second.
        quality: of the JPEG files.
    """

    def __init__(
        self, places: Mapping[str, LinePlace], reader: SlitReader, *, hz: float, quality: int
    ) -> None:
        self._places = places
        self._reader = reader
        self._step_s = 1 / hz
        self._quality = quality
        self._slits: U8Array = np.zeros((len(reader), MAX_SLITS, reader.across, 3), np.uint8)
        self._open: _Open | None = None
        self._still = False  # whether all pictures since the last slit show what that shows
        self._crossings: dict[str, list[dict[str, Any]]] = {name: [] for name in places}

    def note(self, event: Event) -> None:
        """Remember a counted crossing; it is written with the strip that is open now."""
        line = event.data.get("line")
        if line in self._crossings:
            self._crossings[line].append(event.to_dict())

    def add(self, frame: Frame, picture: Callable[[], Picture] | None = None) -> list[StripFile]:
        """Take a picture's slits, if it is time for them; return the files of the strips that are closed.

        Args:
            frame: the next one.
            picture: makes the picture that is looked at, when it is; None for the frame's own.
        """
        done: list[StripFile] = []
        self._still = self._still and frame.still
        now = frame.moment
        strip = self._open
        if strip is not None and strip.last is not None:
            if strip.run == frame.run and 0 <= now.pts_s - strip.last.pts_s < self._step_s * 0.99:
                return done
            if self._ends(strip, frame):
                done += self.close(frame.stream)
        done += self._take(frame, picture or (lambda: frame.picture))
        return done

    def close(self, stream: str) -> list[StripFile]:
        """End the open strips and return their files; none when nothing was collected."""
        strip, self._open = self._open, None
        if strip is None or strip.last is None:
            return []
        return list(self._files(stream, strip, strip.last))

    def _ends(self, strip: _Open, frame: Frame) -> bool:
        last, now = strip.last or strip.first, frame.moment
        return (
            len(strip.times_ms) == MAX_SLITS
            or strip.run != frame.run
            or now.pts_s < last.pts_s
            or now.pts_s - strip.first.pts_s >= MAX_S
            or now.time_ns // _HOUR_NS != strip.first.time_ns // _HOUR_NS
        )

    def _take(self, frame: Frame, picture: Callable[[], Picture]) -> list[StripFile]:
        strip, done = self._open, list[StripFile]()
        if strip is None or not self._still:
            at = 0 if strip is None else self._filled_up(strip)
            matrix = self._reader.read(picture(), self._slits[:, at])
            # The detector compares with the picture it looked at: this one, or one that this one is like.
            self._still = frame.still or frame.carried_s == 0
            if strip is not None and not _same(strip.matrix, matrix):  # other colours begin another strip
                done = self.close(frame.stream)
                self._slits[:, 0] = self._slits[:, at]
                strip = None
            if strip is None:
                strip = self._open = _Open(frame.run, matrix, frame.moment)
            else:
                strip.filled = at + 1
        strip.times_ms.append(round((frame.moment.pts_s - strip.first.pts_s) * 1000))
        strip.last = frame.moment
        self._note_suspension(strip, frame)
        return done

    def _filled_up(self, strip: _Open) -> int:
        """Lay down the slits of a scene that stood still, all at once; return how many there are."""
        slits = len(strip.times_ms)
        self._slits[:, strip.filled : slits] = self._slits[:, strip.filled - 1, None]
        strip.filled = slits
        return slits

    def _note_suspension(self, strip: _Open, frame: Frame) -> None:
        now_ms = strip.times_ms[-1]
        latest = strip.suspended[-1] if strip.suspended else None
        follows = latest is not None and len(strip.times_ms) > 1 and latest[1] == strip.times_ms[-2]
        if frame.suspended is None:
            return
        if latest is not None and follows and latest[2] == frame.suspended:
            latest[1] = now_ms
        else:
            strip.suspended.append([now_ms, now_ms, frame.suspended])

    def _files(self, stream: str, strip: _Open, last: Moment) -> Iterator[StripFile]:
        hour = hour_of(strip.first.time_ns)
        slits = self._slits[:, : self._filled_up(strip)].reshape(len(self._reader), -1, 3)
        for name, rows in self._reader.rows.items():
            stem = f"strip-{file_name(name)}-{strip.first.time_ns // 1_000_000:015d}"
            bgr = to_bgr(slits[rows], strip.matrix)
            _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
            place = self._places[name]
            crossings, self._crossings[name] = self._crossings[name], []
            document = {
                "format": FORMAT,
                "stream": stream,
                "run": strip.run,
                "line": name,
                "directions": list(place.directions),
                "gates": [[[round(x, 2), round(y, 2)] for x, y in gate] for gate in place.gates],
                "picture": f"{stem}.jpg",
                "rows": rows.stop - rows.start,
                "across": self._reader.across,
                "pts_s": round(strip.first.pts_s, 6),
                "time": iso_utc(strip.first.time_ns),
                "time_ns": strip.first.time_ns,
                "end_time_ns": last.time_ns,
                "clock": str(strip.first.clock),
                "times_ms": strip.times_ms,
                "suspended": strip.suspended,
                "crossings": crossings,
            }
            text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
            yield StripFile(hour, f"{stem}.jpg", jpeg.tobytes())
            yield StripFile(hour, f"{stem}.json", text.encode())


def file_name(name: str) -> str:
    """Return a line's name as it may stand in a file's name: never two alike, never too long."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)[:40]
    return plain if plain == name else f"{plain}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def _same(one: F32Array | None, other: F32Array | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)

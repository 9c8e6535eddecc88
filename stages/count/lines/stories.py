"""Says in a sentence why an object was or was not counted at a line, and keeps the sentences in a file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import SinkError
from stages.count.lines.crossing import Reason, Verdict

logger = logging.getLogger(__name__)

SUFFIX = ".explain.jsonl"
MOST_BYTES = 32 << 20
"""Of a stream's file; the one before it is kept as well, older ones are not."""


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What the sentences say of a line.

    Attributes:
        name: of the line.
        directions: what to the right and to the left are called.
        band_px: of its band.
        hold_s: of its hold time.
        wanted: what it counts, in words; "" when everything.
    """

    name: str
    directions: tuple[str, str]
    band_px: float
    hold_s: float
    wanted: str = ""


def sentence(line: LineFacts, verdict: Verdict) -> str:
    """Return why the object was or was not counted."""
    near, times = f"within {line.band_px:.3g} px of the line", _times(verdict.met)
    said = {
        Reason.COUNTED: f"counted: it went over the line, {line.directions[0 if verdict.to_right else 1]}",
        Reason.TURNED_BACK: f"not counted: it came {near} and turned back before it had met it",
        Reason.CAME_BACK: f"not counted: it met the line {times} and left its band on the side it came from",
        Reason.AROUND: "not counted: it passed an end of the line within its band, not over the line",
        Reason.OVER_AND_AROUND: "not counted: it went over the line and back around its end",
        Reason.BORN_INSIDE: f"not counted: it was first seen {near}, so where it came from is not known",
        Reason.LOST_INSIDE: f"not counted: it was last seen {near}"
        + (f", after it had met it {times}" if verdict.met else ""),
        Reason.OTHER_KIND: f"not counted: it went over the line, but the line counts only {line.wanted}; "
        f"it is {_kind(verdict)}",
        Reason.SUSPENDED: "not counted: the view was disturbed while it was at the line",
    }[verdict.reason]
    if verdict.returns:
        said += f"; {_times(verdict.returns)} it was beyond the band for less than {line.hold_s:g} s"
    return said


def passed_by(line: LineFacts, distance_px: float) -> str:
    """Return why an object was not counted that never came into the band."""
    return f"not counted: it came no nearer than {distance_px:.0f} px, and the band is {line.band_px:.3g} px"


PREDICTED = "not counted: only its predicted positions went over the line; it was not seen to do so"


class StoryFile:
    """A stream's sentences, one JSON object a line, bounded on disk; begun anew by each run.

    Args:
        folder: where it lies.
        stream: whose.
        endures: what the disk refuses is left out, counted and told in the log, instead of raised: a camera
            is counted whether or not that can be explained.

    Attributes:
        lost: sentences that were left out.

    Raises:
        SinkError: if it cannot be begun.
    """

    def __init__(self, folder: Path, stream: str, *, endures: bool = False) -> None:
        self.lost = 0
        self._stream = stream
        self._path = folder / f"{stream}{SUFFIX}"
        self._endures = endures
        self._failing = False
        self._written = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(b"")
            self._earlier.unlink(missing_ok=True)
        except OSError as error:
            self._refused(error)

    @property
    def _earlier(self) -> Path:
        return self._path.with_name(f"{self._stream}.earlier{SUFFIX}")

    def add(self, line: str, track_id: int, label: str, time_s: float, why: str, **more: Any) -> None:
        """Write one sentence, whole or not at all.

        Raises:
            SinkError: if the file cannot be written.
        """
        told: Mapping[str, Any] = {
            "stream": self._stream, "line": line, "track_id": track_id, "label": label,
            "pts_s": round(time_s, 3), "why": why, **more,
        }  # fmt: skip
        data = (json.dumps(told, ensure_ascii=False) + "\n").encode(errors="backslashreplace")
        try:
            if self._written + len(data) > MOST_BYTES:
                self._path.replace(self._earlier)
                self._written = 0
            self._append(data)
        except OSError as error:
            self.lost += 1
            self._refused(error)
            return
        self._written += len(data)
        if self._failing:
            self._failing = False
            logger.warning("%s: is written again; %d sentences are lacking so far", self._path, self.lost)

    def _append(self, data: bytes) -> None:
        with self._path.open("ab", buffering=0) as file:
            try:
                if file.tell() > self._written:  # half a line
                    file.truncate(self._written)
                while data:
                    data = data[file.write(data) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(self._written)
                raise

    def _refused(self, error: OSError) -> None:
        reason = error.strerror or error
        if not self._endures:
            raise SinkError(f"{self._path}: cannot be written: {reason}") from error
        if not self._failing:
            logger.warning("%s: cannot be written: %s; counts go on unexplained", self._path, reason)
        self._failing = True


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _kind(verdict: Verdict) -> str:
    attributes = ", ".join(f"{name} {value}" for name, value in sorted(verdict.attributes.items()))
    return f"'{verdict.label}'" + (f" with {attributes}" if attributes else "")

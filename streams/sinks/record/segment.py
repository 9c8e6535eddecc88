"""What is known of a recorded file, and its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

KEEP = ".keep"
"""A file of the segment's name and this suffix beside it protects the segment: also by `touch`."""
_NAME = re.compile(
    r"(?P<stream>[A-Za-z0-9_-]{1,64})_(?P<start>\d{8}T\d{6}\.\d{3})Z(\.\d{1,4})?"
    r"(?P<suffix>\.(mp4|mkv)(\.[a-z0-9]{1,8})?)"
)
_STAMP = "%Y%m%dT%H%M%S"


class State(StrEnum):
    """How a segment is."""

    OPEN = "open"
    """It grows."""
    WHOLE = "whole"
    """Finished, and found to have what was written."""
    CUT = "cut"
    """Its recorder ended in the midst; all up to the last fragment is there."""
    DAMAGED = "damaged"
    """It does not have what was written, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A recorded file.

    Attributes:
        path: relative to the folder of recordings, with `/`.
        stream: name of the stream.
        start_ns: UTC at which its first picture is shown.
        end_ns: UTC at which its last picture is over.
        stored_ns: UTC of this box when it was last written; retention goes by it.
        size: bytes.
        packets: pictures.
        keys: how many of them are key frames.
        gaps: places within it at which packets are missing.
        lost: packets that are known to be missing there.
        state: how it is.
        protected: whether it stays whatever the bounds are.
        codec: FFmpeg's name.
        width: as coded, px.
        height: as coded, px.
        run: id of the uninterrupted run that it belongs to.
        start_s: media time of the first picture.
        end_s: media time at which the last is over.
        clock: where UTC comes from, see `pipeline.moment.Clock`.
    """

    path: str
    stream: str
    start_ns: int
    end_ns: int
    stored_ns: int
    size: int = 0
    packets: int = 0
    keys: int = 0
    gaps: int = 0
    lost: int = 0
    state: State = State.OPEN
    protected: bool = False
    codec: str = ""
    width: int = 0
    height: int = 0
    run: str = ""
    start_s: float = 0.0
    end_s: float = 0.0
    clock: str = ""

    @property
    def folder(self) -> str:
        """The day's folder: `STREAM/DAY`."""
        return self.path.rpartition("/")[0]

    @property
    def seconds(self) -> float:
        """How long it is, s."""
        return max(0.0, (self.end_ns - self.start_ns) / 1e9)


def path_of(stream: str, start_ns: int, suffix: str) -> str:
    """Return `STREAM/2026-03-01/STREAM_20260301T080000.040Z.mp4`: sent away alone, it still tells all."""
    seconds, rest_ns = divmod(start_ns, 1_000_000_000)
    start = datetime.fromtimestamp(seconds, UTC)
    return f"{stream}/{start:%Y-%m-%d}/{stream}_{start.strftime(_STAMP)}.{rest_ns // 1_000_000:03d}Z{suffix}"


def numbered(path: str, number: int) -> str:
    """Return another name for the same moment, for when a file has that one."""
    stem, mark, suffix = path.rpartition("Z.")
    return f"{stem}Z.{number}.{suffix}" if mark else f"{path}.{number}"


def named(path: Path) -> tuple[str, int] | None:
    """Return stream and start (UTC, ns, whole milliseconds) as a name tells them; None for another's file."""
    found = _NAME.fullmatch(path.name)
    if found is None or path.parent.parent.name != found["stream"]:
        return None
    stamp, _, millis = found["start"].partition(".")
    try:
        start = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found["stream"], round(start.timestamp()) * 1_000_000_000 + int(millis) * 1_000_000

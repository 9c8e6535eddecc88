"""What a recorded file has, from the file itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av

from streams.sinks.record.boxes import Contents, contents_of

UNREADABLE = (OSError, av.FFmpegError)
COMMENT = "comment"
"""The metadata under which a recording says exactly when it begins, as JSON."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a file.

    Attributes:
        packets: pictures that can be had.
        keys: how many of them are key frames.
        seconds: how long they are shown.
        size: bytes of the file.
        is_whole: whether its writer came to the end.
        codec: FFmpeg's name.
        width: as coded, px.
        height: as coded, px.
        said: what the file says of itself: `time_ns`, `pts_s`, `run`, `clock`.
    """

    packets: int
    keys: int
    seconds: float
    size: int
    is_whole: bool
    codec: str = ""
    width: int = 0
    height: int = 0
    said: Mapping[str, object] | None = None


def count(path: Path) -> Contents:
    """Return what is whole in a file, quickly: MP4 without reading the pictures.

    Raises:
        OSError, av.FFmpegError: if it cannot be read (`UNREADABLE`).
    """
    if ".mp4" in path.suffixes:
        with path.open("rb") as file:
            return contents_of(file)
    return _counted(path)


def probe(path: Path) -> Found:
    """Return all that a file tells.

    Raises:
        OSError, av.FFmpegError: if it cannot be read (`UNREADABLE`).
    """
    size = path.stat().st_size
    had = count(path)
    if not had.packets:
        return Found(0, 0, 0.0, size, is_whole=False)
    with av.open(path, "r") as container:
        track = container.streams.video[0]
        codec = track.codec_context
        names = {name.lower(): value for name, value in container.metadata.items()}
        return Found(
            had.packets,
            had.keys,
            had.seconds,
            size,
            is_whole=had.is_ended,
            codec=codec.name,
            width=codec.width,
            height=codec.height,
            said=_said(names.get(COMMENT, "")),
        )


def _counted(path: Path) -> Contents:
    packets = keys = 0
    first: float | None = None
    last = 0.0
    with av.open(path, "r") as container:
        for packet in container.demux(video=0):
            if packet.size and packet.pts is not None and packet.time_base is not None:
                packets += 1
                keys += packet.is_keyframe
                begun = float(packet.pts * packet.time_base)
                first = begun if first is None else min(first, begun)
                last = max(last, begun + float((packet.duration or 0) * packet.time_base))
        is_ended = container.duration is not None  # it is written at the end, into the head
    return Contents(0, packets, keys, last - (first or 0.0), path.stat().st_size, is_ended)


def _said(text: str) -> Mapping[str, object] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

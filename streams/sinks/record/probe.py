"""What a recorded file has, from the file itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import av

from streams.sinks.record.boxes import Contents, contents_of

UNREADABLE = (OSError, av.FFmpegError)
_MOST_HEAD_BYTES = 1 << 20
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


def mend(path: Path) -> int:
    """Cut off a fragment's head in which a file ends: FFmpeg may not open the file for it.

    Nothing that could be shown is lost with it. For files whose writer is gone.

    Returns:
        The bytes that were cut off.

    Raises:
        OSError: if it cannot be read or written.
    """
    if path.suffix != ".mp4":
        return 0
    with path.open("r+b") as file:
        had = contents_of(file)
        rest = file.seek(0, os.SEEK_END) - had.size
        if had.torn != b"moof" or rest > _MOST_HEAD_BYTES:
            return 0
        file.truncate(had.size)
    return rest


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
    return Contents(0, packets, keys, last - (first or 0.0), path.stat().st_size, is_ended=is_ended)


def _said(text: str) -> Mapping[str, object] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

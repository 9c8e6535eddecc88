"""Whether a recorded file is as it should be."""

from __future__ import annotations

from pathlib import Path

from streams.sinks.record.probe import UNREADABLE, count
from streams.sinks.record.segment import Segment, State


def complaint_about(path: Path, segment: Segment) -> str:
    """Return what is wrong with a file, "" when nothing is; it is read for that, but not decoded.

    Args:
        path: the file.
        segment: what the index knows of it.
    """
    try:
        size = path.stat().st_size
        if path.suffix not in (".mp4", ".mkv"):
            return "" if size >= segment.size else f"has {size} bytes of {segment.size}"
        found = count(path)
    except FileNotFoundError:
        return "is missing"
    except UNREADABLE as error:
        return f"cannot be read: {error.strerror}"
    if not found.packets:
        return "has no picture that can be played"
    if segment.state is State.OPEN:
        return ""  # it grows
    if size != segment.size:
        return f"has {size} bytes instead of {segment.size}"
    if found.packets != segment.packets:
        return f"has {found.packets} pictures instead of {segment.packets}"
    if segment.state is State.WHOLE and found.size != size:
        return f"is torn after {found.size} of {size} bytes"
    return ""

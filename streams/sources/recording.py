"""What recordings have in common, on a disk or on a server: facts, and pictures put on the media clock."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from av.video.frame import VideoFrame

from pipeline.frame import Frame, Gap
from pipeline.plugin import StreamInfo
from streams.sources.media_facts import MediaFacts
from streams.sources.media_file import Lost
from streams.sources.timeline import Timeline
from streams.sources.upright import Upright

Shot = TypeVar("Shot")
"""A decoded picture, as its reader has it."""


def recording_info(
    facts: MediaFacts, first: VideoFrame, upright: Upright, *, stream: str, url: str, run: str
) -> StreamInfo:
    """Describe a recording by what its container says and its first good picture shows."""
    width, height = upright.size(first.width, first.height)
    return StreamInfo(
        stream=stream,
        url=url,
        run=run,
        width=width,
        height=height,
        codec=facts.codec,
        container=facts.format,
        pixel_format=first.format.name,
        rate_hz=facts.rate_hz,
        duration_s=facts.duration_s,
        frames=facts.frames,
        rotation_deg=upright.turn_deg,
        has_audio=facts.has_audio,
    )


def on_the_clock(
    pieces: Iterator[tuple[Lost | None, Shot | None]],
    timeline: Timeline,
    *,
    stamp_s: Callable[[Shot], float | None],
    check: Callable[[Shot], None],
    frame: Callable[[Shot, float, int], Frame],
    goes_on: Callable[[], bool],
) -> Generator[Frame | Gap, None, Lost | None]:
    """Yield every picture that has a usable time, and a `Gap` before the next for each run of missing ones.

    Args:
        pieces: decoded pictures with what was lost right before each; the last piece has no picture.
        timeline: judges their time stamps.
        stamp_s: returns a picture's time stamp.
        check: raises for a picture that does not belong here.
        frame: makes the frame of a picture, its media time and its number.
        goes_on: whether anybody still wants more.

    Returns:
        What was lost at the end.
    """
    sequence = 0
    lost, shot = next(pieces)
    shown_s = None if shot is None else stamp_s(shot)
    while shot is not None and goes_on():
        check(shot)
        lost_next, following = next(pieces)
        following_s = None if following is None else stamp_s(following)
        after_s = timeline.last_s
        place = timeline.place(shown_s, following_s, after_loss=lost is not None)
        if place.trouble:
            lost = Lost("timestamp jump", place.trouble, int(place.pts_s is None)).after(lost)
        if place.pts_s is not None:
            if lost is not None:
                yield Gap(lost.cause, after_s, place.missing_s, lost.detail)
                lost = None
            yield frame(shot, place.pts_s, sequence)
            sequence += 1
        lost = lost_next.after(lost) if lost_next else lost
        shot, shown_s = following, following_s
    return lost

"""What a container says of its video, read once at the door."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

import av
from av.container import InputContainer
from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class MediaFacts:
    """Declared facts; times are seconds on the container's own clock.

    Attributes:
        format: FFmpeg's name of the container.
        codec: FFmpeg's name of the codec.
        is_image: True for a still image, whose container is the image file itself.
        steady: True for transport formats, whose clock runs on without long pauses.
        start_s: when the video starts, None when unknown.
        duration_s: declared or estimated length, None when unknown.
        declared_end_s: when a header says that the video ends; None where no header says so: transport and
            bare streams only know what they hold.
        ends_with_last_track: True if `declared_end_s` is the end of the longest track, not of the video.
        rate_hz: declared or estimated pictures per second, None when unknown.
        frames: declared number of pictures, None when unknown.
        creation_time: of the recording, as its metadata has it.
        has_audio: True when there is a sound track.
    """

    format: str
    codec: str
    is_image: bool
    steady: bool
    start_s: float | None
    duration_s: float | None
    declared_end_s: float | None
    ends_with_last_track: bool
    rate_hz: float | None
    frames: int | None
    creation_time: str | None
    has_audio: bool

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> Self:
        """Read the facts of an open container and one of its video streams."""
        name = container.format.name
        is_image = name.endswith("_pipe") or name == "image2"
        tick_s = float(stream.time_base or 0)
        rate = stream.average_rate or stream.guessed_rate
        # AVI's times are decoding times: the first picture is shown one codec delay after the start.
        start_s = None if stream.start_time is None or name == "avi" else stream.start_time * tick_s
        declared_end_s, ends_with_last_track = _declared_end(container, stream, start_s or 0.0, tick_s)
        duration_s: float | None = None
        if declared_end_s is not None:
            duration_s = declared_end_s - (start_s or 0.0)
        elif stream.duration is not None and not is_image:
            duration_s = stream.duration * tick_s
        elif container.duration is not None and not is_image:
            duration_s = container.duration / av.time_base
        return cls(
            format=name,
            codec=stream.codec_context.codec.canonical_name,
            is_image=is_image,
            steady=name in ("mpegts", "mpeg"),
            start_s=start_s,
            duration_s=None if duration_s is None else round(duration_s, 9),
            declared_end_s=declared_end_s,
            ends_with_last_track=ends_with_last_track,
            rate_hz=None if is_image or not rate else float(rate),
            frames=1 if is_image else stream.frames or None,
            creation_time=container.metadata.get("creation_time") or stream.metadata.get("creation_time"),
            has_audio=bool(container.streams.audio),
        )


def _declared_end(
    container: InputContainer, stream: VideoStream, start_s: float, tick_s: float
) -> tuple[float | None, bool]:
    name = container.format.name
    if name.startswith("mov") and stream.duration:
        return start_s + stream.duration * tick_s, False
    if name == "avi" and stream.frames:  # its ticks are pictures; FFmpeg estimates the duration by the size
        return stream.frames * tick_s, False
    if name.startswith("matroska"):
        written = _clock_seconds(stream.metadata.get("DURATION", ""))
        if written is not None:
            whole_s = container.duration / av.time_base if container.duration else written
            return min(written, whole_s), False
    if name.startswith(("matroska", "flv")) and container.duration:
        return container.duration / av.time_base, True
    return None, False


def _clock_seconds(text: str) -> float | None:
    """Read Matroska's `HH:MM:SS.fraction`."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return None if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])

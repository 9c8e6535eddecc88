"""Encoders of H.264: x264, or hardware where it works here."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
from av.codec.hwaccel import HWAccel
from av.container import OutputContainer
from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

Choice = Literal["x264", "h264_nvenc", "h264_vaapi", "auto"]
SOFTWARE = "libx264"
_HARDWARE = ("h264_nvenc", "h264_vaapi")
_TIME_BASE = Fraction(1, 90_000)
_NVENC_PRESETS = {
    "ultrafast": "p1",
    "superfast": "p1",
    "veryfast": "p2",
    "faster": "p3",
    "fast": "p4",
    "medium": "p5",
    "slow": "p6",
    "slower": "p7",
    "veryslow": "p7",
}
"""FFmpeg's names of about the same effort."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an encoder is asked for.

    Attributes:
        width: px, even.
        height: px, even.
        preset: x264's name of the effort.
        quality: x264's crf; about the same on NVENC (`cq`) and VAAPI (`qp`). Not used with a bit rate.
        bitrate_kbps: mean bit rate, kept over a second; None for that quality, whatever it takes.
        threads: of x264.
    """

    width: int
    height: int
    preset: str
    quality: int
    bitrate_kbps: int | None = None
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Found:
    """Which encoder is taken.

    Attributes:
        name: FFmpeg's name.
        refusals: why those that were asked for before it are not, by name.
    """

    name: str
    refusals: tuple[tuple[str, str], ...] = ()

    @property
    def why(self) -> str:
        """The reasons in one line, "" when the first one was taken."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.refusals)


def find(choice: Choice, wanted: Wanted, refusal: Callable[[str, Wanted], str | None] | None = None) -> Found:
    """Return the first encoder that works, of those that a choice means; x264 is the last.

    Args:
        choice: `auto` means hardware if there is some.
        wanted: what it must take.
        refusal: tells why an encoder does not work, None when it does; by default it is tried.
    """
    asked = _HARDWARE if choice == "auto" else () if choice == "x264" else (choice,)
    refusals: list[tuple[str, str]] = []
    for name in asked:
        reason = (refusal or refusal_of)(name, wanted)
        if reason is None:
            return Found(name, tuple(refusals))
        refusals.append((name, reason))
    return Found(SOFTWARE, tuple(refusals))


def refusal_of(name: str, wanted: Wanted) -> str | None:
    """Encode a black picture with it; return why that fails, None if it works."""
    try:
        with av.open(io.BytesIO(), "w", format="mp4") as container:
            stream = add_encoder(container, name, wanted)
            container.start_encoding()
            black = av.VideoFrame(wanted.width, wanted.height, "yuv420p")
            black.pts, black.time_base = 0, _TIME_BASE
            for plane in black.planes:
                plane.update(bytes(plane.buffer_size))
            packets = [*stream.encode(black), *stream.encode(None)]
            container.mux(packets)
            return None if packets else "it encodes nothing"
    except av.codec.codec.UnknownCodecError:
        return "this FFmpeg was built without it"
    except (av.FFmpegError, ValueError, RuntimeError, NotImplementedError) as error:
        logger.debug("encoder %s does not work", name, exc_info=True)
        reason = getattr(error, "strerror", None) or str(error)
        return f"it does not work here ({reason}); are its driver and device there?"


def add_encoder(container: OutputContainer, name: str, wanted: Wanted) -> VideoStream:
    """Add a stream that an encoder fills; key frames are forced by the pictures' type.

    Raises:
        av.codec.codec.UnknownCodecError: if this FFmpeg does not have it.
        av.FFmpegError, ValueError: if it refuses.
    """
    options = _OPTIONS[name](wanted)
    # VAAPI encodes what is in its own memory; PyAV brings pictures there.
    hwaccel = HWAccel("vaapi", allow_software_fallback=False) if name == "h264_vaapi" else None
    stream = container.add_stream(name, options=options, hwaccel=hwaccel)
    if not isinstance(stream, VideoStream):
        raise ValueError(f"{name} encodes no video")
    stream.width, stream.height, stream.pix_fmt = wanted.width, wanted.height, "yuv420p"
    codec = stream.codec_context
    codec.time_base = _TIME_BASE
    codec.gop_size = 1_000_000  # key frames are placed by media time
    if wanted.bitrate_kbps is not None:
        codec.bit_rate = wanted.bitrate_kbps * 1000
    return stream


def _bounds(wanted: Wanted) -> dict[str, str]:
    rate = str((wanted.bitrate_kbps or 0) * 1000)
    return {"maxrate": rate, "bufsize": rate}


def _x264(wanted: Wanted) -> dict[str, str]:
    # No B-frames: they would hold pictures back and shift the first time stamp.
    options = {"preset": wanted.preset, "bf": "0", "threads": str(wanted.threads), "forced-idr": "1"}
    more = {"crf": str(wanted.quality)} if wanted.bitrate_kbps is None else _bounds(wanted)
    return {**options, **more}


def _nvenc(wanted: Wanted) -> dict[str, str]:
    options = {"preset": _NVENC_PRESETS[wanted.preset], "bf": "0", "forced-idr": "1", "rc": "vbr"}
    more = {"cq": str(wanted.quality), "b": "0"} if wanted.bitrate_kbps is None else _bounds(wanted)
    return {**options, **more}


def _vaapi(wanted: Wanted) -> dict[str, str]:
    options = {"bf": "0"}
    if wanted.bitrate_kbps is None:
        return {**options, "rc_mode": "CQP", "qp": str(wanted.quality)}
    return {**options, "rc_mode": "VBR", **_bounds(wanted)}


_OPTIONS: dict[str, Callable[[Wanted], dict[str, str]]] = {
    SOFTWARE: _x264,
    "h264_nvenc": _nvenc,
    "h264_vaapi": _vaapi,
}

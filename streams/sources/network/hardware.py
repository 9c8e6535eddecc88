"""Decoding by hardware where asked for, with a fall-back to software that says so."""

from __future__ import annotations

import logging

import av
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streams.sources.network.options import Hwaccel

logger = logging.getLogger(__name__)

_TRIAL_PICTURES = 3
_TRIAL_PACKETS = 64


class Decoder:
    """Decodes one track's packets, by hardware as long as it works; used by one thread at a time.

    Args:
        name: what messages begin with.
        stream: the track; its own context is the software decoder.
        hwaccel: what to try.
    """

    def __init__(self, name: str, stream: VideoStream, hwaccel: Hwaccel) -> None:
        self._name = name
        self._software = stream.codec_context
        self._context = self._software
        self._hardware = ""
        self._good = 0
        self._tried: list[Packet] = []  # type: ignore[type-arg]
        if hwaccel != "none":
            self._try_hardware(hwaccel)

    @property
    def hardware(self) -> str:
        """The device that decodes, "" for software."""
        return self._hardware

    def decode(self, packet: Packet | None) -> list[VideoFrame]:  # type: ignore[type-arg]
        """Decode a packet, or flush with None.

        Raises:
            av.FFmpegError: if its data is damaged.
        """
        if not self._hardware:
            return self._context.decode(packet)
        if self._good < _TRIAL_PICTURES and packet is not None and len(self._tried) < _TRIAL_PACKETS:
            self._tried.append(packet)
        try:
            frames = self._context.decode(packet)
        except (av.FFmpegError, RuntimeError, OSError) as error:
            if self._good >= _TRIAL_PICTURES and isinstance(error, av.FFmpegError):
                raise
            return self._fall_back(getattr(error, "strerror", None) or str(error))
        self._good += len(frames)
        if self._good >= _TRIAL_PICTURES:
            self._tried.clear()
        return frames

    def flush(self) -> None:
        """Forget all pictures, so that decoding can begin at a key frame."""
        if self._context.is_open:
            self._context.flush_buffers()

    def close(self) -> None:
        """Let go of the device."""
        self._context = self._software

    def _try_hardware(self, wanted: Hwaccel) -> None:
        there = hwdevices_available()
        devices = there if wanted == "auto" else [wanted]
        problems = []
        for device in devices:
            if device not in there:
                problems.append(f"{device}: this FFmpeg has {', '.join(there) or 'none'}")
                continue
            try:
                context = CodecContext.create(
                    self._software.codec, "r", HWAccel(device, allow_software_fallback=False)
                )
            except (av.FFmpegError, RuntimeError, ValueError, OSError, NotImplementedError) as error:
                problems.append(f"{device}: {getattr(error, 'strerror', None) or error}")
                continue
            if isinstance(context, VideoCodecContext) and context.is_hwaccel:
                context.extradata = self._software.extradata
                context.width, context.height = self._software.width, self._software.height
                context.flags |= self._software.flags
                self._context, self._hardware = context, device
                return
            problems.append(f"{device}: cannot decode {self._software.name}")
        self._warn("; ".join(problems) or "no device is known to this FFmpeg")

    def _fall_back(self, problem: str) -> list[VideoFrame]:
        """Go on in software from the key frame on; return the pictures that are still owed."""
        self._warn(f"{self._hardware}: {problem}")
        self._context, self._hardware = self._software, ""
        tried, self._tried = self._tried, []
        frames = [frame for packet in tried for frame in self._context.decode(packet)]
        return frames[self._good :]

    def _warn(self, problem: str) -> None:
        line = " ".join(problem.split())
        logger.warning("%s: decoding in software, as hardware cannot be used (%s)", self._name, line)

"""Decoding by hardware where asked for, with a fall-back to software that says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal, get_args

import av
from av.codec.codec import Codec
from av.codec.context import CodecContext
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streams.sources.replay import Replay

logger = logging.getLogger(__name__)

Hwaccel = Literal["none", "auto", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"]

_DEVICES: tuple[str, ...] = get_args(Hwaccel)[2:]
"""What "auto" tries, in this order."""
_OPTIONS: dict[str, tuple[dict[str, object], ...]] = {"cuda": ({"primary_ctx": "1"}, {})}
"""How to open a device, in this order. CUDA's primary context is there once for a process, whoever uses it;
FFmpeg refuses it where another library has begun it with other flags, and a context of a decoder's own costs
some hundred MB of the card."""

_TRIAL_PICTURES = 3
_PATIENCE_PACKETS = 64
_DAMAGE = (av.error.InvalidDataError, av.error.PatchWelcomeError)
_INVALID = av.error.tag_to_code(b"INDA")
_FAILURES = (av.FFmpegError, RuntimeError, ValueError, OSError, NotImplementedError)


class Decoder:
    """Decodes one track's packets, by hardware as long as it works; used by one thread at a time.

    A device that fails costs no picture: software decodes again from the last key frame that has been shown,
    and hands out what was not. Once a device has given three pictures, data that it calls invalid is damage;
    if it gives no picture of 64 packets, it has failed.

    The first good picture is software's in any case: only that bears what the container says of the track
    (which way is up).

    Args:
        name: what messages begin with.
        stream: the track; its own context, set but not open, is the software decoder.
        hwaccel: what to try.
    """

    def __init__(self, name: str, stream: VideoStream, hwaccel: Hwaccel) -> None:
        self._name = name
        self._software = stream.codec_context
        self._context = self._software
        self._hardware = ""
        self._good = 0
        self._waited = 0
        self._has_first = False
        self._catching_up = False
        self._skipping = False
        self._replay = Replay(all_keys=self._software.codec.intra_only)
        if hwaccel != "none":
            self._try_hardware(hwaccel)

    @property
    def hardware(self) -> str:
        """The device that decodes, "" for software."""
        return self._hardware

    def decode(self, packet: Packet[Stream] | None) -> list[VideoFrame]:
        """Decode a packet, or flush with None.

        Raises:
            av.FFmpegError: if its data is damaged.
        """
        if not self._hardware:
            return self._in_software(packet)
        if packet is not None:
            self._replay.take(packet)
        try:
            frames = self._context.decode(packet)
        except _FAILURES as error:
            if self._is_damage(error):
                raise
            return self._fall_back(_reason(error), packet)
        if frames:
            self._waited = 0
        elif self._replay.packets and (self._is_silent() or (packet is None and not self._good)):
            return self._fall_back("it gives no pictures", packet)
        self._good += len(frames)
        self._replay.shown(frames)
        return frames if self._has_first else self._first(frames)

    def flush(self) -> None:
        """Forget all pictures, so that decoding can begin at a key frame."""
        self._replay.clear()
        self._catching_up = False
        if self._context.is_open:
            self._context.flush_buffers()

    def close(self) -> None:
        """Let go of the device and of all packets; nothing can be decoded by hardware afterwards."""
        self._context, self._hardware = self._software, ""
        self._replay.clear()

    def _try_hardware(self, wanted: Hwaccel) -> None:
        there = hwdevices_available()
        devices = [device for device in _DEVICES if device in there] if wanted == "auto" else [wanted]
        problems = []
        for device in devices:
            if device not in there:
                problems.append(f"{device}: this FFmpeg has {', '.join(there) or 'none'}")
                continue
            try:
                context = opened(device, self._software.codec)
            except _FAILURES as error:
                problems.append(f"{device}: {_reason(error)}")
                continue
            if context is not None:
                adopt(context, self._software)
                self._context, self._hardware = context, device
                return
            problems.append(f"{device}: cannot decode {self._software.codec.canonical_name}")
        self._warn("; ".join(problems) or "no device is known to this FFmpeg")

    def _is_damage(self, error: Exception) -> bool:
        if not isinstance(error, _DAMAGE) or self._is_silent():
            return False
        return self._good >= _TRIAL_PICTURES or not self._replay.packets

    def _is_silent(self) -> bool:
        """Count a packet that gave no picture; tell whether that were too many in a row."""
        self._waited += 1
        return self._waited >= _PATIENCE_PACKETS

    def _first(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        """Put software's own in the place of the first good picture."""
        for index, frame in enumerate(frames):
            if not frame.is_corrupt:
                self._has_first = True
                return [*frames[:index], self._twin(frame), *frames[index + 1 :]]
        return frames

    def _twin(self, frame: VideoFrame) -> VideoFrame:
        try:
            for twin in self._replayed(at_end=True):
                if twin.pts == frame.pts and not twin.is_corrupt:
                    twin.dts = frame.dts
                    if frame.time_base is not None:
                        twin.time_base = frame.time_base
                    return twin
        finally:
            if self._software.is_open:
                self._software.flush_buffers()
        return frame

    def _replayed(self, *, at_end: bool) -> Iterator[VideoFrame]:
        """Decode in software what is kept, damage left out, and with `at_end` what the decoder holds."""
        for packet in (*self._replay.packets, *([None] if at_end else [])):
            try:
                frames = self._software.decode(packet)
            except av.FFmpegError:
                continue
            yield from frames

    def _fall_back(self, problem: str, packet: Packet[Stream] | None) -> list[VideoFrame]:
        """Go on in software from a key frame on; return the pictures that are still owed."""
        self._warn(f"{self._hardware}: {problem}")
        self._context, self._hardware = self._software, ""
        if not self._replay.packets:
            self._skipping = self._replay.has_begun
            return self._in_software(packet)
        owed = self._replay.owed(self._replayed(at_end=packet is None))
        self._catching_up = not owed
        if owed:
            self._replay.clear()
        return owed

    def _in_software(self, packet: Packet[Stream] | None) -> list[VideoFrame]:
        if self._skipping and packet is not None:
            if not self._replay.is_key(packet):
                raise av.error.InvalidDataError(_INVALID, "the device failed too long after a key frame")
            self._skipping = False
        frames = self._software.decode(packet)
        if not self._catching_up:
            return frames
        owed = self._replay.owed(frames)  # frame threads give what was replayed later
        self._catching_up = not owed
        return owed

    def _warn(self, problem: str) -> None:
        line = " ".join(problem.split())
        logger.warning("%s: decoding in software, as hardware cannot be used (%s)", self._name, line)


def opened(device: str, codec: Codec) -> VideoCodecContext | None:
    """Open a device for a decoder of its own, None if it cannot decode such a track.

    Raises:
        av.FFmpegError, RuntimeError, ValueError, OSError: if the device cannot be used.
    """
    hardware = hardware_codec(device, codec)
    if hardware is None:
        return None
    *ways, last = _OPTIONS.get(device, ({},))
    for options in ways:
        try:
            return _context(hardware, HWAccel(device, allow_software_fallback=False, options=options))
        except _FAILURES as error:
            logger.debug("%s with %s: %s", device, options, _reason(error))
    return _context(hardware, HWAccel(device, allow_software_fallback=False, options=last))


def hardware_codec(device: str, codec: Codec) -> Codec | None:
    """Return the decoder that can use a device for a codec's tracks, None if there is none.

    It need not be the software decoder: that of AV1 is another library's.
    """
    for name in (codec.canonical_name, codec.name, f"{codec.canonical_name}_{device}"):
        if name not in av.codecs_available:
            continue
        found = Codec(name, "r")
        if any(
            config.is_supported and config.device_type.name == device for config in found.hardware_configs
        ):
            return found
    return None


def adopt(context: VideoCodecContext, software: VideoCodecContext) -> None:
    """Set a new decoder as the track's own is set, but for one thread, as the device does the work.

    Without the depth of reordering, pictures could come in a wrong order at first.
    """
    context.extradata = software.extradata
    context.width, context.height = software.width, software.height
    context.flags |= software.flags
    context.options = dict(software.options)
    context.thread_type, context.thread_count = "NONE", 1
    context.reorder_depth = software.reorder_depth
    context.color_range, context.colorspace = software.color_range, software.colorspace
    context.color_primaries, context.color_trc = software.color_primaries, software.color_trc


def _context(codec: Codec, hwaccel: HWAccel) -> VideoCodecContext | None:
    context = CodecContext.create(codec, "r", hwaccel)
    return context if isinstance(context, VideoCodecContext) and context.is_hwaccel else None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)

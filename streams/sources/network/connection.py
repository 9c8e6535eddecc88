"""An open connection to a media URL and its video track: packets in, good pictures out."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeAlias, TypeVar

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.packet import Tap
from streams.sources.hardware import Decoder, Hwaccel
from streams.sources.network.access_units import ASSEMBLED, AccessUnit, AccessUnits, Torn
from streams.sources.network.failures import open_failure, read_failure
from streams.sources.network.h264 import HEAD_BYTES, FrameNumbers
from streams.sources.network.protocols import Opening
from streams.sources.network.tracks import PLAYLISTS, has_an_end, prepare, video_track
from streams.sources.packet_copy import PacketCopy

# FFmpeg's parser gives a picture out when the next one begins, where it must look for the border itself.
_PARSED = ("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video")
_HOLDING = ("rtsp", "mpegts", "h264", "hevc")
_WHOLE = ("mjpeg",)
"""What RTP brings as whole pictures, so that they need no parser."""
# What may send seconds of pictures at once when it is opened. RTSP does not, and shall not be waited for.
_LAGGING = ("mpegts", "flv", "live_flv", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
_BACKLOG_PACKETS = 1000
_BUFFERED_S = 0.004
_ARRIVALS = 64
_PICTURE_TYPE_I = 1
_PRODUCER_TIME = struct.Struct("<q")

_Result = TypeVar("_Result")
_Arrival: TypeAlias = "tuple[Packet[Stream], float]"


@dataclass(frozen=True, slots=True)
class Shot:
    """A good picture.

    Attributes:
        frame: as decoded.
        arrived_s: when its data began to come in, monotonic seconds.
        camera_ns: UTC of its capture by the camera's clock, None when not told.
    """

    frame: VideoFrame
    arrived_s: float
    camera_ns: int | None


@dataclass(frozen=True, slots=True)
class Damage:
    """Packets that gave no good picture.

    Attributes:
        reason: one line for a person; "" while only the next key frame is waited for.
    """

    reason: str


class Connection:
    """One open URL. Used by one thread, except `close`.

    Attributes:
        container: FFmpeg's.
        stream: the video track.
        format: FFmpeg's name of the container.
        is_recording: True if it has an end.
        tick_s: seconds per unit of the track's time stamps.
        read_end_s: where the video packets read so far end, seconds on the container's clock.
        any_end_s: the same of all tracks.
        read_end_bytes: where in the file they end.
        copy: lays down the packets; begun by the caller once the first picture is known.

    Args:
        name: what messages begin with.
        opening: how to open it.
        hwaccel: how to decode.
        wait_for_key: see `NetworkOptions`.
        keys_only: decode key frames only.
        live: whether it is live or a recording; None to find out.
        tap: where a copy of each video packet goes; None for nowhere.
        monotonic_s: the clock of arrivals.

    Raises:
        SourceError: what is wrong, with its reason.
    """

    def __init__(
        self,
        name: str,
        opening: Opening,
        *,
        hwaccel: Hwaccel = "none",
        wait_for_key: bool = True,
        keys_only: bool = False,
        live: bool | None = None,
        tap: Tap | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._wait_for_key = wait_for_key
        self._keys_only = keys_only
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._stopped = False
        self._skipping = True
        self._recovering = True
        self._arrivals: dict[int, float] = {}
        self._camera: tuple[int, int] | None = None
        self._broken: SourceError | None = None
        self.read_end_s = 0.0
        self.any_end_s = 0.0
        self.read_end_bytes = 0
        self.container, opening = _opened(name, opening)
        try:
            self.format = self.container.format.name
            self.stream = video_track(name, self.container)
            self.is_recording = has_an_end(self.container, opening.scheme) if live is None else not live
            prepare(name, self.container, self.stream, is_recording=self.is_recording)
            self._silence_s = opening.silence_s
            self.tick_s = float(self.stream.time_base or 0)
            codec = self.stream.codec_context.codec
            self._units = AccessUnits(codec.name) if opening.unparsed and codec.name in ASSEMBLED else None
            self.copy = PacketCopy(tap, tells_dts=self._units is None)
            self._holds = self.format in _HOLDING and codec.name in _PARSED and self._units is None
            self._all_keys = codec.intra_only or codec.name == "wrapped_avframe"  # FFmpeg's own pictures
            # Segments are counted each for itself, which looks like loss at every border.
            self._tells_loss = not self.is_recording and self.format not in PLAYLISTS
            is_numbered = codec.name == "h264" and not self.is_recording
            self._numbers = FrameNumbers(self.stream.codec_context.extradata) if is_numbered else None
            self._decoder = Decoder(name, self.stream, hwaccel)
        except BaseException:
            self.container.close()
            raise

    @property
    def stopped(self) -> bool:
        """True once `close` was called."""
        return self._stopped

    @property
    def is_early(self) -> bool:
        """True once pictures are handed out with their last piece, not when the next one begins."""
        return self._units is not None and self._units.is_early

    def close(self) -> None:
        """Free the connection now, or, while the reading thread is inside FFmpeg, as soon as it comes out."""
        self._stopped = True
        if self._lock.acquire(blocking=False):
            try:
                self._decoder.close()
                self.container.close()
            finally:
                self._lock.release()

    def items(self) -> Iterator[Shot | Damage]:
        """Yield every good picture, and a `Damage` for each packet that gave none.

        Ends when the peer ends the stream, and after `close`.

        Raises:
            SourceError: if the connection breaks or falls silent.
        """
        packets = self.container.demux()
        for packet, arrived_s in chain(self._backlog(packets), iter(lambda: self._next(packets), None)):
            act = self._taken if self._units is None else self._put_together
            taken = self._guarded(partial(act, packet, arrived_s))
            if taken is None:
                return
            yield from taken
        if self._broken is not None:
            raise self._broken

    def _backlog(self, packets: Iterator[Packet[Stream]]) -> list[_Arrival]:
        """Return what was there already when the connection was opened, with the times it must have come at.

        Servers send what they have since the last key frame, and FFmpeg keeps what it has looked at. The last
        of it has just come; the others came before it, by as much as their time stamps say.
        """
        if self.is_recording or self.format not in _LAGGING:
            return []
        backlog: list[_Arrival] = []
        while len(backlog) < _BACKLOG_PACKETS:
            asked_s = self._monotonic_s()
            try:
                found = self._next(packets)
            except SourceError as error:
                self._broken = error  # once what came before it is delivered
                break
            if found is None:
                break
            backlog.append(found)
            if self._monotonic_s() - asked_s > _BUFFERED_S:
                break
        stamps = [
            packet.dts for packet, _ in backlog if packet.stream is self.stream and packet.dts is not None
        ]
        end_s = backlog[-1][1] if backlog else 0.0
        last = max(stamps, default=0)
        return [
            (packet, end_s - max(0, last - packet.dts) * self.tick_s)
            if packet.stream is self.stream and packet.dts is not None
            else (packet, arrived_s)
            for packet, arrived_s in backlog
        ]

    def _next(self, packets: Iterator[Packet[Stream]]) -> _Arrival | None:
        """Read a packet; None at the end, and after `close`."""
        asked_s = self._monotonic_s()
        try:
            packet = self._guarded(lambda: next(packets, None))
        except (av.FFmpegError, OSError) as error:
            if self._stopped:
                return None
            waited_s = self._monotonic_s() - asked_s
            raise read_failure(self.name, error, self._silence_s, waited_s) from None
        except IndexError:  # PyAV 18's last act, if a track has appeared while reading; ours is flushed
            return None
        if packet is None:
            return None
        # Held back by the parser, a picture's data began to come in when the one before it was handed out.
        return packet, asked_s if self._holds else self._monotonic_s()

    def _guarded(self, act: Callable[[], _Result | None]) -> _Result | None:
        """Act inside FFmpeg, unless closed. The lock keeps `close` out meanwhile; it is made up for then."""
        try:
            with self._lock:
                return None if self._stopped else act()
        finally:
            if self._stopped:
                self.close()

    def _put_together(self, piece: Packet[Stream], arrived_s: float) -> list[Shot | Damage]:
        """Take a piece of a picture."""
        if piece.stream is not self.stream or self._units is None:
            return []
        if piece.size == 0:
            units = list(self._units.finish())
        else:
            self._note_camera(piece)
            units = list(self._units.take(bytes(piece), piece.pts, arrived_s))
        taken: list[Shot | Damage] = []
        for unit in units:
            if isinstance(unit, Torn):
                taken += self._damaged(unit.reason)
            else:
                taken += self._taken(_packet(unit, self.stream), unit.arrived_s)
        return taken if piece.size else taken + self._taken(piece, arrived_s)

    def _taken(self, packet: Packet[Stream], arrived_s: float) -> list[Shot | Damage]:
        if packet.stream is not self.stream:
            self._note_end(packet)
            return []
        if packet.size == 0:  # the last act: what the decoder still holds
            return self._decoded(None) if not self._skipping else []
        self._note_times(packet, arrived_s)
        self.copy.take(packet, arrived_s)
        if packet.is_corrupt and self._tells_loss:
            return self._damaged("packets were lost on the way")
        is_after_loss = self._numbers is not None and self._numbers.is_after_loss(_head(packet))
        if self._skipping:
            if not (packet.is_keyframe or self._all_keys):
                return [Damage("")]
            self._skipping = False
            self._recovering = True
            self._decoder.flush()  # so that nothing is built on pictures of before
        elif is_after_loss:
            told = self._damaged("a picture was lost on the way")
            return told if self._skipping else told + self._decoded(packet)
        return self._decoded(packet)

    def _decoded(self, packet: Packet[Stream] | None) -> list[Shot | Damage]:
        if self._keys_only and packet is not None and not (packet.is_keyframe or self._all_keys):
            return []
        try:
            frames = self._decoder.decode(packet)
            if self._keys_only and packet is not None:  # none is held until pictures come that never do
                frames += self._decoder.decode(None)
                self._decoder.flush()
        except av.FFmpegError as error:
            return self._damaged(f"damaged: {error.strerror}")
        taken: list[Shot | Damage] = []
        for frame in frames:
            if not frame.is_corrupt:
                self._recovering = False
                taken.append(self._shot(frame))
            elif self._recovering and frame.pict_type != _PICTURE_TYPE_I:
                taken.append(Damage(""))  # refreshed bit by bit, or led by pictures of before the key frame
            else:
                return taken + self._damaged("damaged: errors in the picture's data")
        return taken

    def _damaged(self, reason: str) -> list[Shot | Damage]:
        self._skipping = self._skipping or (self._wait_for_key and not self.is_recording)
        return [Damage(reason)]

    def _note_end(self, packet: Packet[Stream]) -> None:
        self.read_end_bytes = max(self.read_end_bytes, (packet.pos or 0) + packet.size)
        if packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self.any_end_s = max(self.any_end_s, end_s)
            if packet.stream is self.stream:
                self.read_end_s = max(self.read_end_s, end_s)

    def _note_times(self, packet: Packet[Stream], arrived_s: float) -> None:
        self._note_end(packet)
        if packet.pts is None:
            return
        while len(self._arrivals) >= _ARRIVALS:
            del self._arrivals[next(iter(self._arrivals))]
        self._arrivals[packet.pts] = arrived_s
        self._note_camera(packet)

    def _note_camera(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None and packet.has_sidedata("prft"):
            microseconds: int = _PRODUCER_TIME.unpack_from(bytes(packet.get_sidedata("prft")))[0]
            self._camera = (microseconds * 1000, packet.pts)

    def _shot(self, frame: VideoFrame) -> Shot:
        ticks = frame.pts
        arrived_s = None if ticks is None else self._arrivals.pop(ticks, None)
        camera_ns = None
        if self._camera is not None and ticks is not None:
            camera_ns = self._camera[0] + round((ticks - self._camera[1]) * self.tick_s * 1e9)
        return Shot(frame, self._monotonic_s() if arrived_s is None else arrived_s, camera_ns)


def _head(packet: Packet[Stream]) -> bytes:
    return bytes(memoryview(packet)[:HEAD_BYTES])


def _packet(unit: AccessUnit, stream: VideoStream) -> Packet[Stream]:
    packet: Packet[Stream] = Packet(unit.data)
    packet.stream = stream
    if stream.time_base is not None:
        packet.time_base = stream.time_base
    packet.pts = packet.dts = unit.pts
    packet.is_keyframe = unit.is_key
    return packet


def _opened(name: str, opening: Opening) -> tuple[InputContainer, Opening]:
    """Return the open container and how it was opened: with FFmpeg's parser where ours knows nothing."""
    container = _open(name, opening)
    codecs = {track.codec_context.name for track in container.streams.video if track.codec_context}
    if not opening.unparsed or codecs <= {*ASSEMBLED, *_WHOLE}:
        return container, opening
    container.close()
    opening = opening.parsed()
    return _open(name, opening), opening


def _open(name: str, opening: Opening) -> InputContainer:
    started_s = time.monotonic()
    try:
        return av.open(
            opening.url,
            format=opening.format,
            options=dict(opening.options),
            # At a time-out FFmpeg's parser hands out what it held, and only the next read tells: half, twice.
            timeout=(opening.timeout_s, opening.silence_s / (1 if opening.unparsed else 2)),
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError) as error:
        raise open_failure(name, error, opening, time.monotonic() - started_s) from None

"""Reads a media file with FFmpeg (PyAV): clear errors at the door, damage survived, stderr left alone."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
from av.codec.context import Flags
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.packet import Tap
from streams.sources.hardware import Decoder, Hwaccel
from streams.sources.media_facts import MediaFacts
from streams.sources.packet_copy import PacketCopy
from streams.sources.transport_stream import TAIL_BYTES, ends_inside_packet

Threads = Literal["none", "frame"]

# Elementary streams: FFmpeg reads them, but would have to guess 25 pictures per second.
_WITHOUT_TIME = {"h264", "hevc", "vvc", "mjpeg", "m4v", "obu", "cavsvideo"}
_ERRORS_IN_A_ROW = 16


@dataclass(frozen=True, slots=True)
class Lost:
    """Pictures that could not be had.

    Attributes:
        cause: of the gap they leave, see `Gap.cause`.
        reason: one line for a person, of the first of them.
        pictures: how many, as far as known.
    """

    cause: str
    reason: str
    pictures: int = 1

    def after(self, earlier: Lost | None) -> Lost:
        """Return both losses as one."""
        return self if earlier is None else replace(earlier, pictures=earlier.pictures + self.pictures)

    @property
    def detail(self) -> str:
        """One line with the number of pictures, where that is known."""
        if not self.pictures:
            return self.reason
        return f"{self.reason} ({self.pictures} picture{'s' if self.pictures > 1 else ''})"


class MediaFile:
    """An open media file and its first video stream. Used by one thread, except `close`.

    Attributes:
        facts: what the container says; stays readable after `close`.
        copy: lays down the packets; begun by the caller once the first picture is known.

    Args:
        path: a regular file.
        threads: "none" decodes in the calling thread. "frame" uses all cores, but FFmpeg's pictures next to
            damage then differ between runs. (Slice threads would switch off H.264's error detection.)
        tap: where a copy of each video packet goes; None for nowhere.
        hwaccel: what to decode by; `threads` counts where that is software.

    Raises:
        SourceError: what is wrong with the file, and what to do.
    """

    def __init__(
        self, path: Path, threads: Threads = "none", tap: Tap | None = None, hwaccel: Hwaccel = "none"
    ) -> None:
        self.path = path
        self.copy = PacketCopy(tap)
        self._lock = threading.Lock()
        self._stopped = False
        self._video_end_s = 0.0
        self._any_end_s = 0.0
        self._avi_ticks = -1
        self._container = _opened(path)
        try:
            self._stream = _video_stream(self._container, path)
            self.facts = MediaFacts.of(self._container, self._stream)
            self._tracks = () if self.facts.ends_with_last_track else (self._stream,)
            self._tick_s = float(self._stream.time_base or 0)
            context = self._stream.codec_context
            context.thread_type = threads.upper()
            # Damage is to be told, not left out in silence; JPEG's decoder says nothing of it by default.
            context.flags |= Flags.output_corrupt
            if context.name == "mjpeg":
                context.options = {"err_detect": "explode"}
            self._decoder = Decoder(str(path), self._stream, hwaccel)
        except BaseException:
            self._container.close()
            raise

    @property
    def stopped(self) -> bool:
        """True once `close` was called."""
        return self._stopped

    @property
    def read_end_s(self) -> float:
        """Container time at which the last video packet read so far ends, decodable or not."""
        return self._video_end_s

    @property
    def track(self) -> VideoStream:
        """The video track; not to be used after `close`."""
        return self._stream

    def ticks(self, frame: VideoFrame) -> int | None:
        """Return a frame's time stamp in ticks of the track, None when it has none."""
        return frame.dts if frame.pts is None else frame.pts

    def stamp_s(self, frame: VideoFrame) -> float | None:
        """Return a frame's presentation time on the container's clock, None when it has none."""
        ticks = self.ticks(frame)
        return None if ticks is None else ticks * self._tick_s

    def cut_short(self, tolerance_s: float) -> bool:
        """Tell, once everything is read, whether the file ends before it should.

        A header that declares a length is believed. A transport stream declares none: it is cut short if it
        ends inside a packet. A cut between two packets leaves no trace.
        """
        declared_end_s = self.facts.declared_end_s
        if declared_end_s is not None:
            read_end_s = self._any_end_s if self.facts.ends_with_last_track else self._video_end_s
            return read_end_s < declared_end_s - tolerance_s
        return self.facts.format == "mpegts" and ends_inside_packet(_tail(self.path, TAIL_BYTES))

    def runs(self) -> Iterator[tuple[Lost | None, VideoFrame | None]]:
        """Yield every decoded frame in the order of showing, with what was lost right before it.

        The last run has no frame: it tells what was lost at the end.
        """
        lost: Lost | None = None
        for item in self._items():
            if isinstance(item, Lost):
                lost = item.after(lost)
            else:
                yield lost, item
                lost = None
        yield lost, None

    def close(self) -> None:
        """Free the file now, or, while the reading thread is inside FFmpeg, as soon as it comes out."""
        self._stopped = True
        if self._lock.acquire(blocking=False):
            try:
                self._decoder.close()
                self._container.close()
            finally:
                self._lock.release()

    def _items(self) -> Iterator[VideoFrame | Lost]:
        packets = self._container.demux(*self._tracks)
        failures = 0
        while failures < _ERRORS_IN_A_ROW:
            try:
                step = self._step(packets)
            except av.FFmpegError as error:
                failures += 1
                packets = self._container.demux(*self._tracks)  # an error ends the iterator, not the file
                yield Lost("decode error", f"the container cannot be read here: {error.strerror}", 0)
                continue
            except IndexError:  # PyAV 18's last act, if a track has appeared while reading; ours is flushed
                return
            if step is None:
                return
            failures = 0
            yield from step

    def _step(self, packets: Iterator[Packet[Stream]]) -> list[VideoFrame | Lost] | None:
        """Read and decode one packet; None at the end. The lock keeps `close` out of FFmpeg meanwhile."""
        step: list[VideoFrame | Lost] | None = None
        try:
            with self._lock:
                packet = None if self._stopped else next(packets, None)
                if packet is not None:
                    step = self._decoded(packet)
        finally:
            if self._stopped:
                self.close()
        return step

    def _decoded(self, packet: Packet[Stream]) -> list[VideoFrame | Lost]:
        stamp = packet.dts if packet.pts is None else packet.pts
        is_video = packet.stream is self._stream
        if stamp is not None:
            tick_s = self._tick_s if is_video else float(packet.time_base)
            end_s = (stamp + (packet.duration or 0)) * tick_s
            self._any_end_s = max(self._any_end_s, end_s)
            if is_video:
                self._video_end_s = max(self._video_end_s, end_s)
        if not is_video:
            return []
        if packet.size:
            self.copy.take(packet, 0.0)
        try:
            frames = self._decoder.decode(packet if packet.size else None)
        except av.FFmpegError as error:
            return [Lost("decode error", f"damaged: {error.strerror}")]
        if self.facts.format == "avi":
            self._restore_times(frames)
        damaged = Lost("decode error", "damaged: errors in the picture's data")
        return [damaged if frame.is_corrupt else frame for frame in frames]

    def _restore_times(self, frames: list[VideoFrame]) -> None:
        """Give AVI's pictures their times: it stores decoding times only, one tick a picture.

        FFmpeg hands those on in the order of showing, except to the pictures that its decoder still holds at
        the end: they have none and follow tick by tick.
        """
        for frame in frames:
            self._avi_ticks = self._avi_ticks + 1 if frame.dts is None else frame.dts
            frame.pts = self._avi_ticks


def _tail(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read(size)


def _opened(path: Path) -> av.container.InputContainer:
    def refusal(problem: str) -> SourceError:
        return SourceError(f"{path}: {problem}")

    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise refusal("is not a regular file; give the path of a video file")
        with path.open("rb") as file:
            head = file.read(12)
    except FileNotFoundError:
        raise refusal("no such file; check the path") from None
    except IsADirectoryError:
        raise refusal(f"is a folder, not a video; a folder of images is read as images://{path}") from None
    except PermissionError:
        raise refusal("no permission to read it; change its mode or its owner") from None
    except OSError as error:
        raise refusal(f"cannot be opened ({error.strerror}); check the path and the disk") from None
    if not head:
        raise refusal("is empty (0 bytes); copy or record it again")
    try:
        container = av.open(f"file:{path}", metadata_errors="replace")
    except av.FFmpegError as error:
        if head[4:8] == b"ftyp":
            raise refusal(
                f"its index (the 'moov' box) is missing or damaged ({error.strerror}): it was cut short, or "
                "its recording never ended; copy it again"
            ) from None
        raise refusal(f"is no video that FFmpeg can read ({error.strerror}); check the file") from None
    if container.format.name == "tty":
        container.close()
        raise refusal("is a text, not a video; check the path")
    return container


def _video_stream(container: av.container.InputContainer, path: Path) -> VideoStream:
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        kinds = {"cover picture" if track.type == "video" else track.type for track in container.streams}
        only = ", ".join(sorted(kinds)) or "nothing"
        raise SourceError(f"{path}: holds no video (only {only}); give a file with a video track")
    stream = videos[0]
    if stream.codec_context is None:
        raise SourceError(f"{path}: FFmpeg has no decoder for its video codec; convert it, e.g. to H.264")
    if stream.width < 1 or stream.height < 1:
        raise SourceError(
            f"{path}: its pictures have no size ({stream.width} x {stream.height}): damaged, or cut before "
            "the first whole picture; copy it again"
        )
    if container.format.name in _WITHOUT_TIME:
        raise SourceError(
            f"{path}: a bare {container.format.name} stream holds no times; give it its true rate, e.g. "
            f"'ffmpeg -r 25 -i {path.name} -c copy {path.stem}.mkv'"
        )
    return stream

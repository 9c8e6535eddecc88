"""Sink `video`: the annotated pictures of each stream as H.264 in MP4."""

from __future__ import annotations

import io
import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from pydantic import Field

from pipeline.errors import SinkError, Unwritable
from pipeline.file_sink import FileSink
from pipeline.frame import Frame
from pipeline.picture import U8Array
from pipeline.plugin import SinkContext, SinkOptions, StreamInfo
from streams.sinks.encoder import scaled, yuv420
from streams.sinks.hardware import Choice, Found, Wanted, add_encoder, find
from streams.sinks.record.boxes import contents_of
from streams.sinks.textfile import writing

logger = logging.getLogger(__name__)

TICKS_PER_S = 90_000
LONGEST_BREAK_S = 6 * 3600.0
"""MP4 has 31 bits of ticks for a picture's duration; beyond, FFmpeg crushes later times to a tick each."""
_TIME_BASE = Fraction(1, TICKS_PER_S)

# A fragment is complete on the disk as soon as the next one begins. With `delay_moov` the media clock's first
# value is kept (as an edit list, in ticks, not in milliseconds); `empty_moov` would shift it to 0.
_CONTAINER = {
    "movflags": "frag_keyframe+delay_moov+default_base_moof",
    "video_track_timescale": str(TICKS_PER_S),
    "movie_timescale": str(TICKS_PER_S),
    "flush_packets": "1",
}
_ROOM_BYTES = 32 << 20
"""Free before a file is begun on a disk that was full; of a small disk an eighth."""
_BT601 = 6  # AVCOL_SPC_SMPTE170M, what OpenCV's conversion makes
_MPEG_RANGE = 1  # AVCOL_RANGE_MPEG, 16..235

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]


_Side = Annotated[int, Field(ge=16, le=16_384)]


class VideoOptions(SinkOptions):
    """Options of the video sink.

    Attributes:
        crf: x264's quality, 0 (lossless) to 51; 6 more halves the size.
        preset: x264's effort. Per 720p frame of real traffic: ultrafast 6 ms, superfast 7, veryfast 9 and
            a quarter smaller than superfast, faster 13.
        keyframe_s: media time between key frames, s. It bounds what a crash of sightline can cost, and how
            far a player must go back to show a chosen moment.
        encoder: `x264`, or `h264_nvenc` (NVIDIA), `h264_vaapi` (Intel, AMD), or `auto` for hardware if there
            is some. Where it does not work x264 is taken instead, which is told.
        bitrate_kbps: mean bit rate, kept over a second, in place of `crf`.
        size: most pixels in width and height; larger pictures are made smaller, in their own proportions.
    """

    crf: int = Field(default=23, ge=0, le=51)
    preset: Preset = "superfast"
    keyframe_s: float = Field(default=2.0, gt=0, le=60)
    encoder: Choice = "x264"
    bitrate_kbps: int | None = Field(default=None, ge=50, le=200_000)
    size: tuple[_Side, _Side] | None = None


class VideoSink(FileSink):
    """Writes `<stream>.mp4` into the output folder, begun anew by each run of sightline.

    A camera that comes back after a break goes on in the same file, the break as long as it was. One that
    comes back with pictures of another size, or after more hours than MP4 can hold between two pictures,
    begins the next: `<stream>.2.mp4`, a name that no other stream can have.

    Every frame keeps its media time (a variable frame rate stays one), in ticks of 1/90000 s. The file is
    fragmented: after a crash of sightline (not of the machine) it plays up to the last complete fragment. A
    disk that takes no more ends it in the same way; a live stream begins the next file once there is room.
    """

    Options = VideoOptions
    emits: ClassVar[Mapping[str, str]] = {"video.fallback": "the chosen encoder does not work here"}
    options: VideoOptions

    def __init__(self, options: VideoOptions, context: SinkContext) -> None:
        super().__init__(options, context)
        self._lock = threading.Lock()
        self._writers: dict[str, VideoWriter] = {}
        self._begun: Counter[str] = Counter()
        self._sizes: dict[str, tuple[int, int]] = {}
        self._torn: dict[str, Path] = {}
        self._lost: Counter[str] = Counter()

    @classmethod
    def emitted(cls, options: VideoOptions) -> Collection[str]:
        """Return `video.fallback` where an encoder of the hardware is asked for."""
        return () if options.encoder in ("x264", "auto") else cls.emits

    @classmethod
    def files(cls, options: VideoOptions, streams: Sequence[str]) -> Sequence[str]:  # noqa: ARG003
        """Return one name per stream: its first file's."""
        return [f"{stream}.mp4" for stream in streams]

    def open_stream(self, info: StreamInfo) -> None:
        """Create the stream's file and encoder."""
        self._sizes[info.stream] = (info.width, info.height)
        self._begin(info.stream, info.width, info.height)

    def on_frame(self, frame: Frame) -> None:
        """Encode the annotated picture."""
        stream, pts_s = frame.stream, frame.moment.pts_s
        writer = self._writers.get(stream)
        last_s = None if writer is None else writer.last_s
        if last_s is not None and pts_s - last_s > LONGEST_BREAK_S:
            self._finish(stream)
            self._begin(stream, *self._sizes[stream])
            writer = self._writers[stream]
        if writer is None:  # the disk takes nothing
            self._lose(stream, 1)
            return
        try:
            writer.write(frame.drawn(), pts_s)
        except Unwritable:
            self._give_up(stream, writer)
            raise

    def wants_pictures(self, stream: str) -> bool:
        """Whether there is a file for them."""
        return stream in self._writers

    def retry(self, stream: str) -> None:
        """Begin the next file, if there is room for some of it."""
        if stream in self._writers or stream not in self._sizes:
            return
        folder = self.context.folder
        with writing(folder):
            space = shutil.disk_usage(folder)
        needed = min(_ROOM_BYTES, space.total // 8)
        if space.free < needed:
            raise Unwritable(f"cannot write to {folder}: it has room for {space.free} bytes, not {needed}")
        self._begin(stream, *self._sizes[stream])
        torn = self._torn.pop(stream, None)
        if torn is not None:  # a disk that was read-only did not let us
            _mended(torn)

    def losses(self, stream: str) -> Mapping[str, int]:
        """Return the `pictures` that are in no file."""
        with self._lock:
            return {"pictures": self._lost[stream]}

    def close_stream(self, stream: str) -> None:
        """Write what the encoder holds and close the stream's file."""
        self._sizes.pop(stream, None)
        self._finish(stream)

    def close(self) -> None:
        """Close what is still open."""
        for stream in sorted(self._writers):
            self.close_stream(stream)

    def _begin(self, stream: str, width: int, height: int) -> None:
        number = self._begun[stream] + 1
        name = stream if number == 1 else f"{stream}.{number}"
        writer = VideoWriter(self.context.folder / f"{name}.mp4", width, height, self.options)
        with self._lock:
            self._begun[stream] = number
            self._writers[stream] = writer
        self._say(stream, writer.encoder)

    def _finish(self, stream: str) -> None:
        with self._lock:
            writer = self._writers.pop(stream, None)
        if writer is None:
            return
        if not writer.pictures and self._begun[stream] > 1:  # begun anew, and nothing came
            self._give_up(stream, writer)
            return
        try:
            writer.close()
        except Unwritable:
            self._give_up(stream, writer)
            raise

    def _give_up(self, stream: str, writer: VideoWriter) -> None:
        """Leave a file as it is up to its last whole fragment; the next takes its name if there is none."""
        with self._lock:
            self._writers.pop(stream, None)
        kept = writer.abandon()
        self._lose(stream, writer.pictures - kept)
        with self._lock:
            self._begun[stream] -= not kept
        if kept:
            self._torn[stream] = writer.path

    def _lose(self, stream: str, pictures: int) -> None:
        with self._lock:
            self._lost[stream] += pictures

    def _say(self, stream: str, found: Found) -> None:
        """Tell which encoder is taken where that is another than was asked for."""
        asked = self.options.encoder
        if asked == "auto":
            logger.info("stream '%s': video is encoded by %s (%s)", stream, found.name, found.why)
        elif found.refusals:
            logger.warning(
                "stream '%s': video is encoded by %s, which needs the processor: %s",
                stream,
                found.name,
                found.why,
            )
            data = {"asked": asked, "encoder": found.name, "reason": found.why}
            self.context.tell(stream, "video.fallback", data)


class VideoWriter:
    """One H.264 file.

    Attributes:
        encoder: which one is taken.
        path: the file.
        pictures: that it was given.

    Args:
        path: the file, overwritten if it exists.
        width: of the pictures, px; an odd size is padded by one column or row, as 4:2:0 chroma needs it.
        height: of the pictures, px.
        options: of the encoder.

    Raises:
        SinkError: if the file cannot be written or the encoder refuses.
    """

    def __init__(self, path: Path, width: int, height: int, options: VideoOptions) -> None:
        self.path = path
        self._size = (width, height)
        self._small = None if options.size is None else scaled(width, height, options.size)
        self._keyframe_ticks = round(options.keyframe_s * TICKS_PER_S)
        self._last_ticks: int | None = None
        self._next_key_ticks: int | None = None
        self._failed = False
        self.pictures = 0
        with self._guarded():
            self._file = _WholeWrites(path, "w")
        try:
            with self._guarded():
                wanted = self._wanted(options)
                self.encoder = find(options.encoder, wanted)
                self._container = av.open(self._file, "w", format="mp4", options=_CONTAINER)
                self._stream = add_encoder(self._container, self.encoder.name, wanted)
                codec = self._stream.codec_context
                codec.colorspace, codec.color_range = _BT601, _MPEG_RANGE
                self._container.start_encoding()
        except SinkError:
            self._file.close()
            raise

    @property
    def last_s(self) -> float | None:
        """Media time of the latest picture, None before the first."""
        return None if self._last_ticks is None else self._last_ticks / TICKS_PER_S

    def write(self, bgr: U8Array, pts_s: float) -> None:
        """Encode a picture.

        Args:
            bgr: (height, width, 3) uint8.
            pts_s: its media time, after that of the picture before.

        Raises:
            SinkError: if its size is another, media time does not go on, or it cannot be written.
        """
        height, width = bgr.shape[:2]
        if (width, height) != self._size:
            was = f"{self._size[0]} x {self._size[1]}"
            raise SinkError(
                f"cannot go on writing {self.path}: the picture changed from {was} to {width} x {height} px"
            )
        ticks = round(pts_s * TICKS_PER_S)
        if self._last_ticks is not None and ticks <= self._last_ticks:
            raise SinkError(
                f"cannot go on writing {self.path}: media time went from {self.last_s:.6f} to {pts_s:.6f} s"
            )
        self._last_ticks = ticks
        self.pictures += 1
        if self._small is not None and self._small != self._size:
            bgr = np.asarray(cv2.resize(bgr, self._small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        picture = av.VideoFrame.from_ndarray(_padded_yuv420(bgr), format="yuv420p")
        picture.pts, picture.time_base = ticks, _TIME_BASE
        picture.colorspace, picture.color_range = _BT601, _MPEG_RANGE
        if self._next_key_ticks is None or ticks >= self._next_key_ticks:
            picture.pict_type = PictureType.I
            self._next_key_ticks = ticks + self._keyframe_ticks
        self._encode(picture)

    def close(self) -> None:
        """Finish the file; after a failure only free it. Raises SinkError when its end cannot be written."""
        try:
            if not self._failed:
                self._encode(None)
                with self._guarded():
                    self._container.close()
        finally:
            self._file.close()

    def abandon(self) -> int:
        """Free the file after a failure; return how many pictures it has, 0 if it had none and is removed."""
        self._failed = True
        with suppress(OSError):
            self._file.close()
        return _mended(self.path)

    def _wanted(self, options: VideoOptions) -> Wanted:
        width, height = self._small or self._size
        return Wanted(
            width + width % 2,
            height + height % 2,
            preset=options.preset,
            quality=options.crf,
            bitrate_kbps=options.bitrate_kbps,
        )

    def _encode(self, picture: av.VideoFrame | None) -> None:
        with self._guarded():
            self._container.mux(self._stream.encode(picture))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn what FFmpeg and the operating system raise into a SinkError, and remember the failure."""
        try:
            with writing(self.path):
                yield
        except SinkError:
            self._failed = True
            raise
        except av.FFmpegError as error:
            self._failed = True
            raise SinkError(f"cannot encode {self.path}: {error}") from error


def _mended(path: Path) -> int:
    """Cut off what stands behind the last whole fragment, if the disk lets us; see `VideoWriter.abandon`."""
    try:
        with path.open("rb") as file:
            had = contents_of(file)
        if not had.shown:
            path.unlink()
            return 0
        with suppress(OSError):
            os.truncate(path, had.shown)
        with path.open("rb") as file:
            return contents_of(file).packets
    except OSError:
        return 0


class _WholeWrites(io.FileIO):
    """An unbuffered file. FFmpeg's own does not tell when the last write, that of `close`, fails."""

    def write(self, data: Any, /) -> int:
        """Write all of `data` or raise OSError."""
        left = memoryview(data)
        size = left.nbytes
        while left:
            left = left[super().write(left) :]
        return size


def _padded_yuv420(bgr: U8Array) -> U8Array:
    """Return `yuv420` of a picture whose odd sides are padded by a row or column."""
    height, width = bgr.shape[:2]
    if height % 2 or width % 2:
        bgr = np.asarray(
            cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8
        )
    return yuv420(bgr)

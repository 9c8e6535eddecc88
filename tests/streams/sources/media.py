"""Makes small media files with PyAV, and reads them through a source."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.picture import U8Array
from pipeline.plugin import Source, StreamInfo
from streams.sources.file import FileSource
from streams.sources.images import ImagesSource

RATE = 25
LEVELS = 40


def level(index: int) -> int:
    """The grey level of picture `index`: neighbours differ clearly, so order and identity can be seen."""
    return 16 + 6 * (index % LEVELS)


def number_of(picture: U8Array) -> int:
    """The index (modulo LEVELS) of the picture that a decoded BGR picture shows."""
    return round((float(picture.mean()) - 16) / 6)


def flat(index: int, width: int = 64, height: int = 48) -> U8Array:
    return np.full((height, width, 3), level(index), np.uint8)


def busy(index: int, width: int = 160, height: int = 96) -> U8Array:
    """A moving noise pattern: bits enough that a flipped one does harm."""
    noise = np.random.default_rng(7).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.roll(noise.repeat(8, axis=0).repeat(8, axis=1), index * 3, axis=1)


def write_video(
    path: Path,
    pictures: Sequence[U8Array],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    pts: Sequence[int] | None = None,
    rate: int = RATE,
    gop: int = 12,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container: str | None = None,
    audio_s: float = 0.0,
    rotate_ccw_deg: float = 0.0,
    mirror: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Encode BGR pictures; `pts` are in units of 1 / rate, by default 0, 1, 2 ..."""
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=rate, options=options or {"b": "4M"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, pixel_format, gop
        if rotate_ccw_deg or mirror:
            stream.set_display_rotation(rotate_ccw_deg, hflip=mirror)
        sound = (
            out.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48000) if audio_s else None
        )
        for index, bgr in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(bgr), format="bgr24")
            frame.pts, frame.time_base = (index if pts is None else pts[index]), Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if sound is not None:
            _write_silence(out, sound, audio_s)
    return path


def write_sound(path: Path, seconds: float, *, cover: U8Array | None = None) -> Path:
    """Write sound only, if wanted with a cover picture, which containers store as a video track."""
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48000)
        if cover is not None:
            stream = out.add_stream("mjpeg", rate=1)
            stream.height, stream.width = cover.shape[:2]
            stream.pix_fmt, stream.disposition = "yuvj420p", Disposition.attached_pic
            out.mux(stream.encode(av.VideoFrame.from_ndarray(cover, format="bgr24")))
        _write_silence(out, sound, seconds)
    return path


def _write_silence(out: Any, stream: Any, seconds: float) -> None:
    for index in range(round(seconds * 48000 / 960)):
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 960), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, index * 960
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def cut(path: Path, to: Path, size: int) -> Path:
    to.write_bytes(path.read_bytes()[:size])
    return to


def flip(path: Path, to: Path, seed: int, flips: int, *, first: float = 0.0) -> Path:
    """Copy with `flips` bits changed at random places behind the fraction `first` of the file."""
    content, rng = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(flips):
        content[rng.randrange(int(len(content) * first), len(content))] ^= 1 << rng.randrange(8)
    to.write_bytes(content)
    return to


@dataclass
class Reading:
    """Everything a source gave."""

    info: StreamInfo
    items: list[Frame | Gap]
    error: str

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    @property
    def pts_s(self) -> list[float]:
        return [frame.moment.pts_s for frame in self.frames]

    @property
    def numbers(self) -> list[int]:
        return [number_of(frame.picture.bgr()) for frame in self.frames]


def file_source(url: object, **options: Any) -> FileSource:
    return FileSource(str(url), FileSource.Options.model_validate(options), "gate")


def images_source(url: object, **options: Any) -> ImagesSource:
    return ImagesSource(str(url), ImagesSource.Options.model_validate(options), "gate")


def read(source: Source) -> Reading:
    """Open and read to the end; a SourceError of `open` goes on, one of `read` is kept in `error`."""
    reading = Reading(source.open(), [], "")
    try:
        for item in source.read():
            reading.items.append(item)
    except SourceError as error:
        reading.error = str(error)
    return reading


def read_file(url: object, **options: Any) -> Reading:
    return read(file_source(url, **options))


def read_images(url: object, **options: Any) -> Reading:
    return read(images_source(url, **options))

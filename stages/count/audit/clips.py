"""Cuts short, small clips out of a run's annotated video, or out of the recording it read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter

WIDTH_PX = 320
MOST_HZ = 12.5
MOST_S = 30.0
_TICKS_PER_S = 90_000
_TIME_BASE = Fraction(1, _TICKS_PER_S)
_EARLY_S = 0.001
_REFUSALS = (av.FFmpegError, OSError)


def films_of(folder: Path, stream: str, source: str | None) -> list[tuple[Path, bool]]:
    """Return the files that may show a stream, the best first: annotated videos of the run, the recording.

    Each comes with whether it has its own clock: media time 0 of a recording is its first picture, an
    annotated video has the run's media time.
    """
    parts = sorted(folder.glob(f"{stream}.*.mp4"), key=lambda path: (len(path.name), path.name))
    candidates = [(path, False) for path in (folder / f"{stream}.mp4", *parts)]
    if source is not None and "://" not in source:
        candidates.append((Path(source), True))
    return [(path, own_clock) for path, own_clock in candidates if path.is_file()]


class Film:
    """A video file that clips are cut from, one after the other.

    Args:
        path: the file.
        own_clock: True for a recording, whose first picture is media time 0; False for an annotated video.

    Raises:
        av.FFmpegError, OSError: if it cannot be opened as a video.
    """

    def __init__(self, path: Path, *, own_clock: bool) -> None:
        self._container = av.open(str(path))
        try:
            if not self._container.streams.video:
                raise OSError(f"{path} has no video")
            self._video = self._container.streams.video[0]
            self._video.thread_type = "AUTO"
            start = self._video.start_time
            self._offset_s = float(start * self._time_base) if own_clock and start is not None else 0.0
        except BaseException:
            self._container.close()
            raise

    @property
    def _time_base(self) -> Fraction:
        return self._video.time_base or _TIME_BASE

    def cut(self, from_s: float, to_s: float) -> bytes | None:
        """Return the pictures between two media times as MP4 (H.264, 320 px wide); None where there are none.

        Raises:
            av.FFmpegError: if the file is damaged there.
        """
        to_s = min(to_s, from_s + MOST_S)
        target = io.BytesIO()
        encoder: _Encoder | None = None
        try:
            for picture, time_s in self._between(from_s, to_s):
                if encoder is None:
                    encoder = _Encoder(target, picture.width, picture.height)
                encoder.add(picture, time_s - from_s)
        finally:
            if encoder is not None:
                encoder.close()
        return None if encoder is None else target.getvalue()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _between(self, from_s: float, to_s: float) -> Iterator[tuple[av.VideoFrame, float]]:
        ticks = int(max(from_s + self._offset_s, 0.0) / self._time_base)
        self._container.seek(ticks, stream=self._video, backward=True)
        last_s = float("-inf")
        for picture in self._container.decode(self._video):
            if picture.pts is None:
                continue
            time_s = float(picture.pts * self._time_base) - self._offset_s
            if time_s > to_s:
                return
            if time_s >= from_s - _EARLY_S and time_s - last_s >= 1 / MOST_HZ - 0.005:
                last_s = time_s
                yield picture, time_s


class _Encoder:
    """Writes one clip."""

    def __init__(self, target: io.BytesIO, width: int, height: int) -> None:
        scale = min(1.0, WIDTH_PX / width)
        self._size = (max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))
        self._container = av.open(target, "w", format="mp4")
        options = {"crf": "30", "preset": "veryfast", "bf": "0", "threads": "1"}
        self._stream = self._container.add_stream("libx264", options=options)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TIME_BASE
        self._reformatter = VideoReformatter()

    def add(self, picture: av.VideoFrame, time_s: float) -> None:
        small = self._reformatter.reformat(picture, *self._size, format="yuv420p")
        small.pts, small.time_base = round(max(time_s, 0.0) * _TICKS_PER_S), _TIME_BASE
        small.pict_type = av.video.frame.PictureType.NONE
        self._container.mux(self._stream.encode(small))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


class ClipCutter:
    """Finds and cuts the clips of a run's counts; what cannot be cut is left out and counted.

    Attributes:
        failed: clips that no file had, or that were damaged.
    """

    def __init__(self, folder: Path, sources: dict[str, str]) -> None:
        self._folder = folder
        self._sources = sources
        self._films: dict[str, list[Film]] = {}
        self.failed = 0

    def cut(self, stream: str, from_s: float, to_s: float) -> bytes | None:
        """Return a clip as MP4, None where no file shows that time."""
        if stream not in self._films:
            self._films[stream] = self._opened(stream)
        for film in self._films[stream]:
            try:
                clip = film.cut(from_s, to_s)
            except _REFUSALS:
                continue
            if clip is not None:
                return clip
        self.failed += 1
        return None

    def close(self) -> None:
        """Close all files."""
        for film in (film for films in self._films.values() for film in films):
            film.close()
        self._films.clear()

    def _opened(self, stream: str) -> list[Film]:
        films = []
        for path, own_clock in films_of(self._folder, stream, self._sources.get(stream)):
            try:
                films.append(Film(path, own_clock=own_clock))
            except _REFUSALS:
                continue
        return films

"""Source `file`: every picture of a recorded video, with its true time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from av.video.frame import VideoFrame
from pydantic import AwareDatetime

from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.decode import PictureMaker
from streams.sources.fingerprint import fingerprint
from streams.sources.hardware import Hwaccel
from streams.sources.media_file import Lost, MediaFile, Threads
from streams.sources.recording import on_the_clock, recording_info
from streams.sources.timeline import Timeline
from streams.sources.upright import Upright
from streams.sources.wall_clock import WallClock

_END_TOLERANCE_S = 0.5
_END_TOLERANCE_PICTURES = 3


class FileOptions(Options):
    """Options of the source `file`.

    Attributes:
        start_time: wall-clock time of the first picture, with its zone; by default the file's own
            `creation_time`, else 1970-01-01.
        threads: "none" is the same in every run; "frame" decodes on all cores, but pictures next to damage
            may differ from run to run.
        hwaccel: decode by hardware. "none" by default: it looks the same on every box. "auto" takes the first
            device that works. Where none does, or it fails on the way, decoding is done in software, with a
            warning, from the last key frame on if that is at most 1024 packets back; `threads` counts only
            then. Errors in a picture's data are told by software only: most devices patch them up in silence.
    """

    start_time: AwareDatetime | None = None
    threads: Threads = "none"
    hwaccel: Hwaccel = "none"


class FileSource(Source):
    """Reads a video file with FFmpeg: any container, any codec, variable frame rate, rotated, damaged.

    Damaged pictures are left out and told as a `Gap`. Those that the decoder builds on a damaged one without
    complaint are passed on.
    """

    Options = FileOptions
    emits = NO_EVENTS
    options: FileOptions
    copies = True

    def __init__(self, url: SecretUrl | str, options: FileOptions, stream: str) -> None:
        super().__init__(url, options, stream)
        self._path = Path(self.address.reveal().removeprefix("file://"))
        self._closed = False
        self._file: MediaFile | None = None

    def open(self) -> StreamInfo:
        """Open the file and decode up to its first good picture: only that tells which way is up."""
        file = self._file = MediaFile(self._path, self.options.threads, self.tap, self.options.hwaccel)
        try:
            if self._closed:
                file.close()
            return self._begin(file)
        except BaseException:
            file.close()
            raise

    def _begin(self, file: MediaFile) -> StreamInfo:
        try:
            self._run = fingerprint([self._path])
        except OSError as error:
            raise SourceError(f"{self._path}: cannot be read ({error.strerror}); check the disk") from None
        runs = file.runs()
        lost, first = next(runs)
        if first is None:
            problem = "was closed while it was opened" if file.stopped else _nothing_decoded(lost)
            raise SourceError(f"{self._path}: {problem}")
        self._runs = chain([(lost, first)], runs)
        self._stored_size = (first.width, first.height)
        self._upright = Upright.of(first)
        file.copy.begin(
            file.track, stream=self.stream, run=self._run, live=False, rotation_deg=self._upright.turn_deg
        )
        return recording_info(
            file.facts, first, self._upright, stream=self.stream, url=self.url, run=self._run
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield every good picture, and one `Gap` before the next for each run of missing ones.

        Gaps' causes: "decode error", "timestamp jump" (see `Timeline`), "truncated".

        Raises:
            SourceError: if the file ends before its declared end, or the pictures change their size.
        """
        file = self._file
        if file is None:
            raise RuntimeError("read() before open()")
        pictures = PictureMaker(self._upright)
        clock = WallClock.starting(self.options.start_time, file.facts.creation_time)
        timeline = Timeline(file.facts.start_s, steady=file.facts.steady)

        def frame(shot: VideoFrame, pts_s: float, sequence: int) -> Frame:
            moment, picture = clock.moment(pts_s), pictures.make(shot)
            return Frame(self.stream, self._run, sequence, moment, picture, ticks=file.ticks(shot))

        try:
            lost = yield from on_the_clock(
                self._runs,
                timeline,
                stamp_s=file.stamp_s,
                check=lambda shot: self._check_size(shot, timeline),
                frame=frame,
                goes_on=lambda: not file.stopped,
            )
            if not file.stopped:
                yield from self._end(file, timeline, lost)
        finally:
            file.close()

    def close(self) -> None:
        """End `read` at its next packet and free the file; from any thread, in every state."""
        self._closed = True
        if self._file is not None:
            self._file.close()

    def _end(self, file: MediaFile, timeline: Timeline, lost: Lost | None) -> Iterator[Gap]:
        if timeline.last_s is None:
            raise SourceError(f"{self._path}: no picture has a usable time stamp; convert or record it again")
        step_s = timeline.end_s - timeline.last_s
        if not file.cut_short(max(_END_TOLERANCE_S, _END_TOLERANCE_PICTURES * step_s)):
            if lost is not None:
                yield Gap(lost.cause, timeline.last_s, timeline.missing_until(file.read_end_s), lost.detail)
            return
        ends, missing_s = f"ends inside a packet at {timeline.end_s:.1f} s", None
        declared_end_s = file.facts.declared_end_s
        if declared_end_s is not None:
            declared_s = timeline.media_s(declared_end_s)
            ends = f"ends at {timeline.end_s:.1f} s of {declared_s:.1f} s declared"
            missing_s = timeline.missing_until(declared_end_s)
        yield Gap("truncated", timeline.last_s, missing_s, ends)
        raise SourceError(
            f"{self._path}: {ends}: cut short or damaged; what was read before counts, copy the file again "
            "for the rest"
        )

    def _check_size(self, frame: VideoFrame, timeline: Timeline) -> None:
        size = (frame.width, frame.height)
        if size != self._stored_size:
            raise SourceError(
                f"{self._path}: pictures change from {self._stored_size[0]} x {self._stored_size[1]} to "
                f"{size[0]} x {size[1]} pixels at {timeline.end_s:.1f} s; split it there into two files"
            )


def _nothing_decoded(lost: Lost | None) -> str:
    if lost is None:
        return "holds no complete picture: cut short at its beginning; copy it again"
    return f"not one picture can be decoded; {lost.detail}; copy it again"

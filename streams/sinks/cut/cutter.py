"""Cuts a range of time out of recordings into as few files as their formats allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import av

from pipeline.errors import SinkError
from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.copier import Copier
from streams.sinks.copying.reason import reason_of
from streams.sinks.copying.target import FileTarget
from streams.sinks.cut.film import TICKS_PER_S, kind_of, recorded_packets
from streams.sinks.record.segment import Segment
from streams.sinks.sealed.files import Unreadable
from streams.sinks.textfile import writing

_CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}
SUFFIXES = tuple(_CONTAINERS)
_LEAST_GAP_S = 0.5
_ROUNDING_S = 0.05
"""Less is a camera that is not that regular."""
_LONGEST_PAUSE_S = 6 * 3600.0
"""MP4 has 31 bits of ticks for a picture's duration."""
_SAME_CLOCK_S = 1.0
_PART = ".part"
_MOST_REORDERED = 16
"""Pictures that may follow one that is shown after them; H.264 and H.265 have no more."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Time that is not in the recordings, UTC in ns."""

    from_ns: int
    to_ns: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return (self.to_ns - self.from_ns) / 1e9


@dataclass(slots=True)
class Made:
    """A file that was written.

    Attributes:
        path: of the file.
        from_ns: UTC of the first picture that is shown.
        to_ns: UTC of the last one.
        lead_s: time from the key frame to the first picture, which players hide.
        packets: pictures.
        size: bytes.
        seconds: as it plays.
    """

    path: Path
    from_ns: int
    to_ns: int = 0
    lead_s: float = 0.0
    packets: int = 0
    size: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Cut:
    """What came of it.

    Attributes:
        files: more than one where the format changed, and a file can only have one.
        missing: times without pictures within the range.
        closed: whether pauses were left out.
        lost: packets that the recordings themselves lack within.
        unreadable: a line for each recording that is gone or damaged; its time is missing.
    """

    files: list[Made] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    closed: bool = False
    lost: int = 0
    unreadable: list[str] = field(default_factory=list)


class Cutter:
    """Writes packets between two times into files.

    Args:
        output: the first file; further ones are numbered: `out.2.mp4`. Their suffix tells the container.
        from_ns: UTC.
        to_ns: UTC.
        secret_keys: for sealed recordings.
        close_gaps: leave out the time in which there are no pictures, instead of showing the last one.
    """

    def __init__(
        self,
        output: Path,
        from_ns: int,
        to_ns: int,
        secret_keys: Sequence[bytes] = (),
        *,
        close_gaps: bool = False,
    ) -> None:
        self._output = output
        self._from_ns, self._to_ns = from_ns, to_ns
        self._keys = secret_keys
        self._close_gaps = close_gaps
        self._cut = Cut(closed=close_gaps)
        self._form: PacketFormat | None = None
        self._copier: Copier | None = None
        self._target: FileTarget | None = None
        self._end_ticks: int | None = None
        self._shown_ns = from_ns
        self._before: Segment | None = None
        self._shift = self._base = 0
        self._first: Packet | None = None
        self._last: Packet | None = None
        self._written = 0

    def run(self, segments: Sequence[tuple[Path, Segment]], tell: Callable[[int], None] | None = None) -> Cut:
        """Write all that these segments have of the range.

        Args:
            segments: by time, with their files.
            tell: called with the UTC up to which it is done.

        Raises:
            SourceError: if a recording is sealed for others.
            SinkError: if the file cannot be written.
        """
        try:
            with self._explained():
                for path, segment in _as_it_happened(segments):
                    if not self._is_shown_already(segment):
                        self._add(path, segment)
                    if tell:
                        tell(min(segment.end_ns, self._to_ns))
                self._note_missing(self._to_ns)
                self._end_file()
                for made in self._cut.files:
                    made.path.with_name(made.path.name + _PART).replace(made.path)
        except BaseException:
            self._abandon()
            raise
        return self._cut

    def _is_shown_already(self, segment: Segment) -> bool:
        """Whether it has the pictures of the one before: a recording that was recorded twice."""
        before = self._before
        if before is None or not segment.run or segment.run != before.run:
            return False
        return segment.start_s < before.end_s - _ROUNDING_S and segment.end_s <= before.end_s + _ROUNDING_S

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the disk and FFmpeg say into one line."""
        try:
            with writing(self._output):
                yield
        except av.FFmpegError as error:
            raise SinkError(f"cannot write {self._output}: {reason_of(error)}") from error

    def _add(self, path: Path, segment: Segment) -> None:
        """Add what a segment has of the range, from the key frame before it on."""
        try:
            self._take(path, segment)
        except Unreadable as error:  # one file of many: the others are wanted all the more
            self._cut.unreadable.append(str(error))
        if self._written:
            self._end_segment(segment)

    def _take(self, path: Path, segment: Segment) -> None:
        early: list[Packet] = []
        late: list[Packet] = []
        begun = False
        with closing(recorded_packets(path, segment, self._keys)) as packets:
            for form, packet in packets:
                time_ns = packet.moment.time_ns
                if time_ns >= self._to_ns:
                    # Pictures that are shown earlier may follow, and be made of it.
                    late.append(packet)
                    if len(late) > _MOST_REORDERED:
                        break
                    continue
                if not begun and packet.is_key and time_ns <= self._from_ns:
                    early.clear()
                early += [*late, packet]
                late.clear()
                if not begun and time_ns < self._from_ns:
                    continue
                if not begun:
                    begun = True
                    self._begin_segment(form, segment, early[0])
                for ready in early:
                    self._write(ready)
                early.clear()

    def _begin_segment(self, form: PacketFormat, segment: Segment, first: Packet) -> None:
        """Decide where the segment's pictures lie in the file, and in which."""
        shown_ns = max(first.moment.time_ns, self._from_ns)
        gap_s = self._note_missing(shown_ns)
        self._shift = self._placed(segment, first, gap_s)
        same = self._form is not None and kind_of(self._form) == kind_of(form)
        if self._copier is None or not same:
            self._end_file()
            lead = round((shown_ns - first.moment.time_ns) * TICKS_PER_S / 1e9)
            self._shift = -(first.pts + lead)
            self._begin_file(form, first.pts + self._shift, shown_ns)
        self._form = form

    def _placed(self, segment: Segment, first: Packet, gap_s: float) -> int:
        """Return by how many ticks the time stamps of a segment are moved."""
        before, end = self._before, self._end_ticks
        if before is None or end is None:
            return 0
        is_pause = gap_s >= _LEAST_GAP_S
        if is_pause and (self._close_gaps or gap_s > _LONGEST_PAUSE_S):
            self._cut.closed = True
            return end - first.pts
        media_s = segment.start_s - before.start_s
        utc_s = (segment.start_ns - before.start_ns) / 1e9
        if segment.run and segment.run == before.run and abs(media_s - utc_s) < _SAME_CLOCK_S:
            return self._base + round(media_s * TICKS_PER_S)
        return end - first.pts + round(gap_s * TICKS_PER_S)

    def _begin_file(self, form: PacketFormat, first_ticks: int, shown_ns: int) -> None:
        number = len(self._cut.files) + 1
        path = self._output if number == 1 else self._output.with_suffix(f".{number}{self._output.suffix}")
        container = _CONTAINERS[self._output.suffix]
        self._target = FileTarget(path.with_name(path.name + _PART))
        self._cut.files.append(Made(path, shown_ns, lead_s=-first_ticks / TICKS_PER_S))
        # What is before time 0 of an MP4 file is hidden by its edit list. Matroska has none: there it begins
        # with the key frame.
        origin = 0 if container == "mp4" else first_ticks
        try:
            self._copier = Copier(self._target, form, container=container, origin=origin)
        except ValueError as error:
            raise SinkError(
                f"{path}: {container} files do not hold video of the codec {form.codec}; cut into *.mkv"
            ) from error

    def _write(self, packet: Packet) -> None:
        pts = packet.pts + self._shift
        dts = None if packet.dts is None else packet.dts + self._shift
        if self._copier is not None:
            self._copier.write(replace(packet, pts=pts, dts=dts))
        self._cut.files[-1].packets += 1
        self._first = packet if self._first is None or packet.pts < self._first.pts else self._first
        self._last = packet if self._last is None or packet.pts > self._last.pts else self._last
        self._written += 1

    def _end_segment(self, segment: Segment) -> None:
        """Note where a segment's last picture is over; the packets' mean distance tells that best."""
        first, last, self._first, self._last = self._first, self._last, None, None
        written, self._written = self._written, 0
        if first is None or last is None:
            return
        step = (last.pts - first.pts) / (written - 1) if written > 1 else 0.0
        made = self._cut.files[-1]
        end_ns = last.moment.time_ns + round(step * 1e9 / TICKS_PER_S)
        self._shown_ns = max(self._shown_ns, min(end_ns, self._to_ns))
        self._end_ticks = last.pts + self._shift + round(step)
        made.to_ns = self._shown_ns
        made.seconds = min(self._end_ticks / TICKS_PER_S, (made.to_ns - made.from_ns) / 1e9)
        if self._close_gaps:
            made.seconds = self._end_ticks / TICKS_PER_S
        self._before = segment
        self._base = self._shift
        self._cut.lost += segment.lost

    def _note_missing(self, next_ns: int) -> float:
        """Note the time before the next picture that nothing shows; return how long it is, s."""
        gap_s = (next_ns - self._shown_ns) / 1e9
        if gap_s >= _LEAST_GAP_S:
            self._cut.missing.append(Missing(self._shown_ns, next_ns))
        return max(0.0, gap_s)

    def _end_file(self) -> None:
        copier, self._copier = self._copier, None
        if copier is not None and self._target is not None:
            copier.close()
            self._target.close()
            self._cut.files[-1].size = self._target.path.stat().st_size
        self._end_ticks = None

    def _abandon(self) -> None:
        copier, self._copier = self._copier, None
        for close in (None if copier is None else copier.close, self._target and self._target.close):
            with suppress(OSError, av.FFmpegError):
                if close:
                    close()
        for made in self._cut.files:
            with suppress(OSError):
                made.path.with_name(made.path.name + _PART).unlink(missing_ok=True)


def _as_it_happened(segments: Sequence[tuple[Path, Segment]]) -> list[tuple[Path, Segment]]:
    """Sort by media time within a run: where a clock was set back, UTC tells of two times as of one."""
    begun_ns: dict[str, int] = {}
    for _, segment in segments:
        begun_ns[segment.run] = min(segment.start_ns, begun_ns.get(segment.run, segment.start_ns))
    return sorted(
        segments, key=lambda one: (begun_ns[one[1].run], one[1].run, one[1].start_s, one[1].start_ns)
    )

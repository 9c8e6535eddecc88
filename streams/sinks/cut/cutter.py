"""Cuts a range of time out of recordings into as few files as their formats allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import av

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.copier import Copier
from streams.sinks.copying.target import FileTarget
from streams.sinks.cut.film import TICKS_PER_S, packets_of
from streams.sinks.record.segment import Segment
from streams.sinks.textfile import writing

_CONTAINERS = {".mp4": "mp4", ".mkv": "matroska"}
SUFFIXES = tuple(_CONTAINERS)
# The head comes to the front, so that a browser plays it while it loads. The edit list hides what is before the
# first picture that was asked for.
_OPTIONS = {"mp4": {"movflags": "faststart"}, "matroska": {}}
_LEAST_GAP_S = 0.5
"""Less is a camera that is not that regular."""
_LONGEST_PAUSE_S = 6 * 3600.0
"""MP4 has 31 bits of ticks for a picture's duration."""
_SAME_CLOCK_S = 1.0
_PART = ".part"


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
    """

    files: list[Made] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    closed: bool = False
    lost: int = 0


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
        self._shift = 0

    def run(
        self, segments: Sequence[tuple[Path, Segment]], tell: Callable[[int], None] = lambda time_ns: None
    ) -> Cut:
        """Write all that these segments have of the range.

        Args:
            segments: by time, with their files.
            tell: called with the UTC up to which it is done.

        Raises:
            SourceError: if a recording cannot be read.
            SinkError: if the file cannot be written.
        """
        try:
            with writing(self._output):
                for path, segment in segments:
                    self._add(path, segment)
                    tell(min(segment.end_ns, self._to_ns))
                self._note_missing(self._to_ns)
                self._end_file()
                for made in self._cut.files:
                    made.path.with_name(made.path.name + _PART).replace(made.path)
        except BaseException:
            self._abandon()
            raise
        return self._cut

    def _add(self, path: Path, segment: Segment) -> None:
        """Add what a segment has of the range, from the key frame before it on."""
        held: list[tuple[PacketFormat, Packet]] = []
        begun = False
        with closing(packets_of(path, segment, self._keys)) as packets:
            for form, packet in packets:
                if _decoded_ns(packet) >= self._to_ns:
                    break
                if not begun:
                    if packet.is_key and packet.moment.time_ns <= self._from_ns:
                        held.clear()
                    held.append((form, packet))
                    if packet.moment.time_ns < self._from_ns:
                        continue
                    begun = True
                    self._begin_segment(form, segment, held[0][1], packet)
                    for _, earlier in held:
                        self._write(earlier)
                    held.clear()
                    continue
                self._write(packet)
        if begun:
            self._before = segment
            self._cut.lost += segment.lost

    def _begin_segment(
        self, form: PacketFormat, segment: Segment, first: Packet, shown: Packet
    ) -> None:
        """Decide where the segment's pictures lie in the file, and in which."""
        gap_s = self._note_missing(shown.moment.time_ns)
        self._shift = self._placed(segment, first, gap_s)
        same = self._form is not None and _kind(self._form) == _kind(form)
        if self._copier is None or not same:
            self._end_file()
            self._shift = -shown.pts
            self._begin_file(form, first, shown)
        self._form = form

    def _placed(self, segment: Segment, first: Packet, gap_s: float) -> int:
        """Return by how many ticks the time stamps of a segment are moved."""
        before, end = self._before, self._end_ticks
        if before is None or end is None:
            return 0
        earliest = end - first.pts
        pause = round(gap_s * TICKS_PER_S)
        if self._close_gaps or gap_s > _LONGEST_PAUSE_S:
            self._cut.closed = self._cut.closed or gap_s > _LONGEST_PAUSE_S
            return earliest
        media_s = segment.start_s - before.start_s
        utc_s = (segment.start_ns - before.start_ns) / 1e9
        if segment.run and segment.run == before.run and abs(media_s - utc_s) < _SAME_CLOCK_S:
            return max(earliest, self._shift + round(media_s * TICKS_PER_S))
        return earliest + pause

    def _begin_file(self, form: PacketFormat, first: Packet, shown: Packet) -> None:
        number = len(self._cut.files) + 1
        path = self._output if number == 1 else self._output.with_suffix(f".{number}{self._output.suffix}")
        container = _CONTAINERS[self._output.suffix]
        part = path.with_name(path.name + _PART)
        self._target = FileTarget(part)
        lead_s = (shown.pts - first.pts) / TICKS_PER_S
        self._cut.files.append(Made(path, shown.moment.time_ns, lead_s=lead_s))
        # Matroska has no edit lists: there the file begins with the key frame.
        origin = 0 if container == "mp4" else first.pts - shown.pts
        self._copier = Copier(
            self._target, form, container=container, options=_OPTIONS[container], origin=origin
        )

    def _write(self, packet: Packet) -> None:
        made = self._cut.files[-1]
        pts = packet.pts + self._shift
        dts = None if packet.dts is None else packet.dts + self._shift
        if self._copier is not None:
            self._copier.write(replace(packet, pts=pts, dts=dts))
        self._end_ticks = max(self._end_ticks or pts, pts + packet.duration)
        end_ns = packet.moment.time_ns + round(packet.duration * 1e9 / TICKS_PER_S)
        self._shown_ns = max(self._shown_ns, end_ns)
        made.packets += 1
        made.to_ns = max(made.to_ns, packet.moment.time_ns)
        made.seconds = self._end_ticks / TICKS_PER_S

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


def _decoded_ns(packet: Packet) -> int:
    """Return the UTC at which a packet is decoded; nothing after it is shown earlier."""
    if packet.dts is None:
        return packet.moment.time_ns
    return packet.moment.time_ns - round((packet.pts - packet.dts) * 1e9 / TICKS_PER_S)


def _kind(form: PacketFormat) -> tuple[object, ...]:
    """Return what must be the same for packets of one file."""
    return form.codec, form.width, form.height, form.extradata, form.rotation_deg

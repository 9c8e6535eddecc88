"""The latest segments of a programme, in parts, as a playlist tells of them (RFC 8216bis). Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pipeline.errors import SinkError
from streams.sinks.live.hls.muxer import Head, Piece

_CLOSE_S = 0.0005
"""Times that differ by less are the same: playlists have milliseconds."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long what a playlist lists may be; none of it may change while a playlist is served.

    Attributes:
        segment_s: a key frame ends a segment that is this long.
        target_s: a segment never becomes longer, key frame or not; whole seconds.
        part_s: longest part.
    """

    segment_s: float
    target_s: int
    part_s: float


@dataclass(slots=True)
class Part:
    """A piece of a segment that can be had before the rest of it.

    Attributes:
        pieces: fragments of MP4.
        duration_s: of all of them.
        is_independent: whether decoding can begin with it.
    """

    pieces: list[bytes] = field(default_factory=list)
    duration_s: float = 0.0
    is_independent: bool = False


@dataclass(slots=True)
class Segment:
    """A file of the playlist.

    Attributes:
        number: its media sequence number.
        head: number of the head it needs.
        breaks: what came before is of another head, or another time.
        time_ns: UTC of its first picture.
        parts: complete ones.
        is_complete: no part will be added.
    """

    number: int
    head: int
    breaks: bool
    time_ns: int
    parts: list[Part] = field(default_factory=list)
    is_complete: bool = False

    @property
    def duration_s(self) -> float:
        """Of its parts."""
        return sum(part.duration_s for part in self.parts)

    def data(self) -> bytes:
        """Return the file."""
        return b"".join(piece for part in self.parts for piece in part.pieces)


class Window:
    """Takes pieces, keeps the latest segments. Used by one thread.

    Numbers go on when it is emptied, so that a player which was away notices.

    Attributes:
        segments: oldest first; the last may be growing.
        heads: by number; those that segments need.
        broken: breaks among the segments that are gone (EXT-X-DISCONTINUITY-SEQUENCE).
        has_ended: nothing more will come.

    Args:
        keep: complete segments to keep.
        most_bytes: that all segments may have; older ones go earlier, down to one.
    """

    def __init__(self, keep: int, most_bytes: int) -> None:
        self._keep = keep
        self._most_bytes = most_bytes
        self._bytes = 0
        self._next_segment = 0
        self._next_head = 0
        self._breaks = False
        self._part = Part()
        self._lengths: Lengths | None = None
        self.segments: deque[Segment] = deque()
        self.heads: dict[int, Head] = {}
        self.broken = 0
        self.has_ended = False

    @property
    def lengths(self) -> Lengths:
        """As `start` was told."""
        if self._lengths is None:
            raise SinkError("there are no pictures yet")
        return self._lengths

    def start(self, lengths: Lengths) -> None:
        """Begin anew, with nothing listed."""
        self.clear()
        self._lengths = lengths

    def clear(self) -> None:
        """Forget all pictures; the numbers stay."""
        while self.segments:
            self._forget()
        self._part = Part()
        self.heads = {}
        self._breaks = self._next_segment > 0
        self.has_ended = False

    def add_head(self, head: Head) -> None:
        """Take what the pieces that follow need."""
        self._end_segment()
        self.heads[self._next_head] = head
        self._breaks = self._breaks or self._next_head > 0
        self._next_head += 1

    def add(self, piece: Piece) -> None:
        """Take a picture."""
        lengths = self.lengths
        growing = self._growing()
        if growing is not None:
            so_far_s = growing.duration_s + self._part.duration_s
            is_due = piece.is_key and so_far_s >= lengths.segment_s - _CLOSE_S
            if is_due or so_far_s + piece.duration_s > lengths.target_s + 0.5 - _CLOSE_S:
                self._end_segment()
                growing = None
            elif self._part.pieces and piece.is_key:
                self._end_part()  # who comes can begin here
        if growing is None:
            growing = Segment(self._next_segment, self._next_head - 1, self._breaks, piece.time_ns)
            self.segments.append(growing)
            self._next_segment += 1
            self._breaks = False
        part = self._part
        if part.pieces and part.duration_s + piece.duration_s > lengths.part_s + _CLOSE_S:
            self._end_part()
            part = self._part
        if not part.pieces:
            part.is_independent = piece.is_key
        part.pieces.append(piece.data)
        part.duration_s += piece.duration_s
        self._bytes += len(piece.data)
        if part.duration_s + piece.duration_s > lengths.part_s + _CLOSE_S:
            self._end_part()  # another like it would not fit, so why wait for it
        self._bound()

    def end(self) -> None:
        """Nothing more will come."""
        self._end_segment()
        self.has_ended = True

    def find(self, number: int) -> Segment | None:
        """Return a segment that is kept, complete or not."""
        first = self.segments[0].number if self.segments else 0
        place = number - first
        return self.segments[place] if 0 <= place < len(self.segments) else None

    def part(self, number: int, index: int) -> bytes | None:
        """Return a part's file, None if it is not there (yet)."""
        segment = self.find(number)
        if segment is None or not 0 <= index < len(segment.parts):
            return None
        return b"".join(segment.parts[index].pieces)

    def next_part(self) -> tuple[int, int]:
        """Return segment and index of the part that is to come."""
        growing = self._growing()
        return (self._next_segment, 0) if growing is None else (growing.number, len(growing.parts))

    def has(self, number: int, index: int | None) -> bool:
        """Whether the playlist tells of this part, or of the whole segment, or of what comes after."""
        if self.has_ended:
            return True
        segment, parts = self.next_part()
        return number < segment or (index is not None and number == segment and index < parts)

    def _growing(self) -> Segment | None:
        return self.segments[-1] if self.segments and not self.segments[-1].is_complete else None

    def _end_part(self) -> None:
        growing = self._growing()
        if growing is not None and self._part.pieces:
            growing.parts.append(self._part)
            self._part = Part()

    def _end_segment(self) -> None:
        self._end_part()
        growing = self._growing()
        if growing is not None:
            growing.is_complete = True

    def _bound(self) -> None:
        while len(self.segments) > self._keep + 1 or (
            self._bytes > self._most_bytes and len(self.segments) > 1
        ):
            self._forget()

    def _forget(self) -> None:
        gone = self.segments.popleft()
        self.broken += gone.breaks
        self._bytes -= sum(len(piece) for part in gone.parts for piece in part.pieces)
        if not self.segments:
            self._bytes = 0
            return
        for number in [number for number in self.heads if number < self.segments[0].head]:
            del self.heads[number]

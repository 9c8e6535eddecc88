"""Puts the pieces that RTP brings together to coded pictures, and tells when one is complete.

FFmpeg's parser hands a picture out when the next one begins, which is a picture's interval late: 33 ms at
30 per second. RTP marks the last packet of a picture (RFC 6184, 5.1), but FFmpeg does not hand that mark on.
What it does hand on are the packets: a unit (NAL unit) that is cut into fragments ends with a shorter one,
and a camera cuts every picture into as many slices as the one before. Both are watched until they have held
for a while, and only then is a picture handed out with its last piece. Where they do not hold, pictures are
handed out when the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

ASSEMBLED = ("h264", "hevc")
"""FFmpeg's names of the codecs whose pictures are put together here."""

_START = b"\0\0\0\1"
# How many pictures of a kind must have shown the same habit before it is relied on. Key frames come seldom.
_PROVEN, _PROVEN_KEY = 30, 2
_MOST_BYTES = 32 << 20
"""A picture that goes on for longer is none: the largest of level 6.2 are half of it."""


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded picture.

    Attributes:
        data: its units with start codes (ITU-T H.264 and H.265, annex B).
        pts: RTP's time stamp as FFmpeg counts it, None when not told.
        arrived_s: when its first slice began to come.
        is_key: whether decoding can begin with it.
    """

    data: bytes
    pts: int | None
    arrived_s: float
    is_key: bool


@dataclass(frozen=True, slots=True)
class Torn:
    """Pieces that belong to no picture that can be handed out.

    Attributes:
        reason: one line for a person.
    """

    reason: str


@dataclass(slots=True)
class _Open:
    """The picture that is being put together."""

    arrived_s: float = 0.0
    pts: int | None = None
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    slices: int = 0
    is_key: bool = False


class AccessUnits:
    """Puts one stream's pieces together; used by one thread.

    Attributes:
        is_early: whether the latest picture was handed out with its last piece.

    Args:
        codec: one of `ASSEMBLED`.
    """

    def __init__(self, codec: str) -> None:
        self._kinds = _H264 if codec == "h264" else _HEVC
        self._open: _Open | None = None
        self._fragments = _Fragments(len(_START) + self._kinds.header_bytes)
        self._habits = {False: _Habit(_PROVEN), True: _Habit(_PROVEN_KEY)}
        self._may_be_early = True
        self._closed_pts: int | None = None
        self._torn_pts: int | None = None
        self.is_early = False

    def take(self, piece: bytes, pts: int | None, now_s: float) -> Iterator[AccessUnit | Torn]:
        """Take the next piece and yield what is complete with it.

        Args:
            piece: one or more whole units, each with its start code, or a fragment of one, of which the first
                has a start code: as FFmpeg's RTP depacketiser hands them out.
            pts: its time stamp.
            now_s: when it came.
        """
        if not piece.startswith(_START):
            yield from self._continue(piece, pts)
        else:
            units = _units(piece)
            for unit in units:
                yield from self._begin(unit, pts, now_s)
            self._fragments.begin(piece, is_whole=len(units) > 1)
        opened = self._open
        if opened is None:
            return
        if opened.size > _MOST_BYTES:
            self._open = None
            yield Torn(f"a picture has over {_MOST_BYTES >> 20} MiB")
        elif self._is_complete(opened):
            self.is_early = True
            self._closed_pts = pts
            yield from self._hand_out()

    def finish(self) -> Iterator[AccessUnit | Torn]:
        """Yield the last picture: nothing more comes."""
        if self._open is not None and self._open.slices:
            yield from self._hand_out()

    def _begin(self, unit: bytes, pts: int | None, now_s: float) -> Iterator[AccessUnit | Torn]:
        """Put the begin of a unit to the picture that is open, or to the next one."""
        kinds, kind = self._kinds, self._kinds.kind(unit)
        is_slice = kinds.is_slice(kind)
        is_first = is_slice and kinds.is_first_slice(unit)
        opened = self._open
        if opened is not None and opened.slices and (is_first or kind in kinds.leading or pts != opened.pts):
            self.is_early = False
            self._habits[opened.is_key].note(opened.slices)
            yield from self._hand_out()
        elif opened is None and pts == self._closed_pts and pts is not None:
            if kind in kinds.trailing:
                return
            if is_slice and not is_first:
                yield from self._mistaken(pts)
                return
        if self._open is None:
            self._open = _Open()
        opened = self._open
        opened.pieces.append(unit)
        opened.size += len(unit)
        if is_slice:
            if not opened.slices:
                opened.pts, opened.arrived_s = pts, now_s
            opened.slices += 1
        opened.is_key = opened.is_key or kinds.is_key(kind, unit)

    def _continue(self, piece: bytes, pts: int | None) -> Iterator[AccessUnit | Torn]:
        if not self._fragments.go_on(piece):
            for habit in self._habits.values():
                habit.forget()
        if self._open is not None:
            self._open.pieces.append(piece)
            self._open.size += len(piece)
        elif pts is not None and pts == self._closed_pts:
            yield from self._mistaken(pts)
        elif pts is None or pts != self._torn_pts:
            self._torn_pts = pts
            yield Torn("packets were lost on the way")

    def _is_complete(self, opened: _Open) -> bool:
        if not self._may_be_early or not opened.slices or not self._fragments.ended:
            return False
        return self._habits[opened.is_key].slices == opened.slices

    def _mistaken(self, pts: int | None) -> Iterator[Torn]:
        """Wait for the next picture from now on: what has been handed out was not complete."""
        self._may_be_early = False
        if pts is None or pts != self._torn_pts:
            self._torn_pts = pts
            yield Torn("a picture had more parts than those before it")

    def _hand_out(self) -> Iterator[AccessUnit]:
        opened, self._open = self._open, None
        if opened is not None:
            yield AccessUnit(b"".join(opened.pieces), opened.pts, opened.arrived_s, opened.is_key)


class _Fragments:
    """Tells the last fragment of a unit: it is shorter than the first was.

    Args:
        head_bytes: what the first fragment has in front: start code and unit header.
    """

    def __init__(self, head_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._first_bytes = 0
        self._least_cut_bytes = 0
        self.ended = False

    def begin(self, piece: bytes, *, is_whole: bool) -> None:
        """Note a piece with a start code; whole units that came together are not cut.

        One that is as long as those that others were cut into may be a first fragment. Until one was cut,
        nobody knows.
        """
        self._first_bytes = len(piece)
        self.ended = is_whole or 0 < len(piece) < self._least_cut_bytes

    def go_on(self, piece: bytes) -> bool:
        """Note a further fragment; tell whether it was expected."""
        was_expected = not self.ended
        if not self._least_cut_bytes or self._first_bytes < self._least_cut_bytes:
            self._least_cut_bytes = self._first_bytes
        self.ended = len(piece) < self._first_bytes - self._head_bytes
        return was_expected


class _Habit:
    """How many slices the pictures of a kind have.

    Args:
        proven: after so many alike it is relied on.
    """

    def __init__(self, proven: int) -> None:
        self._proven = proven
        self._last = 0
        self._alike = 0

    @property
    def slices(self) -> int:
        """The number, 0 while it is not known."""
        return self._last if self._alike >= self._proven else 0

    def note(self, slices: int) -> None:
        """Take a picture that was handed out when the next one began."""
        self._alike = self._alike + 1 if slices == self._last else 1
        self._last = slices

    def forget(self) -> None:
        """Begin anew."""
        self._alike = 0


class _H264:
    """Kinds of units of ITU-T H.264, table 7-1."""

    header_bytes = 1
    # Delimiter, parameter sets, and enhancement information come before a picture (7.4.1.2.3).
    leading = frozenset({6, 7, 8, 9})
    trailing = frozenset({10, 11, 12})

    @staticmethod
    def kind(unit: bytes) -> int:
        return unit[4] & 31 if len(unit) > 4 else 0

    @staticmethod
    def is_slice(kind: int) -> bool:
        return kind in (1, 5)  # 2 to 4 are parts of slices, of a profile that nobody decodes

    @staticmethod
    def is_first_slice(unit: bytes) -> bool:
        # first_mb_in_slice is 0 (7.3.3): the first bit of its Exp-Golomb code is 1.
        return len(unit) > 5 and bool(unit[5] & 128)

    @staticmethod
    def is_key(kind: int, unit: bytes) -> bool:
        # A recovery point (D.1.8), as encoders send that refresh the picture bit by bit.
        return kind == 5 or (kind == 6 and len(unit) > 5 and unit[5] == 6)


class _HEVC:
    """Kinds of units of ITU-T H.265, table 7-1."""

    header_bytes = 2
    leading = frozenset({32, 33, 34, 35, 39})
    trailing = frozenset({36, 37, 38, 40})

    @staticmethod
    def kind(unit: bytes) -> int:
        return unit[4] >> 1 & 63 if len(unit) > 5 else 63

    @staticmethod
    def is_slice(kind: int) -> bool:
        return kind < 32

    @staticmethod
    def is_first_slice(unit: bytes) -> bool:
        return len(unit) > 6 and bool(unit[6] & 128)

    @staticmethod
    def is_key(kind: int, unit: bytes) -> bool:  # noqa: ARG004
        return 16 <= kind <= 23


def _units(piece: bytes) -> list[bytes]:
    """Return a piece's units, each with its start code of four bytes."""
    units = []
    begin = 0
    while begin >= 0:
        following = piece.find(_START, begin + len(_START))
        units.append(piece[begin:following] if following >= 0 else piece[begin:])
        begin = following
    return units

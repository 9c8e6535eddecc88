"""Hides what must not be seen in the frames of one stream, once for all that have the same settings."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.frame import Frame
from pipeline.privacy.boxes import GROWTH, Chooser, F64Array, widened
from pipeline.privacy.hide import Blank, Part, hide, parts_of_areas, parts_of_boxes, whole
from pipeline.privacy.memory import Memory
from pipeline.privacy.options import PrivacyOptions

logger = logging.getLogger(__name__)

MOST_BYTES = 256 << 20
"""Most bytes of pictures that one veil holds back."""

MOVED = "moved"
"""`Frame.suspended` while the camera looks elsewhere: areas do not lie where they were drawn."""


class Veiled:
    """A frame whose picture shows nothing that must not be seen, made when the first one asks.

    It knows the original until then; only what `frame` returns is for others.

    Attributes:
        number: the frame's sequence number.
        parts: what is hidden.
    """

    def __init__(
        self, original: Frame, parts: Sequence[Part] = (), options: PrivacyOptions | None = None
    ) -> None:
        self._frame = original
        self.number = original.sequence
        self.parts = parts
        self._options = options
        self._is_done = options is None

    def frame(self) -> Frame:
        """Return the frame, always the same one; nothing leads from it to a picture of what is hidden.

        It is the original itself where there is nothing to hide.
        """
        if not self._is_done and self._options is not None:
            original, options = self._frame, self._options
            found = original.detections
            if self.parts or (found is not None and found.embedding is not None):
                picture = hide(original.picture, self.parts, options.method, options.cells)
                self._frame = original.showing(picture)
            self._is_done = True
        return self._frame

    def blank(self) -> Frame:
        """Return the frame with a black picture, for who does not look at it."""
        picture = self._frame.picture
        return self._frame.showing(Blank(picture.width, picture.height))


class Veil:
    """Decides for each frame of a stream what is hidden; to be shown every frame, in order.

    Args:
        options: what and how.
        stream: whose frames they are.
        ahead: hold frames back for `ahead_s`; False for who cannot wait.
    """

    def __init__(self, options: PrivacyOptions, stream: str, *, ahead: bool = True) -> None:
        self._options = options
        self._stream = stream
        self._ahead_s = options.ahead_s if ahead else 0.0
        self._choose = Chooser(options) if options.wanted else None
        self._memory = Memory(options.hold_s, self._ahead_s)
        self._latest: tuple[float, tuple[int, int]] | None = None
        self._size: tuple[int, int] = (0, 0)
        self._areas: Sequence[Part] = ()
        self._waiting: deque[tuple[Frame, F64Array, bool]] = deque()
        self._bytes = 0
        self._is_cut_short = False

    def look(self, frame: Frame) -> list[Veiled]:
        """Take the next frame; return those that can be shown now, oldest first."""
        ready = []
        size = (frame.picture.width, frame.picture.height)
        if self._latest is not None and (frame.moment.pts_s < self._latest[0] or size != self._latest[1]):
            ready = self.rest()
            self._memory = Memory(self._options.hold_s, self._ahead_s)  # boxes of another clock or picture
        self._latest = (frame.moment.pts_s, size)
        boxes, is_lost = np.empty((0, 4)), False
        if self._choose is not None:
            boxes = self._memory.update(self._choose.seen(frame.detections, frame.tracks), frame.moment.pts_s)
            boxes = np.concatenate([boxes, self._choose.predicted(frame.tracks)])
            boxes = widened(boxes, self._options.margin + GROWTH * frame.carried_s)
            is_lost = self._memory.is_overwhelmed
        self._waiting.append((frame, boxes, is_lost))
        self._bytes += frame.picture.nbytes
        due_s = frame.moment.pts_s - self._ahead_s
        while self._waiting and self._waiting[0][0].moment.pts_s <= due_s:
            ready.append(self._next())
        while self._bytes > MOST_BYTES and len(self._waiting) > 1:
            self._tell(due_s)
            ready.append(self._next())
        return ready

    def rest(self) -> list[Veiled]:
        """Return the frames that are still held back: nothing follows them."""
        return [self._next() for _ in range(len(self._waiting))]

    def _next(self) -> Veiled:
        frame, boxes, is_lost = self._waiting.popleft()
        self._bytes -= frame.picture.nbytes
        if self._ahead_s and self._choose is not None:
            late = widened(self._memory.late(frame.moment.pts_s), self._options.margin)
            boxes = np.concatenate([boxes, late])
            is_lost = is_lost or self._memory.is_overwhelmed
        return Veiled(frame, self._parts(frame, boxes, is_lost=is_lost), self._options)

    def _parts(self, frame: Frame, boxes: F64Array, *, is_lost: bool) -> list[Part]:
        width, height = frame.picture.width, frame.picture.height
        options = self._options
        has_areas = bool(options.areas or options.keep)
        if is_lost or (has_areas and frame.suspended == MOVED):
            return [whole(width, height)]
        if has_areas and (width, height) != self._size:
            self._size = (width, height)
            self._areas = parts_of_areas(options.areas, options.keep, width, height)
        return [*self._areas, *parts_of_boxes(boxes, width, height)]

    def _tell(self, due_s: float) -> None:
        if not self._is_cut_short:
            self._is_cut_short = True
            reached_s = due_s + self._ahead_s - self._waiting[0][0].moment.pts_s
            logger.warning(
                "stream '%s': privacy.ahead_s: %g needs more than the %d MiB that pictures may wait in; "
                "they are held back %.2f s only: use a smaller picture, a lower rate or a shorter time",
                self._stream,
                self._ahead_s,
                MOST_BYTES >> 20,
                reached_s,
            )


class Veils:
    """The veils of one stream: one for each different setting, so that each hides once.

    Attributes:
        hide: whether anything is hidden from anybody.

    Args:
        settings: of all who get frames; None among them stands for those from whom nothing is hidden.
        stream: whose frames they are.
    """

    def __init__(self, settings: Iterable[PrivacyOptions | None], stream: str) -> None:
        different = {one for one in settings if one is not None}
        self._veils = [(one, Veil(one, stream)) for one in different]
        self.hide = bool(self._veils)
        self._ready: dict[PrivacyOptions | None, list[Veiled]] = {}

    def look(self, frame: Frame) -> None:
        """Take the next frame."""
        self._ready = {one: veil.look(frame) for one, veil in self._veils}
        self._ready[None] = [Veiled(frame)]

    def rest(self) -> None:
        """Have the frames ready that were held back: nothing follows them."""
        self._ready = {one: veil.rest() for one, veil in self._veils}

    def ready(self, setting: PrivacyOptions | None) -> list[Veiled]:
        """Return the frames that can be shown now to those with this setting, oldest first."""
        return self._ready.get(setting, [])

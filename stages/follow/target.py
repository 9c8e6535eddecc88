"""One object over time: followed, lost, looked for ever further away, found again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stages.follow.finder import Finder, Sighting
from stages.follow.view import F64Array, U8Array, box_at, centre_of, size_of

# After a longer pause the object is not near where it was: it is searched for.
_FOLLOW_S = 0.5


class Target:
    """Follows one object and gives it an id; media time decides, not the number of pictures.

    Args:
        finder: how the object is found.
        new_id: returns an id that was never used.
        max_age_s: an object that was lost for longer gets a new id.
        search_all_s: the searched region grows for so long until it is the whole picture.
        first: where the object is, when that is known; else it is searched for.
        pts_s: media time of `first`.
    """

    def __init__(
        self,
        finder: Finder,
        new_id: Callable[[], int],
        *,
        max_age_s: float,
        search_all_s: float,
        first: Sighting | None = None,
        pts_s: float = 0.0,
    ) -> None:
        self._finder = finder
        self._new_id = new_id
        self._max_age_s = max_age_s
        self._search_all_s = search_all_s
        self._last = first
        self._seen_s = pts_s
        self._lost = first is None
        self.id = 0 if first is None else new_id()

    @property
    def place(self) -> F64Array | None:
        """Where it is now, (4,) xyxy px; None while it is lost."""
        return None if self._lost or self._last is None else self._last.box

    def update(self, bgr: U8Array, pts_s: float, taken: Sequence[F64Array] = ()) -> Sighting | None:
        """Return where the object is in the next picture, or None while it is lost.

        Args:
            bgr: (H, W, 3) uint8 picture.
            pts_s: media time in seconds, later than at the call before.
            taken: boxes (4,) xyxy px of other objects; it is not searched for there.
        """
        elapsed_s = pts_s - self._seen_s
        found = None
        if self._last is not None and not self._lost and elapsed_s <= _FOLLOW_S:
            found = self._finder.follow(bgr, self._last.window, elapsed_s)
        if found is None:
            found = self._finder.search(bgr, self._region(bgr, elapsed_s), taken)
        if found is None:
            self._lost = True
            return None
        if self._last is None or elapsed_s > self._max_age_s:
            self.id = self._new_id()
        self._last, self._seen_s, self._lost = found, pts_s, False
        return found

    def _region(self, bgr: U8Array, elapsed_s: float) -> F64Array:
        """Return what is searched: its own size further each way at once, all of the picture in the end."""
        height, width = bgr.shape[:2]
        if self._last is None or elapsed_s >= self._search_all_s:
            return np.array([0, 0, width, height], np.float64)
        size = size_of(self._last.window)
        reach = size.max() + max(width, height) * elapsed_s / self._search_all_s
        return box_at(centre_of(self._last.window), size + 2 * reach)

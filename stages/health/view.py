"""The view that a camera must have: learned once, recognised under any light, never silently exchanged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.vision.same_view import Agreement, ReferenceView, SceneView
from stages.vision.view_shift import Shift, in_place, locate, search, undone

U8Array = npt.NDArray[np.uint8]

# Pictures of which a reference is the median: what passes is in the minority everywhere.
SAMPLES = 9
MOST_LOOKS = 3
"""Most lights in which a view is remembered: day, night, and one between."""

# So many cells alike: nothing has moved, and nothing else needs to be asked.
_SURELY_SAME = 0.5
# Less than this of what a reference shows is too little to recognise it by.
_FEWEST_CELLS = 10
# While a reference is learned, pictures may differ by no more than this from each other.
_STANDS_SHARE = 0.015
# A view that is in place but looks this different is remembered in this light, too.
_OTHER_LIGHT = 0.4
_OTHER_LIGHT_S = 60.0
_LEAST_SHARP = 0.75
# As much of the reference, where it was found before: it is still there.
_STILL_THERE = 0.3
# A search for features is dear: after each the next one waits, twice as long after one without success.
_SEARCH_S = 5.0
_LONGEST_SEARCH_S = 80.0


@dataclass(frozen=True, slots=True)
class Known:
    """A view in one light.

    Attributes:
        luma: (H, W) uint8, reduced.
        sharpness: what is normal in this light, None where there are too few edges to tell.
        offset_share: by how much this light's picture lies beside the first one, as a share of the diagonal.
    """

    luma: U8Array
    sharpness: float | None
    offset_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture shows of the view.

    Attributes:
        agreement: how it agrees, in place, with the light that is nearest.
        shift: where the view is; None when it was not found.
        sharpness: what is normal in that light.
    """

    agreement: Agreement
    shift: Shift | None
    sharpness: float | None


class View:
    """What a camera must show; the first light is the reference, others are only ways to recognise it.

    Args:
        known: the reference and other lights, at most `MOST_LOOKS`, the reference first.
    """

    def __init__(self, known: list[Known]) -> None:
        self.known = known
        self.changed = False
        self._views = [ReferenceView(light.luma) for light in known]
        self._latest = 0
        self._elsewhere: Shift | None = None
        self._next_search_s: float | None = None
        self._search_s = _SEARCH_S
        self._learner = Learner(_OTHER_LIGHT_S)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) px of the reduced reference."""
        return self._views[0].shape

    @property
    def recognisable(self) -> bool:
        """Whether there is enough structure to recognise it by."""
        return is_recognisable(self._views[0])

    def look(self, view: SceneView, time_s: float) -> Sight:
        """Find the view in a picture of the same size, at this media time."""
        best = self._views[self._latest].agreement(view)
        if best.same < _SURELY_SAME:
            for index, other in enumerate(self._views):
                if index != self._latest and (found := other.agreement(view)).same > best.same:
                    best, self._latest = found, index
        normal = self.known[self._latest].sharpness
        if best.same >= _SURELY_SAME:
            shift: Shift | None = in_place(self.shape)
        else:
            reference = self._views[self._latest]
            shift = locate(reference, view) or self._searched(reference, view, time_s)
        return Sight(best, None if shift is None else self._from_first(shift), normal)

    def learn(self, sight: Sight, view: SceneView, sharpness: float | None, time_s: float) -> None:
        """Take a picture in which all is well; remember its light if it is a new one.

        A new light that looks less sharp than the reference is not taken: it would hide a loss of focus.
        """
        if sight.agreement.same >= _OTHER_LIGHT or sight.shift is None:
            self._learner.restart()
            return
        learned = self._learner.update(view, sharpness, time_s)
        if learned is None:
            return
        self._learner.restart()
        first = self.known[0].sharpness
        if first is not None and (learned.sharpness or 0.0) < _LEAST_SHARP * first:
            return
        light = Known(learned.luma, learned.sharpness, sight.shift.share)
        reference = ReferenceView(light.luma)
        if not is_recognisable(reference):
            return
        if len(self.known) == MOST_LOOKS:
            del self.known[1], self._views[1]
        self.known.append(light)
        self._views.append(reference)
        self._latest = len(self.known) - 1
        self.changed = True

    def _searched(self, reference: ReferenceView, view: SceneView, time_s: float) -> Shift | None:
        if self._elsewhere is not None:
            if reference.agreement(undone(view, self._elsewhere)).same >= _STILL_THERE:
                return self._elsewhere
            self._elsewhere = None
        if self._next_search_s is not None and time_s < self._next_search_s:
            return None
        self._elsewhere = search(reference, view)
        if self._elsewhere is not None:
            self._search_s = _SEARCH_S
        self._next_search_s = time_s + self._search_s
        self._search_s = min(2 * self._search_s, _LONGEST_SEARCH_S)
        return self._elsewhere

    def _from_first(self, shift: Shift) -> Shift:
        offset = self.known[self._latest].offset_share
        if offset == 0:
            return shift
        # Which way the light's own offset went does not matter: it is small, and must not hide a slow drift.
        return Shift(shift.homography, shift.share + offset, shift.shift_px, shift.rotation_deg, shift.zoom)


class Learner:
    """Gathers pictures of a camera that stands, and gives their median.

    Args:
        learn_s: time over which they are gathered.
    """

    def __init__(self, learn_s: float) -> None:
        self._step_s = learn_s / (SAMPLES - 1)
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self._pictures: list[U8Array] = []
        self._sharpness: list[float] = []
        self._first: ReferenceView | None = None
        self._start_s = self._next_s = 0.0

    def update(self, view: SceneView, sharpness: float | None, time_s: float) -> Known | None:
        """Take a picture; return the view when it is known.

        Pictures in which the camera does not stand, or that show too little to be recognised by, begin anew.
        """
        if self._first is not None and time_s < self._next_s - 1e-6:
            return None
        if self._first is not None and not _stands(self._first, view):
            self.restart()
        if self._first is None:
            first = ReferenceView(view.luma)
            if not is_recognisable(first):
                return None
            self._first = first
            self._start_s = time_s
        self._pictures.append(view.luma)
        if sharpness is not None:
            self._sharpness.append(sharpness)
        # Counted from the first one: looks that do not fall on these times delay the end by one look at most.
        self._next_s = self._start_s + len(self._pictures) * self._step_s
        if len(self._pictures) < SAMPLES:
            return None
        luma = np.median(np.stack(self._pictures), axis=0).astype(np.uint8)
        enough = len(self._sharpness) > SAMPLES // 2
        known = Known(luma, float(np.median(self._sharpness)) if enough else None)
        self.restart()
        return known


def is_recognisable(reference: ReferenceView) -> bool:
    """Return whether there is enough structure in a reference to tell it from other views."""
    return int(reference.structured.sum()) >= _FEWEST_CELLS


def _stands(reference: ReferenceView, view: SceneView) -> bool:
    if reference.agreement(view).same >= _SURELY_SAME:
        return True
    shift = locate(reference, view)
    return shift is not None and shift.share <= _STANDS_SHARE

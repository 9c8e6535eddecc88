"""What one picture says of each problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.health.options import HealthOptions
from stages.health.problem import Finding, Problem
from stages.health.view import Sight
from stages.vision.halving import halved_luma
from stages.vision.novelty import Novelty
from stages.vision.same_view import SceneView
from stages.vision.sharpness import sharpness

U8Array = npt.NDArray[np.uint8]

WIDTH_PX = 400
"""Pictures are halved until they are no larger than this."""

_ROWS = 36
_MOST_PX = 70_000
_BRIGHTEST = 99.0
# What has been sent again may differ in the time of day that the camera writes into it.
_NOVEL_SHARE = 0.03
# After a pause of so long nobody knows what was sent meanwhile.
_LONGEST_PAUSE_S = 5.0
# Coarse brightness as it was, and a little structure, but most of it gone: out of focus, not covered.
_BACKDROP_KEPT = 0.85
_KEPT = 0.1
_FADED = 0.5
# A picture as bright as this share of the reference would have strong edges if it was in focus.
_LIT = 0.7
# A view can be missed only where the picture has something to recognise it by.
_LEAST_TOLD = 0.5
_LEAST_BUSY = 0.3
# A view that has moved by so much is compared with other places of the picture.
_ELSEWHERE = 0.02
# As much of the reference in place is the view, whatever hides the rest of it.
_RECOGNISED = 0.3


@dataclass(frozen=True, slots=True)
class Glance:
    """What is measured of a picture by itself.

    Attributes:
        view: reduced.
        brightest: level that the brightest hundredth of the picture reaches.
        sharpness: of its edges, None where there are too few.
        reduction: by how much the picture was reduced.
    """

    view: SceneView
    brightest: float
    sharpness: float | None
    reduction: int


class Measure:
    """Looks at pictures one by one; remembers only what was sent lately."""

    def __init__(self, options: HealthOptions) -> None:
        self._options = options
        self._novelty = Novelty()
        self.restart()

    def restart(self) -> None:
        """Forget what was sent."""
        self._novelty.restart()
        self._novel_s: float | None = None
        self._looked_s = 0.0

    def frozen(self, luma: U8Array, time_s: float) -> Finding | None:
        """Tell whether the picture hangs; None when that is not watched."""
        threshold_s = self._options.frozen_s
        if threshold_s is None:
            return None
        if self._novel_s is not None and time_s - self._looked_s > max(
            _LONGEST_PAUSE_S, 3 * self._options.every_s
        ):
            self._novelty.restart()
        self._looked_s = time_s
        share = self._novelty.update(some_rows(luma))
        if share > _NOVEL_SHARE or self._novel_s is None:
            self._novel_s = time_s
        lasted_s = time_s - self._novel_s
        bad = lasted_s >= threshold_s
        return Finding(bad, round(lasted_s, 3), threshold_s, self._novel_s if bad else None)

    def glance(self, luma: U8Array) -> Glance:
        """Measure a picture by itself."""
        reduced, reduction = halved_luma(luma, WIDTH_PX)
        levels = np.cumsum(np.bincount(reduced.ravel(), minlength=256))
        brightest = int(np.searchsorted(levels, _BRIGHTEST / 100 * levels[-1]))
        wanted = self._options.blurred is not None
        return Glance(
            SceneView(reduced),
            float(brightest),
            sharpness(some_rows(luma)[::2]) if wanted else None,
            reduction,
        )

    def dark(self, glance: Glance) -> Finding | None:
        """Tell whether nothing is lit; None when that is not watched."""
        threshold = self._options.dark
        if threshold is None:
            return None
        return Finding(glance.brightest < threshold, glance.brightest, threshold)

    def against(self, glance: Glance, sight: Sight) -> dict[Problem, Finding | None]:
        """Tell what is wrong with the view, from a picture that is not dark.

        Args:
            glance: the picture.
            sight: what it shows of the view.
        """
        agreement, shift = sight.agreement, sight.shift
        edgeless = glance.sharpness is None and sight.sharpness is not None and agreement.light >= _LIT
        kept = agreement.backdrop >= _BACKDROP_KEPT and agreement.same >= _KEPT
        faded = kept and (edgeless or agreement.gone >= _FADED)
        found: dict[Problem, Finding | None] = {"blurred": self._blurred(glance, sight, faded=faded)}
        covered = None
        if self._options.covered is not None and agreement.told >= _LEAST_TOLD:
            share = agreement.gone
            if agreement.same < _RECOGNISED:  # nothing of it, and nothing else instead
                share = max(share, 1.0 - agreement.busy)
            share = 0.0 if faded else share
            covered = Finding(share >= self._options.covered, round(share, 3), self._options.covered)
        limit = self._options.moved
        if shift is not None and shift.share >= _ELSEWHERE:
            covered = None  # what a camera shows that looks elsewhere says nothing about a cover
        found["covered"], found["moved"] = covered, None
        if limit is None:
            return found
        if shift is not None:
            x, y = (round(v * glance.reduction, 1) for v in shift.shift_px)
            detail: Mapping[str, Any] = {
                "recognised": True,
                "shift_px": [x, y],
                "rotation_deg": round(shift.rotation_deg, 2),
                "zoom": round(shift.zoom, 3),
            }
            found["moved"] = Finding(shift.share >= limit, round(shift.share, 4), limit, detail=detail)
        elif agreement.same >= _RECOGNISED:
            found["moved"] = Finding(False, 0.0, limit, detail={"recognised": True})
        elif not faded and not (covered and covered.bad) and self._tells(sight):
            found["moved"] = Finding(True, 1.0, limit, detail={"recognised": False})
        return found

    def _tells(self, sight: Sight) -> bool:
        return sight.agreement.told >= _LEAST_TOLD and sight.agreement.busy >= _LEAST_BUSY

    def _blurred(self, glance: Glance, sight: Sight, *, faded: bool) -> Finding | None:
        threshold = self._options.blurred
        if threshold is None or sight.sharpness is None:
            return None
        if glance.sharpness is None:
            # Edges can be missing for lack of focus or of anything: only the former keeps the backdrop.
            return Finding(True, 0.0, threshold) if faded else None
        share = glance.sharpness / sight.sharpness
        return Finding(share < threshold, round(share, 3), threshold)


def some_rows(luma: U8Array) -> U8Array:
    """Return some rows at full size, evenly spread: (N, W) uint8, 36 of 1080p and half as many of 4K."""
    wanted = max(min(_ROWS, _MOST_PX // luma.shape[1]), 1)
    step = max(luma.shape[0] // wanted, 1)
    return np.ascontiguousarray(luma[step // 2 :: step])

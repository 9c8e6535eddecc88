"""Decides for each frame whether the detector looks at it, and says what is there when it does not."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

import numpy as np

from pipeline.frame import Frame
from pipeline.objects import Detections, F32Array
from pipeline.picture import Picture, U8Array
from stages.detect.spend.account import Account
from stages.detect.spend.carry import FLOW_PX, Carrier
from stages.detect.spend.gate import GATE_PX, MotionGate
from stages.detect.spend.options import SpendOptions
from stages.detect.spend.pace import Beat, Pacer
from stages.detect.spend.regions import Mosaic, regions_of
from stages.vision.halving import halved_luma
from stages.vision.sparse_flow import FlowView

# Of changes that regions are made of so many are remembered: half a second at 60 frames/s.
_MOST_CHANGES = 32
_IDLE_S = 0.09
"""While nothing moves, pictures that follow the last comparison sooner than this are not compared either."""


class Act(Enum):
    """What is done for a frame."""

    LOOK = auto()
    REGIONS = auto()
    CARRY = auto()
    KEEP = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done for one frame.

    Attributes:
        act: what.
        picture: for the detector, None when it does not look.
        view: the reduced picture for optical flow, None where nothing is ever carried.
        factor: px of the full picture per px of it.
        mosaic: where the regions are from, for `Act.REGIONS`.
    """

    act: Act
    picture: Picture | None
    view: FlowView | None = None
    factor: int = 1
    mosaic: Mosaic | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """Where carrying begins.

    Attributes:
        detections: px of the full picture.
        view: the picture they are in, reduced.
        factor: px of the full picture per px of it.
    """

    detections: Detections
    view: FlowView
    factor: int


class Spender:
    """Plans the frames of one stream, in order, and settles them in the same order once the looks are done.

    Args:
        options: of the detector.
    """

    def __init__(self, options: SpendOptions) -> None:
        self._options = options
        self._compares = options.gate or options.regions
        self._carries = options.carries_of(live=False)
        self._pacer = Pacer(options)
        self._account = Account()
        self._forget()

    def begin(self, *, live: bool) -> None:
        """Begin with pictures of perhaps another size.

        Args:
            live: they come at their own pace.
        """
        self._pacer.begin(live=live)
        self._carries = self._options.carries_of(live=live)
        self._forget()

    @property
    def _is_plain(self) -> bool:
        return not (self._compares or self._carries)

    def _forget(self) -> None:
        self._gate = MotionGate()
        self._changes: deque[tuple[float, U8Array]] = deque(maxlen=_MOST_CHANGES)
        self._last: Beat | None = None
        self._trusted = False
        self._looked_s = self._whole_s = self._moved_s = self._compared_s = -np.inf
        self._found: Detections | None = None
        self._found_s = 0.0
        self._looked: Frame | None = None
        self._seed: Seed | None = None
        self._carrier: Carrier | None = None

    def plan(self, frame: Frame) -> Plan:
        """Decide what to do for the next frame."""
        if self._is_plain:
            return Plan(Act.LOOK, frame.picture)
        pts_s, options = frame.moment.pts_s, self._options
        self._let_go()
        last, self._last = self._last, Beat(frame.run, frame.sequence, pts_s)
        due = self._pacer.due(self._last)
        # As in `Frame.follows`; a frame that is gone is not held for it, its picture is large.
        follows = last is not None and (last.run == frame.run or last.pts_s < pts_s)
        anew = not (self._trusted and follows) or frame.gap is not None
        still = pts_s - self._moved_s > options.hold_s
        refresh = pts_s - self._looked_s >= options.refresh_s
        if options.gate and still and not (anew or refresh) and pts_s - self._compared_s < _IDLE_S:
            return Plan(Act.KEEP, None)
        # After a first look it is not known yet that nothing moves.
        self._compared_s = -np.inf if anew else pts_s
        view, small, factor = self._reduced(frame.picture)
        changed = None
        if small is not None and not anew:
            # While things move the reference is too young for the exposure to have changed, and it does not
            # matter: the detector looks anyway.
            changed = self._gate.changes(small, relit=still)
        if changed is not None:
            self._moved_s = pts_s
            if options.regions:
                self._changes.append((pts_s, changed))
        if anew or refresh:
            return self._look(frame, small, view, factor, None)
        if options.gate and changed is None and still:
            return Plan(Act.KEEP, None)
        if not due:
            return Plan(Act.CARRY, None, view, factor)
        mosaic = None
        if options.regions and pts_s - self._whole_s < options.full_s:
            mosaic = regions_of(frame.picture, self._recent(pts_s), self._known())
        return self._look(frame, small, view, factor, mosaic)

    def settle(self, frame: Frame, plan: Plan, found: Detections | None) -> bool:
        """Set the frame's detections.

        Args:
            frame: as it was planned.
            plan: its plan.
            found: what the detector found, None when it did not look.

        Returns:
            False when nothing is known, because looks before this frame were lost.
        """
        account, pts_s = self._account, frame.moment.pts_s
        if plan.act is Act.LOOK:
            account.looked += 1
        elif plan.act is Act.REGIONS and found is not None and plan.mosaic is not None:
            account.regions += 1
            found = plan.mosaic.merged(found, self._found)
        elif plan.act is Act.CARRY:
            found = self._carried(frame, plan)
        else:
            account.unchanged += 1
            found = self._found
        if found is None:
            return False
        if plan.picture is not None:
            self._found_s = pts_s
            self._carrier = None
            self._looked, self._seed = None, None
            if plan.view is not None:
                self._looked, self._seed = frame, Seed(found, plan.view, plan.factor)
        self._found = frame.detections = found
        frame.carried_s = pts_s - self._found_s
        frame.still = plan.act is Act.KEEP
        account.age_s = frame.carried_s
        if plan.act is Act.CARRY:
            account.carried += 1
            account.oldest_s = max(account.oldest_s, frame.carried_s)
        return True

    def lost(self) -> None:
        """Say that the look at a planned frame failed: the next frame is looked at."""
        self._trusted = False

    def paid(self, seconds: float, looks: int) -> None:
        """Note what some looks cost together."""
        self._pacer.paid(seconds, looks)

    def statistics(self) -> dict[str, Any]:
        """Return what became of the frames; nothing when each was looked at by configuration."""
        if self._is_plain:
            return {}
        return self._account.statistics(self._pacer.cost_s * 1e3, self._pacer.spacing_s)

    def _reduced(self, picture: Picture) -> tuple[FlowView | None, U8Array | None, int]:
        """Return the picture for optical flow, the one to compare, and the reduction of the former."""
        if not self._carries:
            return None, halved_luma(picture.luma(), GATE_PX)[0] if self._compares else None, 1
        luma, factor = halved_luma(picture.luma(), FLOW_PX)
        return FlowView(luma), halved_luma(luma, GATE_PX)[0] if self._compares else None, factor

    def _look(
        self, frame: Frame, small: U8Array | None, view: FlowView | None, factor: int, mosaic: Mosaic | None
    ) -> Plan:
        pts_s = frame.moment.pts_s
        self._pacer.looked(pts_s)
        self._trusted, self._looked_s = True, pts_s
        if small is not None:
            where = None if mosaic is None else mosaic.looked_at((small.shape[0], small.shape[1]))
            self._gate.learn(small, where)
        if mosaic is not None:
            return Plan(Act.REGIONS, mosaic.picture, view, factor, mosaic)
        self._whole_s = pts_s
        return Plan(Act.LOOK, frame.picture, view, factor)

    def _carried(self, frame: Frame, plan: Plan) -> Detections | None:
        if self._found is None or plan.view is None:
            return None
        self._let_go()
        if self._carrier is None and self._seed is not None:
            seed, self._seed = self._seed, None
            size = frame.picture.width, frame.picture.height
            self._carrier = Carrier(seed.view, seed.factor, seed.detections, size)
        if self._carrier is None:
            return None
        before = len(self._carrier)
        found = self._carrier.carry(plan.view)
        self._account.lost_boxes += before - len(self._carrier)
        return found

    def _let_go(self) -> None:
        """Take from the frame of the last look what later stages made of it, and let go of the frame."""
        looked, self._looked = self._looked, None
        if looked is not None and self._seed is not None:
            self._seed = replace(self._seed, detections=_smoothed(looked, self._seed.detections))

    def _recent(self, pts_s: float) -> U8Array | None:
        """Return what has changed within the time for which the detector goes on looking; None: nothing."""
        while self._changes and pts_s - self._changes[0][0] > self._options.hold_s:
            self._changes.popleft()
        if not self._changes:
            return None
        return np.asarray(np.maximum.reduce([mask for _, mask in self._changes]), np.uint8)

    def _known(self) -> F32Array:
        """Return (N, 4) where objects are, as far as is known."""
        boxes = [] if self._found is None else [self._found.xyxy]
        return np.concatenate([np.zeros((0, 4), np.float32), *boxes])


def _smoothed(seed: Frame, found: Detections) -> Detections:
    """Return what was found at a look, with the boxes of the tracks that a later stage made of it.

    A tracker knows better where an object is than one look does, and what is carried lasts for long. Stages
    put tables with more columns in the place of the one that was found; other rows are another matter.
    """
    tracks, table = seed.tracks, seed.detections
    if tracks is None or table is None or not np.array_equal(table.xyxy, found.xyxy):
        return found
    rows = np.flatnonzero((tracks.detection >= 0) & (tracks.detection < len(found)))
    xyxy = found.xyxy.copy()
    xyxy[tracks.detection[rows]] = tracks.xyxy[rows]
    return Detections.unchecked(
        **{name: getattr(found, name) for name in found.__dataclass_fields__} | {"xyxy": xyxy}
    )

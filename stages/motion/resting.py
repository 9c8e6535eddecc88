"""Things that were left or taken away: found against the long-term background, and followed to their end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from stages.vision.blobs import edge_strength, is_relit
from stages.vision.long_term import BoolArray, LongTermBackground, U8Array, different

F32Array = npt.NDArray[np.float32]

Kind = Literal["left", "removed"]
Reason = Literal["gone", "returned", "stayed", "scene", "end"]

MAX_THINGS = 50
"""Most that are followed at a time."""

# More that rests at once, by number or share of the picture, is a camera that was moved.
_MOST_BLOBS = 30
_MOST_SHARE = 0.3

# A person who stands still does not stand as still as a thing: the rim moves. This share of the recent time
# may show something else there, on average.
_CALM = 0.1
_RIM_PX = 5
# What two places differ by at least, in levels, so that chance decides nothing.
_SAME_LEVELS = 2.0

# The thing is gone when so much of its place shows the background for so long, or no longer holds still.
_BARE = 0.7
_BARE_S = 2.0
_HOLDS = 0.5
# Of a box's area, what lies in boxes of people is a person's.
_COVERED = 0.5


@dataclass(slots=True, eq=False)
class Thing:
    """Something that was left, or that is missing.

    Attributes:
        number: from 1, never used twice.
        kind: what it is.
        since_s: media time at which it came to rest, or was taken away.
        told_s: media time at which that was told.
        xyxy: (4,) float32 px of the reduced picture.
        mask: (h, w) bool, its pixels within its box.
        bare_s: for how long its place has shown the background.
    """

    number: int
    kind: Kind
    since_s: float
    told_s: float
    xyxy: F32Array
    mask: BoolArray
    bare_s: float = 0.0

    @property
    def part(self) -> tuple[slice, slice]:
        """Its box as rows and columns of the reduced picture."""
        left, top, right, bottom = self.xyxy.astype(int).tolist()
        return slice(top, bottom), slice(left, right)


@dataclass(frozen=True, slots=True)
class Change:
    """A thing has been found (`reason` None), or has come to its end."""

    thing: Thing
    reason: Reason | None = None


class Resting:
    """Follows the things of one scene.

    Args:
        min_area: smallest thing, as a share of the picture's area.
        stayed_s: what has been there for so long is background from then on.
    """

    def __init__(self, min_area: float, stayed_s: float) -> None:
        self._min_area = min_area
        self._stayed_s = stayed_s
        self._made = 0
        self.things: list[Thing] = []

    def end(self, reason: Reason) -> list[Change]:
        """End all things."""
        ended, self.things = self.things, []
        return [Change(thing, reason) for thing in ended]

    def look(
        self, background: LongTermBackground, pts_s: float, step_s: float, people_xyxy: F32Array
    ) -> list[Change]:
        """Return what has changed since the last look.

        Args:
            background: with this moment's picture learned.
            pts_s: media time.
            step_s: seconds since the last look.
            people_xyxy: (M, 4) px of the reduced picture, boxes in which nothing is found.

        Returns:
            Ended things first. When the whole scene rests somewhere else than it did, all are ended and the
            background is begun anew.
        """
        resting = background.resting()
        changes = self._ended(background, resting, pts_s, step_s)
        for thing in self.things:
            resting[_grown(thing, resting.shape)] = 0
        resting = np.asarray(cv2.morphologyEx(resting, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(resting, connectivity=8, ltype=cv2.CV_32S)
        share = cv2.countNonZero(resting) / resting.size
        large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= self._min_area * resting.size]
        if len(large) > _MOST_BLOBS or share > _MOST_SHARE:
            background.restart()
            return [*changes, *self.end("scene")]
        for number in range(1, count):
            where = labels == number
            if number not in large:
                background.accept(where)
            elif len(self.things) < MAX_THINGS:
                left, top, width, height = stats[number, :4].tolist()
                box = np.array([left, top, left + width, top + height], np.float32)
                changes.extend(self._begun(background, where, box, pts_s, people_xyxy))
        return changes

    def _begun(
        self, background: LongTermBackground, where: BoolArray, box: F32Array, pts_s: float, people: F32Array
    ) -> Iterator[Change]:
        blob = where.astype(np.uint8) * np.uint8(255)
        if cv2.mean(background.restless, mask=_rim(blob))[0] > _CALM:
            return
        if _covered(box, people) > _COVERED:
            return
        if is_relit(blob, background.held, background.back):
            background.accept(where)
            return
        self._made += 1
        thing = Thing(
            number=self._made,
            kind="left" if _stands_out(background, blob) else "removed",
            since_s=float(np.median(background.since_s[where])),
            told_s=pts_s,
            xyxy=box,
            mask=np.zeros(0, np.bool_),
        )
        thing.mask = where[thing.part].copy()
        self.things.append(thing)
        yield Change(thing)

    def _ended(
        self, background: LongTermBackground, resting: U8Array, pts_s: float, step_s: float
    ) -> list[Change]:
        changes = []
        for thing in self.things:
            reason = self._fate(thing, background, resting, pts_s, step_s)
            if reason is None:
                continue
            where = np.zeros(resting.shape, np.bool_)
            where[_grown(thing, resting.shape)] = True
            if reason == "stayed":
                background.accept(where)
            else:
                background.give_up(where)
            resting[where] = 0
            changes.append(Change(thing, reason))
        ended = [change.thing for change in changes]
        self.things = [thing for thing in self.things if thing not in ended]
        return changes

    def _fate(
        self, thing: Thing, background: LongTermBackground, resting: U8Array, pts_s: float, step_s: float
    ) -> Reason | None:
        part, size = thing.part, max(int(thing.mask.sum()), 1)
        over: Reason = "gone" if thing.kind == "left" else "returned"
        differs = different(background.picture, background.back)[part] > 0
        bare = 1 - int((differs & thing.mask).sum()) / size
        thing.bare_s = thing.bare_s + step_s if bare >= _BARE else 0.0
        if thing.bare_s >= _BARE_S:
            return over
        if int(((resting[part] > 0) & thing.mask).sum()) < _HOLDS * size:
            return over
        return "stayed" if pts_s - thing.told_s >= self._stayed_s else None


def _rim(blob: U8Array) -> U8Array:
    """Return the blob's outline, and a little to either side of it."""
    kernel = np.ones((_RIM_PX, _RIM_PX), np.uint8)
    return np.asarray(cv2.morphologyEx(blob, cv2.MORPH_GRADIENT, kernel), np.uint8)


def _stands_out(background: LongTermBackground, blob: U8Array) -> bool:
    """Return whether the blob stands out from its surroundings now more than it did in the background.

    It does so by edges along its outline, and by levels that its surroundings do not have.
    """
    outline = np.asarray(cv2.morphologyEx(blob, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)), np.uint8)
    near, wide = (cv2.dilate(blob, np.ones((side, side), np.uint8)) for side in (5, 15))
    around = np.asarray(cv2.subtract(wide, near), np.uint8)
    now, before = (
        (edge_strength(luma, outline) + _SAME_LEVELS) * (_levels_apart(luma, blob, around) + _SAME_LEVELS)
        for luma in (background.held, background.back)
    )
    return now >= before


def _levels_apart(luma: U8Array, one: U8Array, other: U8Array) -> float:
    """Return by how many levels the brightness in two masks differs: the earth mover's distance."""
    shares = []
    for mask in (one, other):
        counts = np.bincount(luma[mask > 0], minlength=256)
        shares.append(np.cumsum(counts) / max(int(counts.sum()), 1))
    return float(np.abs(shares[0] - shares[1]).sum())


def _grown(thing: Thing, shape: tuple[int, ...]) -> BoolArray:
    """Return (H, W) the thing's pixels and those next to them, in which its rim may lie."""
    mask = np.zeros(shape, np.uint8)
    mask[thing.part] = thing.mask
    return cv2.dilate(mask, np.ones((_RIM_PX, _RIM_PX), np.uint8)) > 0


def _covered(box: F32Array, others: F32Array) -> float:
    """Return the largest share of the box that lies in one of the others (M, 4)."""
    if len(others) == 0:
        return 0.0
    extent = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float((np.clip(extent, 0, None).prod(axis=1) / (box[2:] - box[:2]).prod()).max())

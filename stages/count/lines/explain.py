"""Follows what becomes of each object near each line, for those who ask why it was or was not counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from stages.count.geometry import Anchor, F64Array, Polyline, anchor_points
from stages.count.lines.counters import LineCounters
from stages.count.lines.crossing import Reason, Verdict
from stages.count.lines.stories import PREDICTED, LineFacts, StoryFile, passed_by, sentence
from stages.count.lines.watch import LineWatch
from stages.count.seen import Seen

_REACH = 5.0
"""Who comes no nearer to a line than so many bands is of no interest."""


@dataclass(slots=True)
class _Story:
    """An object near a line: how near it came and when, and what is known of its end."""

    label: str
    at_s: float
    nearest_px: float
    told: bool = False
    predicted: bool = False


@dataclass(frozen=True, slots=True)
class WatchedLine:
    """A gate with what is said of it."""

    facts: LineFacts
    line: Polyline
    anchor: Anchor


class Explainer:
    """Writes for each object that came near a line why it was or was not counted.

    Args:
        lines: all gates.
        file: where to.
        vanished_s: see `CountOptions`.
        forget_s: see `CountOptions`.
    """

    def __init__(
        self, lines: Sequence[WatchedLine], file: StoryFile, vanished_s: float, forget_s: float
    ) -> None:
        self._lines = tuple(lines)
        self._file = file
        self._stories: dict[int, dict[int, _Story]] = {}  # by object, by line
        self._guessed: dict[Anchor, LineCounters] = {}
        for anchor in {watched.anchor for watched in lines}:
            watches = [
                LineWatch(
                    watched.line,
                    watched.facts.band_px,
                    watched.facts.hold_s,
                    vanished_s,
                    lambda *_: True,
                    tell=partial(self._guess, number),
                )
                for number, watched in enumerate(lines)
                if watched.anchor == anchor
            ]
            self._guessed[anchor] = LineCounters(watches, forget_s)

    def tell(self, number: int, verdict: Verdict) -> None:
        """Take what was decided at the gate of this number."""
        facts = self._lines[number].facts
        story = self._story(verdict.track_id, number, verdict.label, verdict.until_s)
        story.told = True
        self._file.add(
            facts.name,
            verdict.track_id,
            verdict.label,
            verdict.until_s,
            sentence(facts, verdict),
            counted=verdict.reason is Reason.COUNTED,
            reason=verdict.reason.name.lower(),
        )

    def update(self, seen: Seen) -> None:
        """Note who comes near which line; tell of those that are gone for good."""
        for object_id in seen.ended:
            self._close(object_id)
        if seen.suspended is not None:
            for counters in self._guessed.values():
                counters.suspend()
            return
        for number, watched in enumerate(self._lines):
            if not len(seen):
                break
            distances_px = watched.line.distances_px(seen.anchors(watched.anchor))
            reach_px = max(_REACH * watched.facts.band_px, 10.0)
            for row in np.flatnonzero(distances_px < reach_px).tolist():
                story = self._story(seen.ids[row], number, seen.labels[row], seen.time_s)
                if distances_px[row] <= story.nearest_px:
                    story.nearest_px, story.at_s = float(distances_px[row]), seen.time_s
        self._follow_predicted(seen)

    def finish(self) -> None:
        """Tell of all objects that are left."""
        for counters in self._guessed.values():
            counters.finish()
        for object_id in list(self._stories):
            self._close(object_id)

    def _follow_predicted(self, seen: Seen) -> None:
        """Count once more with predicted positions, which are no evidence but would explain what one sees."""
        tracks = seen.frame.tracks
        if tracks is None:
            return
        object_of: Mapping[int, int] = dict(zip(seen.tracks, seen.ids, strict=True))
        ids = [object_of.get(track_id, track_id) for track_id in tracks.id.tolist()]
        if len(set(ids)) < len(ids):
            return  # a lost track is predicted beside the one that goes on for it
        boxes: F64Array = tracks.xyxy.astype(np.float64)
        for anchor, counters in self._guessed.items():
            counters.update(seen.time_s, ids, anchor_points(boxes, anchor), tracks.label.tolist())

    def _guess(self, number: int, verdict: Verdict) -> None:
        story = self._stories.get(verdict.track_id, {}).get(number)  # only of those that were seen nearby
        if story is not None and verdict.reason is Reason.COUNTED:
            story.predicted = True

    def _story(self, object_id: int, number: int, label: str, time_s: float) -> _Story:
        stories = self._stories.setdefault(object_id, {})
        if number not in stories:
            stories[number] = _Story(label, time_s, np.inf)
        stories[number].label = label
        return stories[number]

    def _close(self, object_id: int) -> None:
        for number, story in self._stories.pop(object_id, {}).items():
            facts = self._lines[number].facts
            if story.told:
                continue
            if story.predicted:
                why, reason = PREDICTED, "predicted"
            else:
                why, reason = passed_by(facts, story.nearest_px), "passed_by"
            self._file.add(facts.name, object_id, story.label, story.at_s, why, counted=False, reason=reason)

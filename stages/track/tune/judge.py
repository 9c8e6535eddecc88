"""How well a tracker keeps the ids of a recording's reference objects, as counts and as figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from pipeline.objects import I64Array
from stages.track.boxes import FloatArray, IntArray
from stages.track.methods import Tracker
from stages.track.population import BoolArray
from stages.track.tune.recording import Recording
from stages.track.tune.reference import References
from stages.track.tune.trials import Absences, Trials

WEIGHTS = {"back": 25.0, "own": 30.0, "steady": 15.0, "found": 15.0, "lasting": 15.0}
"""Points of each part. An id that goes to another object makes two wrong histories, a new id only one more;
a false or broken id is as bad as an object that is not found."""

# An id is brief when it was seen for less time; it counts when it began and ended this far, as a share of
# the picture, from the edges and the ends of the recording.
_BRIEF_S = 1.0
_EDGE, _END_S = 0.03, 0.5
# An absence is over for so long before another object with its id is no longer put down to it.
_AFTERMATH_S = 1.0
_GROUPS = 10


@dataclass(frozen=True, eq=False)
class Evidence:
    """Counts of K groups, so that leaving one out tells how far chance goes; arrays are float64.

    Attributes:
        away: (K, L) absences of each length.
        back: (K, L) those after which the object had its id again.
        hidden: (K,) absences, with those for good.
        taken: (K,) those during which another reference object got the id.
        flickered: (K,) objects that got an id although detections were dropped.
        steady: (K,) sum over these of 1 / number of ids.
        shown: (K,) detections of objects that are real, in the runs without absences.
        found: (K,) those with an id.
        ids: (K,) ids in the recording as it is.
        brief: (K,) those that were brief.
        minutes: (K,) of the recording.
    """

    away: FloatArray
    back: FloatArray
    hidden: FloatArray
    taken: FloatArray
    flickered: FloatArray
    steady: FloatArray
    shown: FloatArray
    found: FloatArray
    ids: FloatArray
    brief: FloatArray
    minutes: FloatArray

    @property
    def groups(self) -> int:
        """K."""
        return len(self.hidden)

    def figures(self, without: int | None = None) -> Figures:
        """Return the figures of all groups, or of all but one."""
        kept = np.arange(self.groups) != (-1 if without is None else without)
        total = {field.name: getattr(self, field.name)[kept].sum(axis=0) for field in fields(self)}
        return Figures(
            back=tuple(_share(total["back"], total["away"]).tolist()),
            own=1.0 - float(_share(total["taken"], total["hidden"])),
            steady=float(_share(total["steady"], total["flickered"])),
            found=float(_share(total["found"], total["shown"])),
            lasting=1.0 - float(_share(total["brief"], total["ids"])),
            brief_per_minute=float(_share(total["brief"], total["minutes"])),
        )


@dataclass(frozen=True)
class Figures:
    """Shares of 0..1, nan where nothing could be tried.

    Attributes:
        back: of absences of each length, after which the object has its id again.
        own: of absences during which no other object got the id.
        steady: mean of 1 / ids of an object whose detections flicker.
        found: of the detections of real objects, that bear an id.
        lasting: of the ids, that are not brief.
        brief_per_minute: brief ids in a minute of the recording.
    """

    back: tuple[float, ...]
    own: float
    steady: float
    found: float
    lasting: float
    brief_per_minute: float

    @property
    def total(self) -> float:
        """The one figure, 0 to 100: the weighted mean of the parts that could be tried."""
        back = [share for share in self.back if not np.isnan(share)]
        parts = {name: getattr(self, name) for name in WEIGHTS if name != "back"}
        parts["back"] = float(np.mean(back)) if back else np.nan
        tried = {name: share for name, share in parts.items() if not np.isnan(share)}
        weight = sum(WEIGHTS[name] for name in tried)
        return 100 * sum(WEIGHTS[name] * share for name, share in tried.items()) / weight if weight else 0.0


def judge(
    recording: Recording, references: References, trials: Trials, make: Callable[[], Tracker]
) -> Evidence:
    """Run fresh trackers over the recording as it is and over all trials, and count.

    Raises:
        StageError: if the tracker refuses the detections.
    """
    groups = max(1, min(_GROUPS, len(references)))
    tally = _Tally(recording, references, groups, len(trials.lengths_s))
    plain = recording.track(make())
    tally.see(plain, np.ones(len(recording), np.bool_))
    tally.count_brief(plain)
    for hidden, absences in zip(trials.hidden, trials.absences, strict=True):
        tally.compare(recording.track(make(), ~hidden), absences)
    for dropped in trials.dropped:
        id_of = recording.track(make(), ~dropped)
        tally.see(id_of, ~dropped)
        tally.count_ids(id_of)
    return Evidence(**{field.name: getattr(tally, field.name) for field in fields(Evidence)})


class _Tally:
    """The counts while they are made; objects belong to groups by their number, brief ids by their time."""

    def __init__(self, recording: Recording, references: References, groups: int, lengths: int) -> None:
        self._recording, self._references, self._groups = recording, references, groups
        self._time_of = recording.time_of
        self._coexist = references.coexist()
        for field in fields(Evidence):
            shape = (groups, lengths) if field.name in ("away", "back") else (groups,)
            setattr(self, field.name, np.zeros(shape))
        self.minutes: FloatArray = np.full(groups, recording.seconds / 60 / groups)
        self.hidden: FloatArray
        self.taken: FloatArray
        self.away: FloatArray
        self.back: FloatArray
        self.flickered: FloatArray
        self.steady: FloatArray
        self.shown: FloatArray
        self.found: FloatArray
        self.ids: FloatArray
        self.brief: FloatArray

    def see(self, id_of: I64Array, shown: BoolArray) -> None:
        """Count the detections of real objects that bear an id."""
        real_of = self._references.real_of
        mine = shown & (real_of >= 0)
        group = real_of[mine] % self._groups
        self.shown += np.bincount(group, minlength=self._groups)
        self.found += np.bincount(group, id_of[mine] > 0, minlength=self._groups)

    def count_ids(self, id_of: I64Array) -> None:
        """Count how many ids each reference object got."""
        object_of = self._references.object_of
        named = (object_of >= 0) & (id_of > 0)
        pairs = np.unique(np.column_stack([object_of[named], id_of[named]]), axis=0)
        objects, ids = np.unique(pairs[:, 0], return_counts=True)
        self.flickered += np.bincount(objects % self._groups, minlength=self._groups)
        self.steady += np.bincount(objects % self._groups, 1 / ids, minlength=self._groups)

    def compare(self, id_of: I64Array, absences: Absences) -> None:
        """Count what became of the ids of objects that were hidden."""
        object_of, time_of = self._references.object_of, self._time_of
        named = id_of > 0
        columns = (absences.object, absences.begin_s, absences.end_s, absences.length)
        for each, begin_s, end_s, length in zip(*(column.tolist() for column in columns), strict=True):
            group = each % self._groups
            mine = np.flatnonzero((object_of == each) & named)
            before = mine[time_of[mine] < begin_s]
            after = mine[time_of[mine] >= end_s]
            self.hidden[group] += 1
            if length >= 0:
                self.away[group, length] += 1
            if not len(before):
                continue
            id_before = id_of[before[-1]]
            if length >= 0 and len(after) and id_of[after[0]] == id_before:
                self.back[group, length] += 1
            bearers = np.flatnonzero((id_of == id_before) & (object_of >= 0))
            bearers = bearers[(time_of[bearers] >= begin_s) & (time_of[bearers] < end_s + _AFTERMATH_S)]
            self.taken[group] += self._coexist[each, object_of[bearers]].any()

    def count_brief(self, id_of: I64Array) -> None:
        """Count ids, and those that were seen for a moment in the midst of the picture."""
        rows = np.flatnonzero(id_of > 0)
        if not len(rows):
            return
        ids, first, which = np.unique(id_of[rows], return_index=True, return_inverse=True)
        last = np.zeros(len(ids), np.intp)
        last[which] = np.arange(len(rows))  # rows are in order of time: the last one stays
        begun, ended = rows[first], rows[last]
        pts_s = self._recording.pts_s
        frame_s = float(np.median(np.diff(pts_s))) if len(pts_s) > 1 else 0.0
        brief = np.bincount(which) * frame_s < _BRIEF_S
        brief &= self._inside(begun) & self._inside(ended)
        brief &= self._time_of[begun] > pts_s[0] + _END_S
        brief &= self._time_of[ended] < pts_s[-1] - _END_S
        share = (self._time_of[begun] - pts_s[0]) / max(self._recording.seconds, 1e-9)
        group = np.minimum((share * self._groups).astype(np.intp), self._groups - 1)
        self.ids += np.bincount(group, minlength=self._groups)
        self.brief += np.bincount(group, brief, minlength=self._groups)

    def _inside(self, rows: IntArray) -> BoolArray:
        xyxy = self._recording.xyxy[rows]
        width, height = self._recording.width, self._recording.height
        left, top, right, bottom = xyxy.T / np.array([[width], [height], [width], [height]])
        inside: BoolArray = (np.minimum(left, top) > _EDGE) & (np.maximum(right, bottom) < 1 - _EDGE)
        return inside


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    share: FloatArray = np.divide(
        part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0
    )
    return share

"""What is done to a recording to see whether a tracker keeps its ids: hide objects, drop detections.

Every draw comes from one seed; all settings are judged by the same trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.track.boxes import FloatArray, IntArray
from stages.track.population import BoolArray
from stages.track.tune.recording import Recording
from stages.track.tune.reference import References

DROPPED = (0.1, 0.2, 0.3)
"""Shares of the detections that are left out, one in each of the first rounds."""

# An object is seen for so long, and as so many detections, before it is hidden and after it comes back.
_BEFORE_S, _AFTER_S, _ROWS = 0.7, 0.5, 4
# One in so many objects that are hidden leaves for good.
_LEAVES = 4


@dataclass(frozen=True, eq=False)
class Absences:
    """A times that an object is hidden, in one run over the recording.

    Attributes:
        object: (A,) which reference object.
        begin_s: (A,) its detections are hidden from here on,
        end_s: (A,) up to before this time; infinity when it leaves for good.
        length: (A,) index of the length asked for, -1 when it leaves for good.
    """

    object: IntArray
    begin_s: FloatArray
    end_s: FloatArray
    length: IntArray

    def __len__(self) -> int:
        return len(self.object)


@dataclass(frozen=True, eq=False)
class Trials:
    """All that a set of settings is judged by, beside one run over the recording as it is.

    Attributes:
        lengths_s: (L,) the lengths of absences.
        absences: one per round.
        hidden: (N,) bool per round: what is hidden.
        dropped: (N,) bool for each share of `DROPPED`, as far as there are rounds: what is left out.
    """

    lengths_s: tuple[float, ...]
    absences: tuple[Absences, ...]
    hidden: tuple[BoolArray, ...]
    dropped: tuple[BoolArray, ...]

    @property
    def runs(self) -> int:
        """Runs of a tracker that judging one set of settings takes."""
        return 1 + len(self.hidden) + len(self.dropped)


def lengths_up_to(longest_s: float) -> tuple[float, ...]:
    """Return 0.3, 1, 2, 4, 8 ... s up to `longest_s`, which is the last one."""
    doubled = [0.3, *(2.0**power for power in range(12))]
    return (*(length for length in doubled if length < longest_s), longest_s)


def draw_trials(
    recording: Recording, references: References, lengths_s: tuple[float, ...], rounds: int, seed: int
) -> Trials:
    """Draw the trials; equal arguments give equal ones."""
    rng = np.random.default_rng(seed)
    absences: list[Absences] = []
    others = np.zeros(0, np.intp)
    for index in range(rounds):
        if index % 2 == 0:  # two rounds hide each object once: while one half is hidden the other is there
            order = rng.permutation(len(references))
            chosen, others = order[: (len(order) + 1) // 2], order[(len(order) + 1) // 2 :]
        else:
            chosen = others
        absences.append(draw_absences(recording, references, chosen, lengths_s, rng))
    return Trials(
        lengths_s=lengths_s,
        absences=tuple(absences),
        hidden=tuple(hidden_rows(recording, references, each) for each in absences),
        dropped=tuple(rng.random(len(recording)) < share for share in DROPPED[:rounds]),
    )


def draw_absences(
    recording: Recording,
    references: References,
    chosen: IntArray,
    lengths_s: tuple[float, ...],
    rng: np.random.Generator,
) -> Absences:
    """Draw when each of the chosen objects is hidden: as often as there is room, for the rarest length."""
    time_of = recording.time_of
    found: list[tuple[int, float, float, int]] = []
    used = [0] * len(lengths_s)
    for index, each in enumerate(chosen.tolist()):
        times = time_of[references.object_of == each]
        if index % _LEAVES == _LEAVES - 1:
            found += _leaving(each, times, rng)
            continue
        at = 0
        while True:
            rarest = sorted(range(len(lengths_s)), key=lambda kind: (used[kind], -kind))
            rooms = [(kind, _room(times, at, lengths_s[kind])) for kind in rarest]
            kind, room = next(((kind, room) for kind, room in rooms if room is not None), (0, None))
            if room is None:
                break
            last = min(room[1], room[0] + len(times) // 3)  # not so late that little room is left
            begin_s = float(times[rng.integers(room[0], last + 1)])
            length = lengths_s[kind]
            found.append((each, begin_s, begin_s + length, kind))
            at = int(np.searchsorted(times, begin_s + length))
            used[kind] += 1
    columns = np.array(found, np.float64).reshape(-1, 4).T
    return Absences(columns[0].astype(np.intp), columns[1], columns[2], columns[3].astype(np.intp))


def _room(times: FloatArray, at: int, length_s: float) -> tuple[int, int] | None:
    """Return the first and the last row of an object at which an absence may begin, None without room."""
    if at >= len(times):
        return None
    first = max(at + _ROWS, int(np.searchsorted(times, times[at] + _BEFORE_S)))
    last_s = min(times[-1] - _AFTER_S, times[max(len(times) - _ROWS, 0)]) - length_s
    last = int(np.searchsorted(times, last_s, side="right")) - 1
    return (first, last) if first <= last else None


def _leaving(each: int, times: FloatArray, rng: np.random.Generator) -> list[tuple[int, float, float, int]]:
    room = _room(times, 0, 0.0)
    if room is None:
        return []
    return [(each, float(times[rng.integers(room[0], room[1] + 1)]), np.inf, -1)]


def hidden_rows(recording: Recording, references: References, absences: Absences) -> BoolArray:
    """(N,) bool, True for the detections that the absences hide."""
    time_of = recording.time_of
    hidden = np.zeros(len(recording), np.bool_)
    for each, begin_s, end_s in zip(
        absences.object.tolist(), absences.begin_s.tolist(), absences.end_s.tolist(), strict=True
    ):
        hidden |= (references.object_of == each) & (time_of >= begin_s) & (time_of < end_s)
    return hidden

"""What a look at every 5th picture could score at best: the second table of docs/spending.md, "HOTA".

    python -m benchmarks.spending_limits [--every 5]

On TUD-Campus and TUD-Stadtmitte, with the public detections of MOT15 and yolox_nano's people, as means over
the first looks: boxes carried by optical flow; boxes carried along the truth, without any error of their own;
and a tracker that knows of the looks only, its boxes interpolated afterwards. Beside that what luck does: the
same detections played backwards, and with 2 % of them left out and noise of half a pixel.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.spending import CONTEXT, DATA, WEIGHTS, people_of, score_of
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, F32Array
from pipeline.picture import BgrPicture
from pipeline.plugin import StreamInfo
from stages.track.boxes import paired_iou
from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from stages.track.evaluate.rows import FRAME, ID
from stages.track.evaluate.scoring import score, summary
from stages.track.stage import TrackOptions, TrackStage

_OVERLAP = 0.4
"""From this IoU on a detection is carried along with the true box."""
_SEEDS = 12

Truth = list[dict[int, F32Array]]


@dataclass(frozen=True)
class Case:
    """A sequence with its pictures and what is detected in each."""

    name: str
    sequence: MotSequence
    pictures: Sequence[Any]
    detections: Sequence[Detections]

    def backwards(self) -> Case:
        """Return the same, last picture first."""
        truth = self.sequence.truth.copy()
        truth[:, FRAME] = len(self.pictures) + 1 - truth[:, FRAME]
        sequence = replace(self.sequence, truth=truth[np.argsort(truth[:, FRAME], kind="stable")])
        return Case(self.name, sequence, self.pictures[::-1], self.detections[::-1])

    def shaken(self, seed: int) -> Case:
        """Return the same with 2 % of the boxes left out, and the others moved by about half a pixel."""
        rng = np.random.default_rng(seed)
        kept = [table[rng.random(len(table)) >= 0.02] for table in self.detections]
        moved = [
            replace(table, xyxy=table.xyxy + rng.normal(0, 0.5, table.xyxy.shape).astype(np.float32))
            for table in kept
        ]
        return replace(self, detections=moved)

    def hota(self, spend: bool | dict[str, Any], first: int = 0) -> float:
        """Return HOTA with this option `spend`."""
        return score_of(self.sequence, self.pictures, self.detections.__getitem__, spend, first)


def main() -> None:
    """Measure all and print the table in markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=5, metavar="K")
    every: int = parser.parse_args().every
    columns: dict[str, Callable[[Case], Sequence[float]]] = {
        "every picture": lambda case: [case.hota(False)],
        "the same, shaken": lambda case: [case.shaken(seed).hota(False) for seed in range(_SEEDS)],
        "optical flow": lambda case: [case.hota({"every": every}, first) for first in range(every)],
        "along the truth": lambda case: [
            replace(case, detections=along_truth(case, looks_of(case, every, first))).hota(False)
            for first in range(every)
        ],
        "looks only": lambda case: [
            hota_of_looks(case, looks_of(case, every, first)) for first in range(every)
        ],
        "backwards, every picture": lambda case: [case.backwards().hota(False)],
        "backwards, optical flow": lambda case: [
            case.backwards().hota({"every": every}, first) for first in range(every)
        ],
    }
    print(f"| sequence, detections | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for case in cases():
        cells = []
        for measure in columns.values():
            found = measure(case)
            spread = f" ({min(found):.1f} to {max(found):.1f})" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.1f}{spread}")
        print(f"| {case.name} | {' | '.join(cells)} |", flush=True)


def cases() -> list[Case]:
    """Return the sequences that have pictures, with either detector."""
    found = []
    for sequence in read_sequences([DATA / "mot15"], names=["TUD-Campus", "TUD-Stadtmitte"]):
        if sequence.pictures is None or sequence.detections is None:
            continue
        pictures = list(sequence.pictures.read(sequence.frames))
        public = [sequence.detections.of(frame + 1) for frame in range(sequence.frames)]
        found.append(Case(f"{sequence.name}, public", sequence, pictures, public))
        networks = people_of(WEIGHTS, pictures)
        found.append(Case(f"{sequence.name}, yolox_nano", sequence, pictures, networks))
    return found


def looks_of(case: Case, every: int, first: int) -> list[int]:
    """Return the pictures that are looked at, as `score_of` does it: the first of all, then every k-th."""
    return sorted({0, *range(first, len(case.pictures), every)})


def along_truth(case: Case, looks: Sequence[int]) -> list[Detections]:
    """Carry the boxes of each look with the people that they show, until these are gone; others stay."""
    truth = _truth_of(case)
    carried: list[Detections] = []
    look, people = 0, dict[int, int]()
    for frame, present in enumerate(truth):
        if frame in looks:
            look, people = frame, _people_in(case.detections[frame], present)
        table, xyxy = case.detections[look], case.detections[look].xyxy.copy()
        stays = np.ones(len(table), np.bool_)
        for row, who in people.items():
            stays[row] = who in present
            if stays[row]:
                before, now = truth[look][who], present[who]
                scale = (now[2:] - now[:2]) / (before[2:] - before[:2])
                xyxy[row] = np.tile(now[:2] - before[:2] * scale, 2) + xyxy[row] * np.tile(scale, 2)
        carried.append(replace(table, xyxy=xyxy)[stays])
    return carried


def hota_of_looks(case: Case, looks: Sequence[int]) -> float:
    """Return HOTA of a tracker that is given the looks only; in between its boxes are interpolated."""
    tracker = TrackStage(TrackOptions(), CONTEXT)
    height, width = case.pictures[0].shape[:2]
    tracker.open(StreamInfo("bench", case.sequence.name, "run", width, height))
    rows: list[list[float]] = []
    before: dict[int, F32Array] = {}
    last = 0
    for look in looks:
        moment = Moment(case.sequence.pts_s(look + 1), 0, Clock.FILE)
        frame = Frame("bench", "run", look, moment, BgrPicture(case.pictures[look]))
        frame.detections = case.detections[look]
        tracker.process(frame)
        tracks = frame.tracks
        now = {} if tracks is None else dict(zip(tracks.id.tolist(), tracks.xyxy, strict=True))
        for who, box in now.items():
            begin = before.get(who, box)
            for at in range(last + 1, look + 1) if who in before else (look,):
                share = (at - last) / max(look - last, 1)
                left, top, right, bottom = (begin + share * (box - begin)).tolist()
                rows.append([at + 1, who, left, top, right - left, bottom - top, 1])
        before, last = now, look
    return float(summary(score(case.sequence, np.array(rows))).hota)


def _truth_of(case: Case) -> Truth:
    truth: Truth = [{} for _ in case.pictures]
    for row in case.sequence.truth:
        left, top, width, height = row[2:6]
        box = np.array([left, top, left + width, top + height], np.float32)
        truth[int(row[FRAME]) - 1][int(row[ID])] = box
    return truth


def _people_in(table: Detections, present: dict[int, F32Array]) -> dict[int, int]:
    """Return the row of each detection that shows a person, and who that is."""
    if not len(table) or not present:
        return {}
    names, true = list(present), np.array(list(present.values()))
    overlap = paired_iou(table.xyxy.repeat(len(true), axis=0), np.tile(true, (len(table), 1)))
    overlap = overlap.reshape(len(table), len(true))
    rows, columns = linear_sum_assignment(-overlap)
    return {
        int(row): names[column]
        for row, column in zip(rows, columns, strict=True)
        if overlap[row, column] >= _OVERLAP
    }


if __name__ == "__main__":
    main()

"""How many people a detector leaves to be seen, and how many are left with boxes held and led back.

    python -m benchmarks.privacy_people [--score 0.5]

Six street scenes of MOTChallenge 2015 (../shared/data/mot15), their Faster R-CNN detections, and the people
who really are there. `seen` counts persons in pictures, in per cent, of whose head (the upper fifth of the
true box) more than a tenth is not hidden; `times` how often such moments begin, per person; `hidden` is the
share of the picture that is hidden, in per cent, `people` that of the true boxes.
"""

from __future__ import annotations

import argparse
import configparser
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.privacy.hide import Blank, Part
from pipeline.privacy.options import PrivacyOptions
from pipeline.privacy.veil import Veil

ROOT = Path(__file__).parents[2] / "shared/data/mot15"
_STEP = 4
"""Masks are made of every fourth pixel in each direction."""
_HEAD = 0.2
_SEEN = 0.1
SETTINGS = (
    ("the detector's boxes alone", {"margin": 0.0, "hold_s": 0.0}),
    ("margin 0.1", {"margin": 0.1, "hold_s": 0.0}),
    ("margin 0.2", {"hold_s": 0.0}),
    ("margin 0.2, hold_s 1", {"hold_s": 1.0}),
    ("margin 0.2, hold_s 2 (defaults)", {}),
    ("and ahead_s 0.5", {"ahead_s": 0.5}),
    ("and ahead_s 1", {"ahead_s": 1.0}),
    ("margin 0.3, hold_s 3, ahead_s 1", {"margin": 0.3, "hold_s": 3.0, "ahead_s": 1.0}),
)


class Scene:
    """One sequence: its frames with their detections, and the true people of each.

    Args:
        folder: of the sequence.
        score: least of a detection.
    """

    def __init__(self, folder: Path, score: float) -> None:
        about = configparser.ConfigParser()
        about.read(folder / "seqinfo.ini")
        facts = about["Sequence"]
        self.name = folder.name
        self.rate_hz = float(facts["frameRate"])
        self.frames = int(facts["seqLength"])
        self.width, self.height = int(facts["imWidth"]), int(facts["imHeight"])
        found = np.loadtxt(folder / "det/det.txt", delimiter=",")
        self._found = found[found[:, 6] >= score]
        true = np.loadtxt(folder / "gt/gt.txt", delimiter=",")
        self._true = true[true[:, 6] > 0]

    def pictures(self) -> Iterator[Frame]:
        """Yield the frames."""
        blank: Picture = Blank(self.width, self.height)
        for number in range(self.frames):
            rows = self._found[self._found[:, 0] == number + 1]
            boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1).astype(np.float32)
            table = Detections(boxes, np.ones(len(rows), np.float32), np.full(len(rows), "person"))
            moment = Moment(number / self.rate_hz, 0, Clock.FILE, 0)
            yield Frame(self.name, "run", number, moment, blank, detections=table)

    def people(self, number: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the true people of a frame: id, (4,) xyxy px."""
        for row in self._true[self._true[:, 0] == number + 1]:
            yield int(row[1]), np.concatenate([row[2:4], row[2:4] + row[4:6]])


def mask_of(parts: list[Part], scene: Scene) -> np.ndarray:
    """Return what is hidden, at every fourth pixel."""
    mask = np.zeros((scene.height, scene.width), np.bool_)
    for part in parts:
        mask[part.top : part.bottom, part.left : part.right] = True
    return mask[::_STEP, ::_STEP]


def judge(scene: Scene, settings: dict[str, float]) -> tuple[int, int, int, int, float, float]:
    """Return persons in pictures, those seen, people, moments, and the mean shares hidden and of people."""
    veil = Veil(PrivacyOptions(labels=("person",), **settings), scene.name)  # type: ignore[arg-type]
    shown = [veiled for frame in scene.pictures() for veiled in veil.look(frame)] + veil.rest()
    all_of, seen_of, moments, hidden, taken = 0, 0, 0, 0.0, 0.0
    before: set[int] = set()
    ids: set[int] = set()
    for veiled in shown:
        mask = mask_of(list(veiled.parts), scene)
        people = np.zeros_like(mask)
        now: set[int] = set()
        for person, box in scene.people(veiled.number):
            left, top, right, bottom = (np.clip(box, 0, [scene.width, scene.height] * 2) / _STEP).astype(int)
            people[top:bottom, left:right] = True
            head = mask[top : top + max(1, round((bottom - top) * _HEAD)), left:right]
            if not head.size:
                continue
            all_of += 1
            ids.add(person)
            if 1 - head.mean() > _SEEN:
                now.add(person)
        seen_of += len(now)
        moments += len(now - before)
        before = now
        hidden += float(mask.mean())
        taken += float(people.mean())
    return all_of, seen_of, len(ids), moments, hidden / len(shown), taken / len(shown)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--score", type=float, default=0.5)
    score = parser.parse_args().score
    scenes = [Scene(folder, score) for folder in sorted(ROOT.iterdir()) if (folder / "gt").is_dir()]
    print(f"{'':<34}{'seen %':>8}{'times':>8}{'hidden %':>10}{'people %':>10}")
    for name, settings in SETTINGS:
        judged = np.array([judge(scene, settings) for scene in scenes])
        total = judged.sum(axis=0)
        print(
            f"{name:<34}{total[1] / total[0] * 100:>8.2f}{total[3] / total[2]:>8.2f}"
            f"{judged[:, 4].mean() * 100:>10.1f}{judged[:, 5].mean() * 100:>10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

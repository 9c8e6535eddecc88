"""Real people of two MOTChallenge sequences in "two cameras": the first and the last half of each track."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.picture import BgrPicture
from stages.identify.looks import Looks
from stages.identify.records import Record, Sight
from stages.track.appearance.embedder import Embedder
from tests.stages.identify.world import START_NS, S

SEQUENCES = ("TUD-Campus", "TUD-Stadtmitte")
_EVERY, _LEAST = 3, 8


def other_camera(bgr: np.ndarray) -> np.ndarray:
    """Darker, bluer, softer, and of 80 % of the resolution."""
    height, width = bgr.shape[:2]
    small = cv2.resize(bgr, (round(width * 0.8), round(height * 0.8)), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(soft * np.array([0.9, 0.75, 0.7]) + 4, 0, 255).astype(np.uint8)


def look_at(folder: Path, embedder: Embedder) -> list[dict[str, tuple]]:
    """Return of each person, by camera, (look, likeness of two halves, likeness to others)."""
    rows = np.loadtxt(folder / "gt/gt.txt", delimiter=",")
    people = {}
    for number in np.unique(rows[:, 1]).astype(int):
        frames = rows[(rows[:, 1] == number) & (rows[:, 6] != 0), 0].astype(int)
        if len(frames) >= 2 * _EVERY * _LEAST:
            people[number] = np.median(frames)
    cameras = {"north": Looks(1e9, 1000), "south": Looks(1e9, 1000)}
    with av.open(str(folder / f"{folder.name}.mp4")) as clip:
        for at, picture in enumerate(clip.decode(video=0), 1):
            if at % _EVERY:
                continue
            bgr = picture.to_ndarray(format="bgr24")
            for name, looks in cameras.items():
                seen = [
                    row
                    for row in rows[rows[:, 0] == at]
                    if row[1] in people and (at <= people[int(row[1])]) == (name == "north")
                ]
                if not seen:
                    continue
                boxes = np.array([[r[2], r[3], r[2] + r[4], r[3] + r[5]] for r in seen], np.float32)
                shown = BgrPicture(bgr if name == "north" else other_camera(bgr))
                looks.see(at, [int(r[1]) for r in seen], boxes, embedder.of(shown)(boxes))
    found = []
    for number in people:
        by_camera = {}
        for name, looks in cameras.items():
            look, same = looks.of([number])
            if look is not None:
                by_camera[name] = (look, same, looks.others(look, [number], -1))
        if len(by_camera) == 2:
            found.append(by_camera)
    return found


def rounds(people: list[dict[str, tuple]], count: int, seed: int) -> tuple[list[Record], dict[int, int]]:
    """Let them walk from the north to the south many times; a third is seen only here, a third only there.

    Returns:
        Records in order, and of each who comes to the south the one who left, -1 for none.
    """
    rng = np.random.default_rng(seed)
    sights, truth, number = [], {}, 0
    for round_ in range(count):
        kinds = rng.permutation(np.arange(len(people)) % 3)
        for person, kind in zip(people, kinds, strict=True):
            number += 1
            left_s = round_ * 400 + rng.uniform(0, 60)
            came_s = left_s + float(np.exp(rng.normal(np.log(20), np.log(1.3))))
            for name, gate, at_s, absent in (("north", "school", left_s, 1), ("south", "station", came_s, 2)):
                if kind != absent:
                    at_ns = START_NS + round(at_s * S)
                    sights.append(
                        Sight((name, "r", number), gate, "person", at_ns, f"{name}{number}", *person[name])
                    )
            truth[number] = number if kind == 0 else -1
    records = [Record(sight.time_ns, place, sight) for place, sight in enumerate(sights)]
    return sorted(records, key=lambda record: record.key), truth

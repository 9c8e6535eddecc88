"""Ground-truth trajectories of the MOTChallenge sequences beside the project."""

import configparser
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.shared_data import shared

NAMES = ["ADL-Rundle-6", "ETH-Sunnyday", "KITTI-17", "TUD-Campus", "TUD-Stadtmitte", "Venice-2"]


class Truth(NamedTuple):
    """A sequence: its size in px, its frame rate, and rows of frame (from 1), id, and box (tlwh, px)."""

    width: int
    height: int
    rate_hz: float
    frame: np.ndarray
    id: np.ndarray
    tlwh: np.ndarray

    @property
    def xyxy(self) -> np.ndarray:
        return np.concatenate([self.tlwh[:, :2], self.tlwh[:, :2] + self.tlwh[:, 2:]], axis=1)

    @property
    def feet(self) -> np.ndarray:
        """Bottom centres, (N, 2) px."""
        return self.tlwh[:, :2] + self.tlwh[:, 2:] * [0.5, 1.0]


def truth_of(name: str) -> Truth:
    """Read a sequence, or skip the test."""
    folder = shared(f"mot15/{name}")
    return read(folder)


def read(folder: Path) -> Truth:
    info = configparser.ConfigParser()
    info.read(folder / "seqinfo.ini")
    about = info["Sequence"]
    rows = np.loadtxt(folder / "gt/gt.txt", delimiter=",", ndmin=2)
    rows = rows[rows[:, 6] != 0]
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return Truth(
        int(about["imWidth"]),
        int(about["imHeight"]),
        float(about["frameRate"]),
        rows[:, 0].astype(int),
        rows[:, 1].astype(int),
        rows[:, 2:6],
    )

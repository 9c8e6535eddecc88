"""Scores against sums done by hand."""

from __future__ import annotations

import sys
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from stages.track.evaluate import scoring
from stages.track.evaluate.choices import Benchmark
from stages.track.evaluate.motchallenge import MotSequence, read_sequences
from tests.stages.track.evaluate.folders import FRAMES, Row, found, truth15, truth17, write_sequence

FAR = 1000.0


def sequence_of(folder: Path, truth: list[Row], rules: Benchmark | None = None) -> MotSequence:
    (sequence,) = read_sequences([write_sequence(folder, truth)], benchmark=rules, with_detections=False)
    return sequence


def scores_of(sequence: MotSequence, rows: list[Row]) -> scoring.Scores:
    return scoring.summary(scoring.score(sequence, np.array(rows, float).reshape(-1, 10)))


ONE = truth15()
TWO = truth15() + truth15(ident=2, shift=FAR)
AT_ALPHA = 6 / 19
"""Boxes with an IoU of 1/3 match at 6 of the 19 thresholds 0.05, 0.10 ... 0.95."""

CASES: dict[str, tuple[list[Row], list[Row], tuple[float, ...]]] = {
    # name: truth, result, (HOTA, DetA, AssA, MOTA, IDF1, IDSW, FP, FN) with shares
    "perfect": (TWO, found(ident=5) + found(ident=3, shift=FAR), (1, 1, 1, 1, 1, 0, 0, 0)),
    # 6 frames of id 1, then 4 of id 2. AssA = (6 * 6/10 + 4 * 4/10) / 10; IDTP 6, IDFP 4, IDFN 4.
    "one switch": (
        ONE,
        found(range(1, 7)) + found(range(7, 11), ident=2),
        (sqrt(0.52), 1, 0.52, 1 - 1 / 10, 0.6, 1, 0, 0),
    ),
    # 9 of 10 found. AssA = 9 / (9 + 1); IDTP 9, IDFN 1.
    "a missed frame": (
        ONE,
        found([frame for frame in range(1, 11) if frame != 5]),
        (0.9, 0.9, 0.9, 1 - 1 / 10, 18 / 19, 0, 0, 1),
    ),
    # One box of another id where nothing is.
    "a false positive": (
        ONE,
        found() + found([4], ident=2, shift=FAR),
        (sqrt(10 / 11), 10 / 11, 1, 1 - 1 / 10, 20 / 21, 0, 1, 0),
    ),
    # A shift by half the width: IoU 20 / 60.
    "loose boxes": (ONE, found(shift=20), (AT_ALPHA, AT_ALPHA, AT_ALPHA, -1, 0, 0, 10, 10)),
    "nothing found": (ONE, [], (0, 0, 0, 0, 0, 0, 0, 10)),
    # Ids exchanged half way: each pair has TPA 5, FPA 5, FNA 5.
    "two exchange ids": (
        TWO,
        found(range(1, 6))
        + found(range(6, 11), ident=2)
        + found(range(1, 6), ident=2, shift=FAR)
        + found(range(6, 11), ident=1, shift=FAR),
        (sqrt(1 / 3), 1, 1 / 3, 1 - 2 / 20, 0.5, 2, 0, 0),
    ),
    "large ids take no memory": (ONE, found(ident=10**12), (1, 1, 1, 1, 1, 0, 0, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_against_sums_by_hand(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    truth, rows, (hota, deta, assa, mota, idf1, *counts) = CASES[case]
    got = scores_of(sequence_of(tmp_path / "s", truth), rows)
    shares = (got.hota, got.deta, got.assa, got.mota, got.idf1)
    assert shares == pytest.approx([100 * share for share in (hota, deta, assa, mota, idf1)], abs=1e-6)
    assert (got.idsw, got.fp, got.fn) == tuple(counts)
    assert capfd.readouterr() == ("", "")


def test_combined_pools_counts(tmp_path: Path) -> None:
    """10 boxes without an error and 20 with one switch and IDF1's 6 + 10 of 20: no mean of rates."""
    raw = {}
    for name, truth, rows in (
        ("a", ONE, found()),
        ("b", TWO, found(range(1, 7)) + found(range(7, 11), ident=2) + found(ident=3, shift=FAR)),
    ):
        raw[name] = scoring.score(sequence_of(tmp_path / name, truth), np.array(rows))
    got = scoring.summary(scoring.combine(raw))
    assert (got.mota, got.idf1, got.idsw) == pytest.approx((100 * (1 - 1 / 30), 100 * 26 / 30, 1))
    assert got.assa == pytest.approx(100 * (20 + 6 * 0.6 + 4 * 0.4) / 30)


@pytest.mark.parametrize(
    ("rules", "kind", "fp", "fn"),
    [
        (Benchmark.MOT17, 1, 0, 0),  # a second pedestrian, found
        (Benchmark.MOT17, 8, 0, 0),  # a distractor: finding it is no error
        (Benchmark.MOT17, 6, FRAMES, 0),  # a vehicle: only MOT20 forgives it
        (Benchmark.MOT20, 6, 0, 0),
        (Benchmark.MOT15, 8, 0, 0),  # knows no classes: one more to find, and found
    ],
)
def test_distractors(rules: Benchmark, kind: int, fp: int, fn: int, tmp_path: Path) -> None:
    truth = truth17() + truth17(kind=kind, ident=2, shift=FAR)
    got = scores_of(sequence_of(tmp_path / "s", truth, rules), found() + found(ident=2, shift=FAR))
    assert (got.fp, got.fn) == (fp, fn)


@pytest.mark.parametrize("rules", [Benchmark.MOT15, Benchmark.MOT17])
def test_truth_marked_as_not_to_be_considered_need_not_be_found(rules: Benchmark, tmp_path: Path) -> None:
    truth = truth17() + truth17(ident=2, shift=FAR, counts=0)
    got = scores_of(sequence_of(tmp_path / "s", truth, rules), found())
    assert (got.mota, got.fn) == (100, 0)


def test_without_trackeval_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    with pytest.raises(ConfigError) as caught:
        scoring.require_trackeval()
    assert 'pip install "sightline[eval]"' in str(caught.value)

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from stages.track.evaluate.detections import DetectionFile, Scale
from tests.stages.track.evaluate.folders import Row, text


def read(folder: Path, rows: list[Row], frames: int = 5) -> DetectionFile:
    path = folder / "det.txt"
    path.write_text(text(rows))
    return DetectionFile.read(path, frames)


def rows_with(*scores: float) -> list[Row]:
    return [(1, -1, 10.0 * k, 0, 5, 5, score) for k, score in enumerate(scores)]


def sigmoid(score: float) -> float:
    return 1 / (1 + math.exp(-2 * score))


@pytest.mark.parametrize(
    ("given", "wanted", "scale"),
    [
        ((0.2, 0.9), (0.2, 0.9), Scale.AS_GIVEN),
        ((0.0, 1.0), (0.0, 1.0), Scale.AS_GIVEN),
        ((-0.5, 0.0, 5.0), (sigmoid(-0.5), 0.5, sigmoid(5.0)), Scale.SIGMOID),
        ((0.5, 30.0), (sigmoid(0.5), 1.0), Scale.SIGMOID),
        ((-1e6, 1e6), (0.0, 1.0), Scale.SIGMOID),
        ((-1.0, -1.0), (1.0, 1.0), Scale.ALL_EQUAL),
        ((0.4, 0.4), (1.0, 1.0), Scale.ALL_EQUAL),
        ((1.0, 1.0), (1.0, 1.0), Scale.AS_GIVEN),
    ],
)
def test_scores_become_probabilities(
    given: tuple[float, ...], wanted: tuple[float, ...], scale: Scale, tmp_path: Path
) -> None:
    file = read(tmp_path, rows_with(*given))
    assert file.score == pytest.approx(wanted, abs=1e-6)
    assert file.scale is scale
    assert len(file.of(1)) == len(given)  # which `Detections` would refuse outside 0..1


def test_each_frame_has_its_rows_in_the_files_order(tmp_path: Path) -> None:
    rows = [(3, -1, 1, 2, 3, 4, 0.5), (1, -1, 5, 6, 7, 8, 0.6), (3, -1, 9, 9, 9, 9, 0.7)]
    file = read(tmp_path, rows)
    assert [len(file.of(frame)) for frame in range(1, 6)] == [1, 0, 2, 0, 0]
    np.testing.assert_array_equal(file.of(3).xyxy, [[1, 2, 4, 6], [9, 9, 18, 18]])
    assert file.of(3).score == pytest.approx([0.5, 0.7])
    assert set(file.of(3).label) == {"person"}


def test_boxes_under_one_pixel_are_left_out_and_counted(tmp_path: Path) -> None:
    sizes = [(1, 1), (0.9, 5), (5, 0.9), (0, 0), (-3, 5), (5, 5)]
    file = read(tmp_path, [(1, -1, 0, 0, w, h, 0.5 + k / 100) for k, (w, h) in enumerate(sizes)])
    assert (len(file.of(1)), len(file), file.small) == (2, 2, 4)


@pytest.mark.parametrize(("least", "left"), [(0.0, 3), (0.2, 3), (0.3, 2), (0.9, 1), (1.0, 0)])
def test_a_smallest_score(least: float, left: int, tmp_path: Path) -> None:
    assert len(read(tmp_path, rows_with(0.2, 0.3, 0.9)).of(1, least)) == left


def test_no_detections_at_all(tmp_path: Path) -> None:
    file = read(tmp_path, [])
    assert (len(file), len(file.of(1)), len(file.of(5)), file.scale) == (0, 0, 0, Scale.AS_GIVEN)


def test_a_frame_after_the_last_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"det.txt:1: the sequence has 5 frames, got 6"):
        read(tmp_path, [(6, -1, 0, 0, 5, 5, 0.5)])

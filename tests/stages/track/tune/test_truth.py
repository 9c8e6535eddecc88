"""Judging by a known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import SourceError
from stages.track.methods import make_tracker
from stages.track.tune.recording import Recording
from stages.track.tune.truth import judge_by_truth, read_truth
from tests.stages.track.tune.scenes import crowd

pytest.importorskip("trackeval", reason='needs the extra "eval"')


@pytest.fixture(scope="module")
def scene() -> Recording:
    return crowd(5, 4, rate_hz=5)


def truth_rows(scene: Recording, columns: int = 10) -> list[tuple[float, ...]]:
    rows = []
    for row, (frame, box) in enumerate(zip(scene.frame_of.tolist(), scene.xyxy.tolist(), strict=True)):
        left, top, right, bottom = box
        rest = (1, -1, -1, -1) if columns == 10 else (1, 1, 1)
        rows.append((frame + 1, row % 4 + 1, left, top, right - left, bottom - top, *rest))
    return rows


def written(path: Path, rows: list[tuple[float, ...]]) -> Path:
    path.write_text("".join(",".join(f"{value:g}" for value in row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("columns", [9, 10])
def test_good_settings_score_better(scene: Recording, tmp_path: Path, columns: int) -> None:
    truth = read_truth(written(tmp_path / "gt.txt", truth_rows(scene, columns)), scene, whole=True)
    good = judge_by_truth(scene, truth, make_tracker("deepsort", n_init=1))
    late = judge_by_truth(scene, truth, make_tracker("deepsort", n_init=8))
    assert good.scores.idf1 > 99
    assert good.total > late.total + 5
    assert good.leave_one_out.shape == late.leave_one_out.shape == (6,)
    assert (good.leave_one_out >= late.leave_one_out).all()


def test_truth_after_what_was_looked_at_is_left_out(scene: Recording, tmp_path: Path) -> None:
    path = written(tmp_path / "gt.txt", [*truth_rows(scene), (99, 1, 1, 1, 9, 9, 1, -1, -1, -1)])
    assert len(read_truth(path, scene, whole=False).truth) == len(scene)
    with pytest.raises(SourceError, match=r"gt.txt: goes up to picture 99, but the clip has 25"):
        read_truth(path, scene, whole=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no truth of the 25 pictures"),
        ("1,1,1,1,9,9,1\n", "7 columns, but there must be 9 or 10"),
        ("1,1,1,1,9,nine,1,-1,-1,-1\n", "'nine' is not a number"),
        ("1,1,1,1,9,9,1,-1,-1,-1\n1,1,1,1,9,9,1,-1,-1,-1\n", "this id is in this frame already"),
    ],
)
def test_malformed_truth(text: str, message: str, scene: Recording, tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_truth(path, scene, whole=True)


def test_sections_without_truth_are_passed_over(scene: Recording, tmp_path: Path) -> None:
    rows = [row for row in truth_rows(scene) if row[0] <= 12]
    truth = read_truth(written(tmp_path / "gt.txt", rows), scene, whole=True)
    found = judge_by_truth(scene, truth, make_tracker("deepsort"))
    assert len(found.leave_one_out) == 3
    assert np.isfinite(found.leave_one_out).all()

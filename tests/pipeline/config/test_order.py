"""A stage that cannot find what it needs is named before anything runs."""

from pathlib import Path

import pytest

from pipeline.config.load import load_config
from pipeline.config.problems import ConfigProblems

LINES = "{lines: {gate: {start: [0, 0.5], end: [1, 0.5]}}}"


def load(folder: Path, stages: str, own: str = "") -> None:
    path = folder / "x.yaml"
    path.write_text(f"streams:\n  road:\n    source: x.mp4\n{own}stages:\n{stages}")
    load_config(path, env={})


@pytest.mark.parametrize(
    ("stages", "line", "says"),
    [
        (f"  - motion\n  - count: {LINES}\n", 6, "stages[1].count: 'count' needs tracks"),
        (f"  - count: {LINES}\n  - motion\n  - track\n", 5, "stages[0].count: 'count' needs tracks"),
        ("  - track\n", 5, "stages[0].track: 'track' needs detections"),
    ],
)
def test_what_is_missing_and_what_makes_it(stages: str, line: int, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, stages)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{tmp_path}/x.yaml:{line}: {says}")
    assert ("track" if "tracks" in says else "motion") in str(problem).rpartition(":")[2]


def test_a_streams_own_list_is_judged_by_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match=r"streams.road.stages\[0\].track"):
        load(tmp_path, "  - motion\n  - track\n", own="    stages: [track]\n")


@pytest.mark.parametrize(
    "stages", [f"  - motion\n  - track\n  - count: {LINES}\n  - draw\n", "  - hog\n  - draw\n"]
)
def test_a_good_order_passes(stages: str, tmp_path: Path) -> None:
    load(tmp_path, stages)


WITH_LABELS = "{lines: {gate: {start: [0, 0.5], end: [1, 0.5], labels: [%s]}}}"


@pytest.mark.parametrize(
    ("detector", "asked", "says"),
    [
        ("motion", "movign", "the detector gives no objects of class 'movign'; did you mean 'moving'?"),
        ("motion: {label: car}", "person", "no objects of class 'person'; there are car"),
        ("yolo: {model: yolo11n.pt}", "car, trcuk", "class 'trcuk'; did you mean 'truck'?"),
        ("yolo: {model: yolo11n.pt, labels: [car, bus]}", "truck", "class 'truck'; there are bus, car"),
        ("onnx: {model: any.onnx, classes: [helmet, vest]}", "helm", "class 'helm'; did you mean 'helmet'?"),
    ],
)
def test_classes_that_the_detector_does_not_give(detector, asked, says, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, f"  - {detector}\n  - track\n  - count: {WITH_LABELS % asked}\n")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{tmp_path}/x.yaml:7: stages[2].count.lines.gate.labels: ")
    assert says in str(problem)


@pytest.mark.parametrize(
    "detector",
    [
        "yolo: {model: yolo11n.pt}",
        "yolo: {model: my/yolo11n.pt, labels: [truck]}",
        "yolo: {model: my/yolo11n.pt}",  # trained on who knows what
        "onnx: {model: any.onnx}",
        "motion: {label: truck}",
    ],
)
def test_classes_that_it_gives_or_may_give(detector, tmp_path: Path) -> None:
    load(tmp_path, f"  - {detector}\n  - track\n  - count: {WITH_LABELS % 'truck'}\n")

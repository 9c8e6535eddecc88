"""With a real network on real footage, whose people MOT15 has marked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.command import Sightline
from tests.shared_data import shared
from tests.stages.detect.evaluate.datasets import write_coco, write_yolo

pytest.importorskip("pycocotools", reason="needs the extra 'eval'")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of TUD-Campus in the YOLO format."""
    root = tmp_path_factory.mktemp("people")
    rows = np.loadtxt(shared("mot15/TUD-Campus/gt/gt.txt"), delimiter=",")
    for folder in ("images/val", "labels/val"):
        (root / folder).mkdir(parents=True)
    with av.open(str(shared("mot15/TUD-Campus/TUD-Campus.mp4"))) as container:
        for number, decoded in enumerate(container.decode(video=0)):
            if number % 10:
                continue
            bgr = decoded.to_ndarray(format="bgr24")
            height, width = bgr.shape[:2]
            cv2.imwrite(str(root / f"images/val/{number}.png"), bgr)
            lines = [
                f"0 {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f} {w / width:.6f} {h / height:.6f}\n"
                for _, _, x, y, w, h, *_ in rows[rows[:, 0] == number + 1]
            ]
            (root / f"labels/val/{number}.txt").write_text("".join(lines))
    (root / "data.yaml").write_text("{names: [pedestrian], val: images/val}")
    return root


@pytest.mark.slow
def test_a_network_on_footage(people: Path, tmp_path: Path, sightline: Sightline) -> None:
    weights = shared("weights/yolox_nano.onnx")
    target = tmp_path / "scores.json"
    words = ["--stage", "onnx", "--set", f"model={weights}", "--name", "person=pedestrian", "--json", target]
    said = sightline("evaluate", "detect", people, *words)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0].split() == [
        *("class", "objects", "mAP50-95", "mAP50", "mAP75", "precision", "recall", "IoU"),
        *("found", "false", "best", "F1", "at"),
    ]
    assert lines[1].split()[:2] == ["pedestrian", "40"]
    assert "- 8 pictures, YOLO format" in lines
    assert any("nms_iou 0.45" in line and "confidence 0.001" in line for line in lines)
    document = json.loads(target.read_text())
    scores = document["classes"]["pedestrian"]
    # As measured on 2026-11-25: 0.383, 0.797, 0.80.
    assert scores["ap"] == pytest.approx(0.383, abs=0.02)
    assert scores["ap50"] == pytest.approx(0.797, abs=0.03)
    assert scores["recall"] == pytest.approx(0.80, abs=0.05)
    assert scores["found"] + round((1 - scores["recall"]) * scores["truths"]) == 40
    assert document["rules"] == {"iou": 0.5, "confidence": 0.25, "max_detections": 100}
    assert document["detector"]["options"]["nms_iou"] == 0.45
    assert document["detector"]["milliseconds"]["median"] > 0
    digest = hashlib.sha256((people / "data.yaml").read_bytes()).hexdigest()
    assert document["dataset"]["files"] == {str(people / "data.yaml"): digest}
    assert document["detector"]["model_hash"] == hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    assert "pycocotools" in document["versions"]


@pytest.mark.slow
def test_the_detector_of_a_configuration(people: Path, tmp_path: Path, sightline: Sightline) -> None:
    (tmp_path / "run.yaml").write_text("{streams: {a: a.mp4}, stages: [{hog: {nms_iou: 0.3}}, track]}")
    words = ["--config", tmp_path / "run.yaml", "--name", "person=pedestrian", "--set", "nms_iou=0.4"]
    said = sightline("evaluate", "detect", people, *words)
    assert said.code == 0
    assert "stage hog ran with: nms_iou 0.4" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the detector: either --stage NAME"),
        (["--stage", "hog", "--config", "a.yaml"], "name the detector: either"),
        (["--stage", "track"], "stage 'track' is no detector; detectors: "),
        (["--stage", "hog", "--stream", "a"], "--stream belongs to --config"),
        (["--stage", "hog", "--name", "person"], "--name person: wanted LABEL=CLASS"),
        (["--stage", "hog", "--class", "lorry"], "the dataset has no class 'lorry'"),
        (["--stage", "hog", "--set", "speed=3"], "stage 'hog' has no option 'speed'"),
        (["--stage", "hog", "--json", "data.yaml"], "data.yaml is read; results would overwrite it"),
        (["--stage", "hog", "--split", "test"], "has no split 'test'; it has: val"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], said: str, tmp_path: Path, sightline: Sightline, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_yolo(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = sightline("evaluate", "detect", tmp_path, *words)
    assert done.code in {1, 2}
    assert len(done.errors) == 1
    assert said in done.errors[0]


def test_a_file_that_cannot_be_written_shows_before_the_work(tmp_path: Path, sightline: Sightline) -> None:
    words = ["--stage", "hog", "--json", tmp_path / "none/scores.json"]
    done = sightline("evaluate", "detect", write_coco(tmp_path), *words)
    assert done.code == 1
    assert "scores.json: cannot be written" in done.errors[0]


def test_the_trackers_are_evaluated_as_before(sightline: Sightline) -> None:
    said = sightline("evaluate", "--help").out
    assert "mot " in said
    assert "detect " in said
    assert "MOTChallenge" in sightline("evaluate", "mot", "--help").out

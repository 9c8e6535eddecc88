"""Cascades that come with OpenCV, on real faces; a face network of another kind is the judge."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import ModelError
from pipeline.frame import Frame
from pipeline.picture import BgrPicture
from stages.detect.haar import CASCADES, HaarDetector, HaarOptions
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frames
from tests.stages.detect.scenes import iou

FACE = Path(cv2.data.haarcascades) / CASCADES["face"][0]


def sampled() -> list[Frame]:
    return [seen for i, seen in enumerate(frames(shared("video/faces.mp4"))) if i % 25 == 0]


def judged(seen: Frame) -> np.ndarray:
    """Faces of RFB-320, (N, 4) xyxy px; those too small for the cascade's window are left out."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(shared("weights/version-RFB-320.onnx")), settings)
    rgb = cv2.cvtColor(seen.picture.fit(320, 240), cv2.COLOR_BGR2RGB)
    tensor = ((rgb.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
    scores, boxes = session.run(None, {session.get_inputs()[0].name: tensor})
    xyxy = boxes[0][scores[0, :, 1] > 0.8] * ([seen.picture.width, seen.picture.height] * 2)
    return xyxy[xyxy[:, 3] - xyxy[:, 1] > 0.1 * seen.picture.height]


@pytest.mark.slow
def test_faces_of_real_people_are_found() -> None:
    detector = HaarDetector(HaarOptions(), CONTEXT)
    found = right = 0
    for seen in sampled():
        detector.process_batch([seen])
        assert seen.detections is not None
        overlap = iou(judged(seen), seen.detections.xyxy)
        found += len(seen.detections)
        right += int((overlap > 0.3).any(axis=0).sum()) if len(overlap) else 0
        assert set(seen.detections.label.tolist()) <= {"face"}
        assert ((seen.detections.score >= 0.5) & (seen.detections.score < 1)).all()
        assert (seen.detections.xyxy <= [640, 360, 640, 360]).all()
    assert found >= 5
    assert right / found > 0.8


@pytest.mark.slow
def test_more_agreement_finds_fewer() -> None:
    pictures = [seen.picture for seen in sampled()]

    def count(neighbours: int) -> int:
        detector = HaarDetector(HaarOptions(neighbours=neighbours), CONTEXT)
        return sum(len(found) for found in detector.detect(pictures))

    assert count(1) > count(8) > count(100) == 0


def test_an_own_cascade_is_read_and_its_name_is_the_label(tmp_path: Path) -> None:
    own = tmp_path / "visitor.xml"
    own.write_bytes(FACE.read_bytes())
    picture = sampled()[0].picture
    detector = HaarDetector(HaarOptions(cascades=(str(own),)), CONTEXT)
    known = HaarDetector(HaarOptions(), CONTEXT)
    (mine,), (theirs,) = detector.detect([picture]), known.detect([picture])
    assert len(mine) > 0
    assert mine.xyxy.tolist() == theirs.xyxy.tolist()
    assert set(mine.label.tolist()) == {"visitor"}
    assert detector.model_hash == known.model_hash
    named = HaarDetector(HaarOptions(cascades=(str(own),), label="guest"), CONTEXT)
    assert set(named.detect([picture])[0].label.tolist()) == {"guest"}


@pytest.mark.slow
def test_several_cascades_look_for_several_things() -> None:
    detector = HaarDetector(HaarOptions(cascades=("face", "eye"), height=480, smallest=0.04), CONTEXT)
    seen = np.concatenate([found.label for found in detector.detect([f.picture for f in sampled()])])
    assert set(seen.tolist()) == {"face", "eye"}
    assert detector.model_hash != HaarDetector(HaarOptions(), CONTEXT).model_hash


@pytest.mark.parametrize("name", CASCADES)
def test_every_named_cascade_searches(name: str) -> None:
    rng = np.random.default_rng(0)
    noise = BgrPicture(rng.integers(0, 255, (120, 160, 3), dtype=np.uint8))
    blank = BgrPicture(np.full((120, 160, 3), 128, np.uint8))
    detector = HaarDetector(HaarOptions(cascades=(name,), height=120), CONTEXT)
    (_, empty) = detector.detect([noise, blank])
    assert len(empty) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (19, 19)])
def test_pictures_smaller_than_the_window_are_empty(size: tuple[int, int]) -> None:
    picture = BgrPicture(np.full((*size, 3), 90, np.uint8))
    assert len(HaarDetector(HaarOptions(), CONTEXT).detect([picture])[0]) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<html><body>404</body></html>",
        b'<?xml version="1.0"?>\n<opencv_storage><a>1</a></opencv_storage>',
        FACE.read_bytes()[:5000],
        FACE.read_bytes().replace(b"<stages>", b"<stagez>"),
    ],
    ids=["empty", "text", "page", "other", "truncated", "misspelt"],
)
def test_what_is_no_cascade_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.xml"
    path.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        HaarDetector(HaarOptions(cascades=(str(path),)), CONTEXT)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "says"), [("nose", "face, profile"), ("none.xml", "no weights at")])
def test_a_cascade_that_is_nowhere_is_named(name: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        HaarDetector(HaarOptions(cascades=(name,)), CONTEXT)


@pytest.mark.parametrize(
    "wrong", [{"cascades": []}, {"scale": 1.0}, {"neighbours": 0}, {"smallest": 0}, {"height": 8}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HaarOptions(**wrong)  # type: ignore[arg-type]

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, FrameLost, FramesLost, ModelError
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from pipeline.shared import Shared
from stages.detect.coco import COCO_NAMES
from stages.detect.onnx import OnnxDetector, OnnxOptions
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frame, frames
from tests.stages.detect.layouts.networks import FAMILIES, Answer, failing, resizable, write
from tests.stages.detect.people import Sequence, average_precision
from tests.stages.detect.scenes import iou

VEHICLES = ("car", "truck", "bus")


def _nano(**options: object) -> OnnxDetector:
    return OnnxDetector(OnnxOptions(model=shared("weights/yolox_nano.onnx"), **options), CONTEXT)


def test_vehicles_are_found_in_traffic() -> None:
    detector = _nano(labels=VEHICLES, confidence=0.4)
    seen = [frame for index, frame in enumerate(frames(shared("video/traffic_a.mp4"))) if index % 25 == 0]
    detector.process_batch(seen)
    tables = [frame.detections for frame in seen if frame.detections is not None]
    assert len(tables) == 10
    assert 8 < np.mean([len(table) for table in tables]) < 16
    assert {label for table in tables for label in table.label.tolist()} <= set(VEHICLES)
    # Read off the plain frame 150: the white car in front, the black one behind, the white one on the left.
    cars = np.array([(240, 248, 326, 323), (309, 202, 372, 255), (206, 175, 260, 223)], float)
    assert (iou(cars, tables[6].xyxy).max(axis=1) > 0.8).all()
    digest = hashlib.sha256(shared("weights/yolox_nano.onnx").read_bytes()).hexdigest()
    assert seen[0].model_hash == digest[:16]


def test_a_picture_of_any_shape_is_taken_and_a_blank_one_is_empty() -> None:
    detector = _nano()
    for shape in ((50, 900, 3), (900, 50, 3), (1, 1, 3)):
        assert len(detector.detect([BgrPicture(np.full(shape, 128, np.uint8))])[0]) == 0


def test_confidence_and_nms_do_what_they_say() -> None:
    picture = next(frames(shared("video/traffic_a.mp4"))).picture
    sure, unsure = (_nano(confidence=c).detect([picture])[0] for c in (0.5, 0.1))
    assert sure.score.min() >= 0.5
    assert len(sure) == int((unsure.score >= 0.5).sum())
    for label in set(unsure.label.tolist()):
        boxes = unsure.xyxy[unsure.label == label]
        assert (iou(boxes, boxes) - np.eye(len(boxes))).max(initial=0) < 0.5


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(ConfigError, match="no class 'lorry'"):
        _nano(labels=("car", "lorry"))


def test_coco_has_80_different_names() -> None:
    assert len(set(COCO_NAMES)) == len(COCO_NAMES) == 80


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty file"), (b"hello", "(no usable|no) ONNX file|is text"), (None, "no weights")],
)
def test_what_is_no_onnx_file_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "weights.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as raised:
        OnnxDetector(OnnxOptions(model=path), CONTEXT)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["osnet_x0_25_msmt17.onnx", "yunet_n_dynamic.onnx"])
def test_a_network_that_is_no_known_detector_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="no layout that is known"):
        OnnxDetector(OnnxOptions(model=shared(f"weights/{name}")), CONTEXT)


def test_a_named_layout_must_fit() -> None:
    with pytest.raises(ModelError, match="no network of layout 'yolox'"):
        OnnxDetector(OnnxOptions(model=shared("weights/FastestDet.onnx"), layout="yolox"), CONTEXT)


@pytest.mark.parametrize(
    ("name", "least"), [("yolox_nano.onnx", 0.80), ("FastestDet.onnx", 0.74), ("nanodet_m_320.onnx", 0.80)]
)
def test_people_of_a_labelled_sequence_are_found(name: str, least: float) -> None:
    """Average precision at IoU 0.5 over every tenth frame of TUD-Stadtmitte; measured 0.86, 0.79, 0.84."""
    detector = OnnxDetector(
        OnnxOptions(
            model=shared(f"weights/{name}"), labels=("person",), confidence=0.05, runtime="onnxruntime"
        ),
        CONTEXT,
    )
    people = Sequence.load("TUD-Stadtmitte")
    found = {
        number: detector.detect([picture])[0] for number, picture in people.pictures() if number % 10 == 1
    }
    assert average_precision(found, people.boxes) > least


def test_faces_are_found_by_a_detector_that_names_no_classes() -> None:
    path = shared("weights/version-RFB-320.onnx")
    with pytest.raises(ConfigError, match="does not name its 1 classes; set 'classes'"):
        OnnxDetector(OnnxOptions(model=path), CONTEXT)
    detector = OnnxDetector(OnnxOptions(model=path, classes=("face",), confidence=0.7), CONTEXT)
    seen = [frame for at, frame in enumerate(frames(shared("video/faces.mp4"))) if at % 60 == 0][:8]
    tables = [detector.detect([frame.picture])[0] for frame in seen]
    faces = [table for table in tables if len(table)]
    assert len(faces) >= 4
    assert {label for table in faces for label in table.label.tolist()} == {"face"}
    shapes = np.concatenate([np.diff(table.xyxy.reshape(-1, 2, 2), axis=1)[:, 0] for table in faces])
    assert 0.5 < np.median(shapes[:, 0] / shapes[:, 1]) < 1.2


def test_streams_of_one_run_share_the_network_and_find_the_same() -> None:
    context = StageContext("one", shared=Shared())
    options = OnnxOptions(model=shared("weights/FastestDet.onnx"), runtime="onnxruntime")
    one = OnnxDetector(options, context)
    other = OnnxDetector(options, replace(context, stream="other"))
    assert one._client is not None
    assert other._client is not None
    assert one._client._lease.value is other._client._lease.value
    pictures = [
        frame.picture for frame, _ in zip(frames(shared("video/traffic_a.mp4")), range(5), strict=False)
    ]
    together = one.detect(pictures)
    for picture, table in zip(pictures, together, strict=True):
        alone = other.detect([picture])[0]
        assert np.array_equal(alone.xyxy, table.xyxy)
        assert alone.label.tolist() == table.label.tolist()
    one.close()
    assert len(other.detect(pictures[:1])[0]) == len(together[0])
    other.close()


def test_a_picture_without_a_usable_answer_is_lost_alone(tmp_path: Path) -> None:
    detector = OnnxDetector(OnnxOptions(model=failing(tmp_path / "net.onnx"), runtime="onnxruntime"), CONTEXT)
    picture = BgrPicture(np.zeros((60, 80, 3), np.uint8))
    lost = detector.detect([picture, picture, picture])
    assert [str(one)[:18] for one in lost if isinstance(one, FrameLost)] == ["bad network output"] * 3
    seen = [frame(picture, at / 25, at) for at in range(3)]
    with pytest.raises(FramesLost) as raised:
        detector.process_batch(seen)
    assert sorted(raised.value.losses) == [0, 1, 2]
    with pytest.raises(ModelError, match="gave only numbers that are none"):
        detector.detect([picture] * 30)


def test_a_class_without_a_name_is_an_error(tmp_path: Path) -> None:
    answer = FAMILIES["tensorflow"](np.array([[10, 10, 90, 90.0]]), np.array([0.9]), np.array([5]))
    options = OnnxOptions(model=write(tmp_path / "net.onnx", answer), classes=("a", "b"))
    with pytest.raises(ModelError, match="class number 5, but its classes have 2 names"):
        OnnxDetector(options, CONTEXT).detect([BgrPicture(np.zeros((60, 80, 3), np.uint8))])


def test_a_dynamic_network_follows_the_streams_shape(tmp_path: Path) -> None:
    path = resizable(tmp_path / "net.onnx")
    detector = OnnxDetector(OnnxOptions(model=path, runtime="onnxruntime", image_size=320), CONTEXT)
    for width, height, wanted in ((1920, 1080, (192, 320)), (1080, 1920, (320, 192)), (640, 480, (256, 320))):
        detector.open(StreamInfo("test", "x", "run", width, height))
        assert detector._tensors is not None
        assert detector._tensors.spec.shape[2:] == wanted
        table = detector.detect([BgrPicture(np.zeros((height, width, 3), np.uint8))])[0]
        # The network answers with a box around the whole input, so the picture is cut out of it.
        assert np.allclose(table.xyxy, [[0, 0, width, height]], atol=1)
    detector.close()


def test_outputs_that_turn_out_to_be_none_of_the_layout_are_an_error(tmp_path: Path) -> None:
    cells = np.zeros((1, 50, 85), np.float32)
    cells[..., 4:] = 0.9
    answer = Answer({"output": cells}, {"images": ("float32", (1, 3, "height", "width"))})
    path = write(tmp_path / "net.onnx", answer, {"output": (1, "rows", 85)})
    options = OnnxOptions(model=path, layout="yolox", image_size=64, runtime="onnxruntime")
    detector = OnnxDetector(options, CONTEXT)
    with pytest.raises(ModelError, match=r"gives outputs \[1, 50, 85\], which are none of layout 'yolox'"):
        detector.detect([BgrPicture(np.zeros((64, 64, 3), np.uint8))])

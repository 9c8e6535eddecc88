"""What cannot be recognised, or is no such network, is said in one line with what to do."""

import numpy as np
import pytest

from pipeline.errors import ConfigError, ModelError
from stages.detect.layouts.choose import LAYOUTS, LayoutName, choose_layout, class_names
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.graph import Graph, TensorInfo
from tests.shared_data import shared
from tests.stages.detect.layouts.networks import FAMILIES, names

ANY = (None, 3, None, None)


def graph(*shapes: tuple[int | None, ...], image: tuple[int | None, ...] = ANY, **metadata: str) -> Graph:
    outputs = tuple(TensorInfo(f"output{at}", shape, "float32") for at, shape in enumerate(shapes))
    return Graph((TensorInfo("images", image, "float32"),), outputs, metadata)


def test_every_layout_has_a_name_and_is_tested() -> None:
    assert set(LAYOUTS) == set(LayoutName.__args__)
    of_yolo = {name for name in LAYOUTS if name.startswith(("yolov8-", "yolo26-"))}
    assert set(FAMILIES) == set(LAYOUTS) - of_yolo


ULTRALYTICS = {"names": names(3), "imgsz": "[640, 640]", "stride": "32"}


@pytest.mark.parametrize(
    ("seen", "layout", "classes"),
    [
        (graph((1, 84, 8400), image=(1, 3, 640, 640)), "yolov8", 80),
        (graph((1, 116, 8400), (1, 32, 160, 160), image=(1, 3, 640, 640)), "yolov8-segment", 80),
        (graph((1, 56, 8400), image=(1, 3, 640, 640)), "yolov8-pose", 1),
        (graph((1, 300, 6), image=(1, 3, 640, 640)), "yolo26", None),
        (graph((1, 25200, 85), image=(1, 3, 640, 640)), "yolov5", 80),
        (graph((1, 8400, 85), image=(1, 3, 640, 640)), "yolox", 80),
        (graph((1, 2125, 112), image=(1, 3, 320, 320)), "nanodet-plus", 80),
        (graph((1, 3598, 112), image=(1, 3, 416, 416)), "nanodet-plus", 80),
        (graph((None, None, None), task="detect", **ULTRALYTICS), "yolov8", 3),
        (graph((None, 7, None), task="detect", **ULTRALYTICS), "yolov8", 3),
        (graph((None, 8, None), task="obb", **ULTRALYTICS), "yolov8-obb", 3),
        (graph((None, 300, 7), task="obb", end2end="True", **ULTRALYTICS), "yolo26-obb", 3),
        (graph((None, 13, None), task="pose", kpt_shape="[2, 3]", **ULTRALYTICS), "yolov8-pose", 3),
        (graph((None, None, None), task="detect", end2end="True", **ULTRALYTICS), "yolo26", 3),
        (graph((None, None, None), task="detect", args="{'nms': True}", **ULTRALYTICS), "yolo26", 3),
        (graph((1, 300, 6), task="detect", head="RTDETRDecoder", **ULTRALYTICS), "rtdetr-ultralytics", 3),
        (graph((1, 300, 7), task="detect", description="RT-DETR", **ULTRALYTICS), "rtdetr-ultralytics", 3),
        (graph((None, None, 8), names="['a', 'b', 'c']", stride="32"), "yolov5", 3),
    ],
)
def test_shapes_and_metadata_tell_the_layout(seen: Graph, layout: str, classes: int | None) -> None:
    found = choose_layout(seen, "net.onnx")
    assert (found.name, found.classes) == (layout, classes)


def test_the_number_of_classes_in_the_configuration_decides() -> None:
    seen = graph((1, 56, 8400), image=(1, 3, 640, 640))
    assert choose_layout(seen, "net.onnx", classes=52).name == "yolov8"
    assert choose_layout(seen, "net.onnx", classes=1).name == "yolov8-pose"
    with pytest.raises(ModelError, match="no layout that is known"):
        choose_layout(seen, "net.onnx", classes=7)
    assert choose_layout(seen, "net.onnx", "yolov8").classes == 52


def test_queries_of_ones_own_classes_are_told_apart_by_their_number() -> None:
    outputs = (
        TensorInfo("logits", (1, 300, 6), "float32"),
        TensorInfo("pred_boxes", (1, 300, 4), "float32"),
    )
    seen = Graph((TensorInfo("pixel_values", ANY, "float32"),), outputs)
    assert choose_layout(seen, "net.onnx", classes=5).name == "detr"
    assert choose_layout(seen, "net.onnx", classes=6).name == "rtdetr"
    with pytest.raises(ModelError, match=r"logits float32 \[1, 300, 6\].*set 'layout' to one of.*rtdetr"):
        choose_layout(seen, "net.onnx")
    assert choose_layout(seen, "net.onnx", "rtdetr").classes == 6


def test_what_is_unknown_is_shown_with_what_is_possible() -> None:
    with pytest.raises(ModelError) as raised:
        choose_layout(graph((1, 1000), image=(1, 3, 224, 224)), "squeezenet.onnx")
    text = str(raised.value)
    assert "'squeezenet.onnx' has no layout that is known" in text
    assert "images float32 [1, 3, 224, 224] and output output0 float32 [1, 1000]" in text
    assert "yolov8" in text
    assert "\n" not in text


def test_what_could_be_two_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LAYOUTS, "yolov5", LAYOUTS["yolov8"])
    with pytest.raises(ModelError, match=r"several layouts \(yolov8, yolov8\); set 'layout'"):
        choose_layout(graph((1, 84, 8400), image=(1, 3, 640, 640)), "net.onnx")


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_named_layout_that_cannot_be_is_refused(layout: str) -> None:
    with pytest.raises(ModelError, match=f"no network of layout '{layout}': it has input"):
        choose_layout(graph((1, 1000), image=(1, 3, 224, 224)), "net.onnx", layout)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("yolox_nano.onnx", "yolox"),
        ("FastestDet.onnx", "fastestdet"),
        ("nanodet_m_320.onnx", "nanodet"),
        ("version-RFB-320.onnx", "ssd"),
    ],
)
def test_published_weights_are_recognised(name: str, layout: str) -> None:
    assert choose_layout(read_graph(shared(f"weights/{name}")), name).name == layout


@pytest.mark.parametrize("name", ["osnet_x0_25_msmt17.onnx", "yunet_n_dynamic.onnx"])
def test_published_weights_that_are_no_such_detector_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="no layout that is known"):
        choose_layout(read_graph(shared(f"weights/{name}")), name)


def test_names_come_from_the_configuration_then_the_file_then_coco() -> None:
    told = choose_layout(graph((None, 7, None), task="detect", **ULTRALYTICS), "net.onnx")
    assert class_names(told, "net.onnx", None) == ("thing 0", "thing 1", "thing 2")
    assert class_names(told, "net.onnx", ("a", "b", "c")) == ("a", "b", "c")
    with pytest.raises(ConfigError, match=r"classes: 2 names, but the network .* has 3 classes"):
        class_names(told, "net.onnx", ("a", "b"))
    plain = choose_layout(graph((1, 8400, 85), image=(1, 3, 640, 640)), "net.onnx")
    assert class_names(plain, "net.onnx", None)[:3] == ("person", "bicycle", "car")
    other = choose_layout(graph((1, 8400, 12), image=(1, 3, 640, 640)), "net.onnx")
    with pytest.raises(ConfigError, match="does not name its 7 classes; set 'classes'"):
        class_names(other, "net.onnx", None)


@pytest.mark.parametrize("text", ["{0: 'a', 2: 'b'}", "__import__('os')", "[" * 3000, "7", "{}", "{'x': 1}"])
def test_metadata_that_name_no_classes_are_ignored(text: str) -> None:
    seen = graph((1, 84, 8400), image=(1, 3, 640, 640), names=text)
    assert choose_layout(seen, "net.onnx").names is None


@pytest.mark.parametrize("seed", range(20))
def test_any_shapes_end_in_a_layout_or_one_clear_line(seed: int) -> None:
    random = np.random.default_rng(seed)
    side = [None, 1, 2, 3, 4, 6, 7, 32, 80, 84, 85, 91, 92, 100, 300, 640]

    def shape() -> tuple[int | None, ...]:
        return tuple(side[at] for at in random.integers(0, len(side), random.integers(0, 5)))

    for _ in range(100):
        words = ["boxes", "scores", "labels", "logits", "detection_boxes", "cls_pred_stride_8", "x", ""]
        ports = [
            TensorInfo(str(random.choice(words)), shape(), str(random.choice(["float32", "int64", ""])))
            for _ in range(int(random.integers(0, 6)))
        ]
        notes = {"task": str(random.choice(["detect", "pose", "classify"]))} if random.random() < 0.3 else {}
        seen = Graph(tuple(ports[:1]), tuple(ports[1:]), notes)
        for layout in (None, *LAYOUTS):
            try:
                choose_layout(seen, "net.onnx", layout)
            except ModelError as error:
                assert "\n" not in str(error)  # noqa: PT017

"""Small real ONNX files that answer any picture with outputs made beforehand, in the shape of each family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEIGHT = 256, 192
CLASSES = 80
IMAGE = {"images": ("float32", (1, 3, HEIGHT, WIDTH))}


@dataclass
class Answer:
    """Outputs by name, and what the file says of its inputs and of itself."""

    outputs: dict[str, np.ndarray]
    inputs: dict[str, tuple[str, tuple[int | str, ...]]] = field(default_factory=lambda: dict(IMAGE))
    metadata: dict[str, str] = field(default_factory=dict)


def write(path: Path, answer: Answer, shapes: Mapping[str, tuple[int | str, ...]] | None = None) -> Path:
    """Write the network; `shapes` says other shapes of outputs than those of the arrays, e.g. open ones."""
    nodes, weights, outputs = [], [], []
    for name, array in answer.outputs.items():
        weights.append(numpy_helper.from_array(array, f"{name}_fixed"))
        nodes.append(helper.make_node("Identity", [f"{name}_fixed"], [name]))
        shape = (shapes or {}).get(name, array.shape)
        outputs.append(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape)
        )
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        for name, (dtype, shape) in answer.inputs.items()
    ]
    graph = helper.make_graph(nodes, "answer", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, answer.metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def failing(path: Path) -> Path:
    """Write a network of YOLOX's shape whose only output is not a number."""
    cells = sum((HEIGHT // s) * (WIDTH // s) for s in (8, 16, 32))
    return write(path, Answer({"output": np.full((1, cells, 85), np.nan, np.float32)}))


def resizable(path: Path) -> Path:
    """Write a YOLO of open size that answers with one box of class 0 around its whole input."""
    shape = helper.make_node("Shape", ["images"], ["shape"])
    sides = [
        helper.make_node("Gather", ["shape", index], [side]) for index, side in (("two", "h"), ("three", "w"))
    ]
    cast = [helper.make_node("Cast", [side], [f"{side}_px"], to=TensorProto.FLOAT) for side in ("h", "w")]
    half = [helper.make_node("Mul", [f"{side}_px", "half"], [f"{side}_half"]) for side in ("h", "w")]
    row = helper.make_node("Concat", ["w_half", "h_half", "w_px", "h_px", "score"], ["row"], axis=0)
    out = helper.make_node("Reshape", ["row", "out_shape"], ["output0"])
    weights = [
        numpy_helper.from_array(np.array(value, dtype), name)
        for name, value, dtype in (
            ("two", [2], np.int64),
            ("three", [3], np.int64),
            ("half", [0.5], np.float32),
            ("score", [0.9], np.float32),
            ("out_shape", [1, 5, 1], np.int64),
        )
    ]
    graph = helper.make_graph(
        [shape, *sides, *cast, *half, row, out],
        "whole",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ("batch", 3, "height", "width"))],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ("batch", 5, "anchors"))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(
        model, {"task": "detect", "names": names(1), "stride": "32", "imgsz": "[640, 640]"}
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


def cxcywh(xyxy: np.ndarray) -> np.ndarray:
    return np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)


def names(count: int = CLASSES) -> str:
    return str({number: f"thing {number}" for number in range(count)})


Columns = tuple[np.ndarray, np.ndarray, np.ndarray]
SHARES = np.array([WIDTH, HEIGHT] * 2, np.float32)


def _ultralytics(task: str, **more: str) -> dict[str, str]:
    return {"task": task, "names": names(), "imgsz": f"[{HEIGHT}, {WIDTH}]", "stride": "32", **more}


def _cells(strides: tuple[int, ...]) -> int:
    return sum((HEIGHT // s) * (WIDTH // s) for s in strides)


def yolov5(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.zeros((1, 3 * _cells((8, 16, 32)), 5 + CLASSES), np.float32)
    rows = np.arange(len(xyxy)) * 7
    raw[0, rows, :4] = cxcywh(xyxy)
    raw[0, rows, 4] = 0.9
    raw[0, rows, 5 + number] = score / 0.9
    return Answer({"output": raw})


def yolov8(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.zeros((1, 4 + CLASSES, _cells((8, 16, 32))), np.float32)
    columns = np.arange(len(xyxy)) * 5
    raw[0, :4, columns] = cxcywh(xyxy)
    raw[0, 4 + number, columns] = score
    return Answer({"output0": raw}, metadata=_ultralytics("detect"))


def yolo26(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.zeros((1, 300, 6), np.float32)
    raw[0, : len(xyxy)] = np.column_stack([xyxy, score, number])
    return Answer({"output0": raw}, metadata=_ultralytics("detect", end2end="True"))


def yolox(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.zeros((1, _cells((8, 16, 32)), 5 + CLASSES), np.float32)
    boxes = cxcywh(xyxy)
    cell = (boxes[:, :2] // 8).astype(int)
    rows = cell[:, 1] * (WIDTH // 8) + cell[:, 0]
    raw[0, rows, :2] = boxes[:, :2] / 8 - cell
    raw[0, rows, 2:4] = np.log(boxes[:, 2:] / 8)
    raw[0, rows, 4] = 0.8
    raw[0, rows, 5 + number] = score / 0.8
    return Answer({"output": raw})


def fastestdet(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    rows, columns = HEIGHT // 16, WIDTH // 16
    raw = np.zeros((1, 5 + CLASSES, rows, columns), np.float32)
    boxes = cxcywh(xyxy) / SHARES
    place = boxes[:, :2] * (columns, rows)
    x, y = np.clip(np.round(place).astype(int), 0, (columns - 1, rows - 1)).T
    raw[0, 1:3, y, x] = np.arctanh(np.clip(place - np.stack([x, y], axis=1), -0.999, 0.999))
    raw[0, 3:5, y, x] = np.log(boxes[:, 2:] / (1 - boxes[:, 2:]))
    raw[0, 0, y, x] = 0.9
    raw[0, 5 + number, y, x] = (score / 0.9**0.6) ** 2.5
    return Answer({"758": raw})


def _distances(xyxy: np.ndarray, points: np.ndarray, stride: int) -> np.ndarray:
    """Logits of two neighbouring bins whose mean is the distance in strides."""
    sides = np.concatenate([points - xyxy[:, :2], xyxy[:, 2:] - points], axis=1) / stride
    assert (sides >= 0).all()
    assert (sides < 7).all()
    bin_of = np.floor(sides).astype(int)
    weight = np.full((len(xyxy), 4, 8), 1e-9)
    for row, side in np.ndindex(sides.shape):
        share = sides[row, side] - bin_of[row, side]
        weight[row, side, bin_of[row, side]] = 1 - share + 1e-9
        weight[row, side, bin_of[row, side] + 1] = share + 1e-9
    return np.log(weight).reshape(len(xyxy), 32)


def _nanodet(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray, centre: float) -> np.ndarray:
    rows, columns = HEIGHT // 8, WIDTH // 8
    raw = np.zeros((rows * columns, CLASSES + 32), np.float32)
    cell = np.floor(cxcywh(xyxy)[:, :2] / 8).astype(int)
    place = cell[:, 1] * columns + cell[:, 0]
    raw[place, number] = score
    raw[place, CLASSES:] = _distances(xyxy, (cell + centre) * 8.0, 8)
    return raw


def nanodet(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = {}
    for kind, columns in (("cls", CLASSES), ("dis", 32)):
        for stride in (8, 16, 32):
            count = (HEIGHT // stride) * (WIDTH // stride)
            outputs[f"{kind}_pred_stride_{stride}"] = np.zeros((1, count, columns), np.float32)
    fine = _nanodet(xyxy, score, number, 0.5)
    outputs["cls_pred_stride_8"][0] = fine[:, :CLASSES]
    outputs["dis_pred_stride_8"][0] = fine[:, CLASSES:]
    return Answer(outputs)


def nanodet_plus(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.zeros((1, _cells((8, 16, 32, 64)), CLASSES + 32), np.float32)
    fine = _nanodet(xyxy, score, number, 0.0)
    raw[0, : len(fine)] = fine
    return Answer({"output": raw})


def ssd(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    scores = np.zeros((1, 300, 1 + CLASSES), np.float32)
    scores[..., 0] = 1
    boxes = np.zeros((1, 300, 4), np.float32)
    rows = np.arange(len(xyxy)) * 3
    scores[0, rows, 0], scores[0, rows, 1 + number] = 1 - score, score
    boxes[0, rows] = xyxy / SHARES
    return Answer({"scores": scores, "boxes": boxes})


def ssd_mlperf(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    return Answer(
        {
            "bboxes": (xyxy / SHARES)[None].astype(np.float32),
            "labels": (number + 1)[None].astype(np.int64),
            "scores": score[None].astype(np.float32),
        }
    )


def tensorflow(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = {
        "detection_boxes": (xyxy / SHARES)[None][..., [1, 0, 3, 2]].astype(np.float32),
        "detection_classes": (number + 1)[None].astype(np.float32),
        "detection_scores": score[None].astype(np.float32),
        "num_detections": np.array([len(xyxy)], np.float32),
        "raw_detection_boxes": np.zeros((1, 9, 4), np.float32),
    }
    return Answer(outputs, {"input_tensor": ("uint8", (1, HEIGHT, WIDTH, 3))})


def efficientdet(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.column_stack([np.zeros(len(xyxy)), xyxy[:, [1, 0, 3, 2]], score, number + 1])
    return Answer(
        {"detections:0": raw[None].astype(np.float32)}, {"image:0": ("uint8", (1, HEIGHT, WIDTH, 3))}
    )


def torchvision(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = {"2033": xyxy, "2003": (number + 1).astype(np.int64), "2002": score}
    return Answer(
        {name: array.astype(np.int64 if name == "2003" else np.float32) for name, array in outputs.items()},
        {"images": ("float32", (3, HEIGHT, WIDTH))},
    )


def rcnn_zoo(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = {
        "6379": xyxy.astype(np.float32),
        "6381": (number + 1).astype(np.int64),
        "6383": score.astype(np.float32),
    }
    return Answer(outputs, {"image": ("float32", (3, HEIGHT, WIDTH))})


def _queries(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray, columns: int) -> dict[str, np.ndarray]:
    logits = np.full((1, 100, columns), -12.0, np.float32)
    boxes = np.full((1, 100, 4), 0.1, np.float32)
    rows = np.arange(len(xyxy)) * 2
    logits[0, rows, number] = np.log(score / (1 - score))
    boxes[0, rows] = cxcywh(xyxy) / SHARES
    return {"logits": logits, "pred_boxes": boxes}


def detr(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = _queries(xyxy, score, number, 92)
    # The last class is "no object": its logit of 0 makes the softmax the given score.
    outputs["logits"][..., -1] = 0
    return Answer(outputs, {**IMAGE, "pixel_mask": ("int64", (1, 64, 64))})


def rtdetr(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    return Answer(_queries(xyxy, score, number, CLASSES))


def rtdetr_boxes(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = {
        "labels": number[None].astype(np.int64),
        "boxes": xyxy[None].astype(np.float32),
        "scores": score[None].astype(np.float32),
    }
    return Answer(outputs, {**IMAGE, "orig_target_sizes": ("int64", (1, 2))})


def rtdetr_ultralytics(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    raw = np.zeros((1, 300, 6), np.float32)
    raw[0, : len(xyxy)] = np.column_stack([cxcywh(xyxy) / SHARES, score, number])
    metadata = _ultralytics("detect", head="RTDETRDecoder", description="Ultralytics rtdetr-l model")
    return Answer({"output0": raw}, metadata=metadata)


def retinanet(xyxy: np.ndarray, score: np.ndarray, number: np.ndarray) -> Answer:
    outputs = {}
    for level, stride in enumerate((8, 16, 32, 64, 128), start=1):
        rows, columns = -(-HEIGHT // stride), WIDTH // stride
        outputs[f"score_{level}"] = np.zeros((1, 9 * CLASSES, rows, columns), np.float32)
        outputs[f"box_{level}"] = np.zeros((1, 36, rows, columns), np.float32)
    # Anchor 0 of stride 8 is the square of 4 strides around its cell; sides count their last pixel.
    boxes = np.concatenate([xyxy[:, :2], xyxy[:, 2:] + 1], axis=1)
    x, y = np.floor(cxcywh(xyxy)[:, :2] / 8).astype(int).T
    size = 33.0
    centre = np.stack([x, y], axis=1) * 8 + 4 - 16 + size / 2
    delta = np.concatenate(
        [(cxcywh(boxes)[:, :2] - centre) / size, np.log(cxcywh(boxes)[:, 2:] / size)], axis=1
    )
    for row in range(len(xyxy)):
        outputs["score_1"][0, number[row], y[row], x[row]] = score[row]
        outputs["box_1"][0, :4, y[row], x[row]] = delta[row]
    ordered = sorted(outputs, key=lambda name: (name.startswith("box"), name))
    return Answer({name: outputs[name] for name in ordered})


FAMILIES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Answer]] = {
    "yolov5": yolov5,
    "yolov8": yolov8,
    "yolo26": yolo26,
    "yolox": yolox,
    "nanodet": nanodet,
    "nanodet-plus": nanodet_plus,
    "fastestdet": fastestdet,
    "ssd": ssd,
    "ssd-mlperf": ssd_mlperf,
    "tensorflow": tensorflow,
    "efficientdet": efficientdet,
    "retinanet": retinanet,
    "torchvision": torchvision,
    "rcnn-zoo": rcnn_zoo,
    "detr": detr,
    "rtdetr": rtdetr,
    "rtdetr-boxes": rtdetr_boxes,
    "rtdetr-ultralytics": rtdetr_ultralytics,
}
"""For each family the file that finds these boxes (px of the input), scores and class numbers."""

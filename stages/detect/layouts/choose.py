"""Which layout a network has: from its graph, or as the configuration says."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

from pipeline.errors import ConfigError, ModelError
from stages.detect.coco import COCO_NAMES
from stages.detect.layouts import detr, nanodet, ssd, torchvision, yolo
from stages.detect.layouts.base import Hints, Layout
from stages.detect.layouts.fastestdet import FastestDet
from stages.detect.layouts.retinanet import RetinaNet
from stages.detect.layouts.yolov5 import Yolov5
from stages.detect.layouts.yolox import Yolox
from stages.detect.runtime.graph import Graph, TensorInfo

LayoutName = Literal[
    "yolov5",
    "yolov8",
    "yolov8-segment",
    "yolov8-pose",
    "yolov8-obb",
    "yolo26",
    "yolo26-segment",
    "yolo26-pose",
    "yolo26-obb",
    "yolox",
    "nanodet",
    "nanodet-plus",
    "fastestdet",
    "ssd",
    "ssd-mlperf",
    "tensorflow",
    "efficientdet",
    "retinanet",
    "torchvision",
    "rcnn-zoo",
    "detr",
    "rtdetr",
    "rtdetr-boxes",
    "rtdetr-ultralytics",
]
"""`yolov8`: also v5u, v9, 11 and 12, and v10 and 26 with scores per cell; `yolo26`: both end to end."""

Recogniser = Callable[[Graph, Hints], Layout | None]

LAYOUTS: dict[str, Recogniser] = {
    "yolov5": Yolov5.recognise,
    **{
        ("yolo26" if end else "yolov8") + ("" if task == "detect" else f"-{task}"): partial(
            yolo.recognise, task=task, end_to_end=end
        )
        for end in (False, True)
        for task in yolo.TASKS
    },
    "yolox": Yolox.recognise,
    "nanodet": nanodet.NanoDet.recognise,
    "nanodet-plus": nanodet.recognise_plus,
    "fastestdet": FastestDet.recognise,
    "ssd": ssd.Ssd.recognise,
    "ssd-mlperf": ssd.SsdMlperf.recognise,
    "tensorflow": ssd.TensorFlow.recognise,
    "efficientdet": ssd.EfficientDet.recognise,
    "retinanet": RetinaNet.recognise,
    "torchvision": torchvision.Torchvision.recognise,
    "rcnn-zoo": torchvision.recognise_zoo,
    "detr": partial(detr.recognise, softmax=True),
    "rtdetr": partial(detr.recognise, softmax=False),
    "rtdetr-boxes": detr.RtDetrBoxes.recognise,
    "rtdetr-ultralytics": detr.UltralyticsRtDetr.recognise,
}


def choose_layout(graph: Graph, where: str, name: str | None = None, classes: int | None = None) -> Layout:
    """Return the layout of a graph.

    Args:
        graph: of the model file.
        where: the file, for messages.
        name: the layout that the configuration names, None to recognise it.
        classes: how many classes the configuration names, None when it names none.

    Raises:
        ModelError: if no layout fits, several do, or the named one cannot be.
    """
    if name is not None:
        named = LAYOUTS[name](graph, Hints(classes, named=True))
        if named is None:
            raise ModelError(
                f"'{where}' is no network of layout '{name}': it has {_shown(graph)}; "
                f"leave 'layout' out to have it recognised, or use another file"
            )
        return named
    found = [layout for recognise in LAYOUTS.values() if (layout := recognise(graph, Hints(classes)))]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(layout.name for layout in found)
        raise ModelError(f"'{where}' could be of several layouts ({names}); set 'layout' to one of them")
    raise ModelError(
        f"'{where}' has no layout that is known: it has {_shown(graph)}; set 'layout' to one of "
        f"{', '.join(get_args(LayoutName))} (and 'classes' to its class names), or export it differently"
    )


def class_names(layout: Layout, where: str, classes: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of a network's classes: the configuration's, the file's, or COCO's 80.

    Raises:
        ConfigError: if the configuration names another number of classes than the network has, or nobody
            names them.
    """
    if classes is not None:
        if layout.classes is not None and layout.classes != len(classes):
            raise ConfigError(
                f"classes: {len(classes)} names, but the network '{where}' has {layout.classes} classes; "
                f"name all of them, in the order of its training"
            )
        return classes
    if layout.names is not None:
        return layout.names
    if layout.classes == len(COCO_NAMES):
        return COCO_NAMES
    count = f"{layout.classes} " if layout.classes is not None else ""
    raise ConfigError(
        f"the file '{where}' does not name its {count}classes; set 'classes' to their names, "
        f"in the order of its training"
    )


def _shown(graph: Graph) -> str:
    return f"input {_ports(graph.inputs)} and output {_ports(graph.outputs)}"


def _ports(ports: tuple[TensorInfo, ...]) -> str:
    shapes = [
        f"{port.name} {port.dtype} [{', '.join('?' if side is None else str(side) for side in port.shape)}]"
        for port in ports[:6]
    ]
    return ", ".join(shapes) + (f" and {len(ports) - 6} more" if len(ports) > 6 else "")

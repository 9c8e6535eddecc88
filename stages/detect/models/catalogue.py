"""The models that are known by name: where they come from, under which licence, and their digests.

Digests are SHA-256. Those of torchvision are the eight digits that its file names carry. The others were
published by several people, independently of each other, for the same release file; where fewer than two
agree there is none here, and the first download is what later ones are compared with.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download/v8.4.0/"
_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"
_NANODET = "https://github.com/RangiLyu/nanodet/releases/download/v1.0.0-alpha-1/"
_FASTESTDET = (
    "https://raw.githubusercontent.com/dog-qiuqiu/FastestDet/main/example/onnx-runtime/FastestDet.onnx"
)
_TORCHVISION = "https://download.pytorch.org/models/"

AGPL = "AGPL-3.0"

_DIGESTS = {
    "yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
    "yolo11s.pt": "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    "yolo11m.pt": "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",
    "yolo11l.pt": "9ebd0e09d59811db4b1d61e2bc6730649608b1ac47f8dd01e2da6bca7c20023f",
    "yolo11x.pt": "7bc158aa95c0ebfdd87f70f01653c1131b93e92522dbe15c228bcd742e773a24",
    "yolo26n.pt": "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
    "yolo26s.pt": "646f8bc3fe0a656803d95c294f7852321748cb29d13466a1af8862e2db384a1b",
    "yolo26m.pt": "401cea9ab23ad19246ff7744859816bc599f350e93c9dd30367b6f0a0745d0b7",
    "yolo26l.pt": "9fe3c544f2b19bebad7ea41e76d7ad3d88b7c2f10d11d24430c5311f6b32db26",
    "yolo26x.pt": "9fdd44a31c504547ffb81d2c6d9e6dac3493c8eaa8b0398d3f43bae6c7003e92",
    "yolo26n-seg.pt": "361fbfabab285c3237700b6bb91d7ecfa602cd945fffda8dbe1242829b71e73f",
    "yolov8n.pt": "f59b3d833e2ff32e194b5bb8e08d211dc7c5bdf144b90d2c8412c47ccfc83b36",
    "yolov8s.pt": "1f47a78bf100391c2a140b7ac73a1caae18c32779be7d310658112f7ac9aa78a",
    "yolov8m.pt": "5d4a90cdc7a21786cc59cd19778e9eafff836df9e2da32524737c7ee6efe4fe5",
    "rtdetr-l.pt": "6de60b10d4bc566f00cda0f5b4d64afe4b66d48dc9695d2171effb7859d8e73f",
    "yolox_nano.onnx": "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d",
    "yolox_tiny.onnx": "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7",
    "yolox_s.onnx": "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063",
    "nanodet-plus-m_416.onnx": "59d2f166088889c902f523bf08079391993491324f0d84847e3c4016a8f7cc3d",
    "FastestDet.onnx": "31cb14c017fce347cb4c846ec62fdf00d76bb3beecdf4be21e7116ac67feb880",
}
_TORCHVISION_FILES = {
    "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth": "Faster R-CNN",
    "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth": "Faster R-CNN v2",
    "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth": "Faster R-CNN MobileNet",
    "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth": "Faster R-CNN MobileNet, 320 px",
    "fcos_resnet50_fpn_coco-99b0c9b7.pth": "FCOS",
    "retinanet_resnet50_fpn_coco-eeacb38b.pth": "RetinaNet",
    "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth": "RetinaNet v2",
    "ssd300_vgg16_coco-b556d3b4.pth": "SSD, 300 px",
    "ssdlite320_mobilenet_v3_large_coco-a79551df.pth": "SSDlite, 320 px",
    "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth": "Mask R-CNN",
    "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth": "Mask R-CNN v2",
    "keypointrcnn_resnet50_fpn_coco-fc266e95.pth": "Keypoint R-CNN",
}


@dataclass(frozen=True, slots=True)
class Known:
    """A model that can be named.

    Attributes:
        name: of the file.
        url: where it is published.
        licence: SPDX identifier.
        stage: the stage that runs it.
        about: family and task in a few words.
        sha256: hexadecimal digits of its digest, perhaps only the first ones; "" when not known.
    """

    name: str
    url: str
    licence: str
    stage: str
    about: str
    sha256: str = ""


def known(name: str) -> Known | None:
    """Return the model of this name, None when there is none."""
    return next((model for model in catalogue() if model.name == name), None)


def similar(name: str) -> list[str]:
    """Return up to three names that may have been meant, the likeliest first."""
    return difflib.get_close_matches(name, [model.name for model in catalogue()], n=3, cutoff=0.7)


def catalogue() -> Iterator[Known]:
    """Yield every known model, by family."""
    for name, about in _ultralytics():
        yield Known(name, f"{_ULTRALYTICS}{name}", AGPL, "yolo", about, _DIGESTS.get(name, ""))
    for size in ("nano", "tiny", "s", "m", "l", "x"):
        name = f"yolox_{size}.onnx"
        yield Known(name, f"{_YOLOX}{name}", "Apache-2.0", "onnx", "YOLOX, detect", _DIGESTS.get(name, ""))
    for size in ("320", "416"):
        name = f"nanodet-plus-m_{size}.onnx"
        digest = _DIGESTS.get(name, "")
        yield Known(name, f"{_NANODET}{name}", "Apache-2.0", "onnx", "NanoDet-Plus, detect", digest)
    name = "FastestDet.onnx"
    yield Known(name, _FASTESTDET, "BSD-3-Clause", "onnx", "FastestDet, detect", _DIGESTS[name])
    for name, about in _TORCHVISION_FILES.items():
        digits = name.removesuffix(".pth").rpartition("-")[2]
        yield Known(name, f"{_TORCHVISION}{name}", "BSD-3-Clause", "torchvision", about, digits)


def _ultralytics() -> Iterator[tuple[str, str]]:
    tasks = {"": "detect", "-seg": "segment", "-pose": "pose", "-obb": "oriented boxes"}
    for generation, title in (("yolo26", "YOLO26"), ("yolo11", "YOLO11"), ("yolov8", "YOLOv8")):
        for suffix, task in tasks.items():
            for size in "nsmlx":
                yield f"{generation}{size}{suffix}.pt", f"{title}, {task}"
    for family, sizes in (("yolo12", "nsmlx"), ("yolov10", "nsmblx"), ("yolov9", "tsmce")):
        for size in sizes:
            yield f"{family}{size}.pt", f"{family.upper().replace('YOLOV', 'YOLOv')}, detect"
    for wide in ("", "6"):
        for size in "nsmlx":
            yield f"yolov5{size}{wide}u.pt", "YOLOv5, detect"
    for kind in ("", "-spp", "-tiny"):
        yield f"yolov3{kind}u.pt", "YOLOv3, detect"
    for size in "lx":
        yield f"rtdetr-{size}.pt", "RT-DETR, detect"

"""Networks that benchmarks run: YOLO11n with random weights, whose speed is real and which finds nothing."""

from __future__ import annotations

import os
from pathlib import Path

WIDTH, HEIGHT = 640, 384
"""Of the network's input, px: 16:9 pictures on 640."""


def yolo11n(folder: Path, *, width: int = WIDTH, height: int = HEIGHT, dynamic: bool = False) -> Path:
    """Write YOLO11n with random weights as ONNX into `folder`; needs the extra `yolo`.

    Args:
        folder: where it goes; it and ultralytics' other output stay there.
        width: of the input, px.
        height: of the input, px.
        dynamic: True to leave the number of pictures and their size open.
    """
    os.environ["YOLO_AUTOINSTALL"] = "false"
    from ultralytics import YOLO

    here = Path.cwd()
    os.chdir(folder)  # ultralytics writes beside itself
    try:
        YOLO("yolo11n.yaml").export(
            format="onnx", imgsz=(height, width), simplify=False, opset=17, verbose=False, dynamic=dynamic
        )
        return next(folder.rglob("*.onnx"))
    finally:
        os.chdir(here)

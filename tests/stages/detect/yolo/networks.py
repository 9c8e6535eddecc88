"""Networks of ultralytics with random weights, so that nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.picture import BgrPicture
from stages.detect.yolo.weights import import_ultralytics

_SIDES = r"cv2\.\d\.2\.(weight|bias)$"
SIZE = (320, 180)
_SCORES = r"cv3\.\d\.\d\.weight$|score_head.*weight$"


def save_random(yaml: str, path: Path, names: tuple[str, ...] = ("car", "bus", "dog")) -> Path:
    """Build a network from its description, with random weights, and save it as .pt."""
    ultralytics = import_ultralytics()
    import torch

    torch.manual_seed(0)
    made = (ultralytics.RTDETR if "rtdetr" in yaml else ultralytics.YOLO)(yaml)
    args = made.model.args
    made.model = type(made.model)({**made.model.yaml, "nc": len(names)}, nc=len(names), verbose=False)
    made.model.names, made.model.task, made.model.args = dict(enumerate(names)), made.task, args
    # Normalisations that have seen a picture: else nothing of the input reaches the head.
    for part in made.model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        if "rtdetr" not in yaml:
            made.model.train()
            made.model.predict(torch.rand(2, 3, 96, 96))
        made.model.eval()
        heads = [v for name, v in made.model.state_dict().items() if re.search(_SCORES, name)]
        for values in heads:
            values.normal_(0, 0.05)
        for name, values in made.model.state_dict().items():
            if "yolo26" in yaml and re.search(
                _SIDES, name
            ):  # they are numbers, not distributions: keep them above 0
                values.mul_(0.05) if name.endswith("weight") else values.fill_(2.0)
        shown = torch.from_numpy(picture().bgr().copy()).permute(2, 0, 1)[None, :, :160] / 255
        while "rtdetr" not in yaml and _first(made.model(shown))[:, 4 : 4 + len(names)].max() > 0.9:
            for values in heads:
                values.mul_(0.7)
    made.save(str(path))
    return path


def _first(outputs: Any) -> Any:
    while isinstance(outputs, tuple):
        outputs = outputs[0]
    return outputs


def picture(seed: int = 1, size: tuple[int, int] = SIZE) -> BgrPicture:
    """Smooth blobs, in which boxes do not hang on the last bit of a pixel."""
    small = np.random.default_rng(seed).integers(0, 255, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
    return BgrPicture(np.asarray(cv2.resize(small, size), np.uint8))


def predicted(path: Path, shown: BgrPicture, confidence: float, most: int, iou: float = 0.45) -> Any:
    """What ultralytics itself finds."""
    ultralytics = import_ultralytics()
    network = (ultralytics.RTDETR if "rtdetr" in path.name else ultralytics.YOLO)(str(path))
    arguments = {"conf": confidence, "imgsz": SIZE[0], "iou": iou, "agnostic_nms": True, "max_det": most}
    return network.predict(shown.bgr(), device="cpu", verbose=False, **arguments)[0].cpu().numpy()

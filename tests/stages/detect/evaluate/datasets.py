"""Small data sets on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

Box = tuple[int, tuple[float, float, float, float]]
"""Class number, and left, top, width, height in px."""

WIDTH, HEIGHT = 200, 100
NAMES = ("car", "bus", "dog")
BOXES: tuple[tuple[Box, ...], ...] = (
    ((0, (10.0, 10.0, 40.0, 40.0)), (1, (100.0, 20.0, 60.0, 50.0))),
    ((0, (60.0, 30.0, 40.0, 40.0)),),
    (),
)


def write_picture(path: Path, boxes: Sequence[Box] = ()) -> None:
    """A grey picture with a filled box for each object: blue, green, red by class."""
    bgr = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for number, (left, top, width, height) in boxes:
        colour = [0, 0, 0]
        colour[number] = 255
        bgr[int(top) : int(top + height), int(left) : int(left + width)] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), bgr)


def write_yolo(root: Path, split: str = "val", **others: Any) -> Path:
    """A YOLO data set; returns its folder."""
    for number, boxes in enumerate(BOXES):
        write_picture(root / f"images/{split}/{number}.png", boxes)
        lines = [
            f"{kind} {(x + w / 2) / WIDTH} {(y + h / 2) / HEIGHT} {w / WIDTH} {h / HEIGHT}"
            for kind, (x, y, w, h) in boxes
        ]
        path = root / f"labels/{split}/{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        if boxes:
            path.write_text("\n".join(lines) + "\n")
    description = {"names": dict(enumerate(NAMES)), split: f"images/{split}", **others}
    (root / "data.yaml").write_text(yaml.safe_dump(description))
    return root


def write_coco(root: Path, name: str = "instances_val2017.json", folder: str = "val2017") -> Path:
    """The same in COCO's format, its category ids with gaps; returns its folder."""
    annotations = []
    for number, boxes in enumerate(BOXES):
        write_picture(root / folder / f"{number}.png", boxes)
        for kind, box in boxes:
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number + 7,
                    "category_id": 10 * (kind + 1),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    content = {
        "images": [
            {"id": number + 7, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT}
            for number in range(len(BOXES))
        ],
        "annotations": annotations,
        "categories": [{"id": 10 * (kind + 1), "name": name} for kind, name in enumerate(NAMES)],
    }
    path = root / "annotations" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return root

"""SSD in Caffe's format: a text that describes the layers, and a file with their weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]

_COMMENT = re.compile(r"#[^\n]*")
_INPUT_SIDES = re.compile(r"\b(?:input_dim|dim)\s*:\s*(\d+)")
_CLASSES = re.compile(r"\bnum_classes\s*:\s*(\d+)")


@dataclass(frozen=True, slots=True)
class Description:
    """What a .prototxt says.

    Attributes:
        path: of the .prototxt.
        width: of the input, px; None when it is not told.
        height: of the input, px; None when it is not told.
        classes: how many there are, without the background.
    """

    path: Path
    width: int | None
    height: int | None
    classes: int


def read_prototxt(path: Path) -> Description:
    """Read what is needed of a Caffe .prototxt.

    Raises:
        ModelError: if it is none, or describes no SSD (it has no `DetectionOutput` layer).
    """
    try:
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"config: cannot read '{path}'; it must be Caffe's deploy.prototxt") from error
    classes = _CLASSES.search(text)
    if "DetectionOutput" not in text or classes is None or int(classes[1]) < 2:
        raise ModelError(
            f"config: '{path}' has no DetectionOutput layer with num_classes; use an SSD's deploy.prototxt"
        )
    sides = [int(number) for number in _INPUT_SIDES.findall(text)[:4]]
    known = len(sides) == 4 and sides[1] == 3 and min(sides) > 0 and max(sides) <= 4096
    return Description(path, sides[3] if known else None, sides[2] if known else None, int(classes[1]) - 1)


def decode(
    output: F32Array, width: int, height: int, confidence: float
) -> tuple[F32Array, F32Array, I64Array]:
    """Turn the output of `DetectionOutput` for one picture into boxes (Liu et al. 2016, arXiv:1512.02325).

    Args:
        output: (1, 1, N, 7) float32: picture, class (0 is the background), score, left, top, right, bottom
            relative to the picture.
        width: of the picture, px.
        height: of the picture, px.
        confidence: smallest score.

    Returns:
        xyxy (M, 4) float32 px of the picture, score (M,) float32, class number without background (M,) int64.
    """
    rows = np.asarray(output, np.float32).reshape(-1, 7)
    rows = rows[(rows[:, 2] >= confidence) & (rows[:, 1] >= 1)]
    xyxy = rows[:, 3:7] * np.array([width, height] * 2, np.float32)
    return xyxy, rows[:, 2], rows[:, 1].astype(np.int64) - 1

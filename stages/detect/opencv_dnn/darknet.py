"""Darknet's YOLOv2, v3 and v4: a text that describes the layers, and a file of bare numbers."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]

_HEADS = ("yolo", "region")
_BOX_AND_OBJECT = 5


@dataclass(frozen=True, slots=True)
class Section:
    """One `[kind]` of a .cfg with its settings, as text."""

    kind: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Description:
    """What a .cfg says.

    Attributes:
        path: of the .cfg.
        width: of the input, px.
        height: of the input, px.
        classes: how many the heads tell apart.
        sections: the layers.
    """

    path: Path
    width: int
    height: int
    classes: int
    sections: tuple[Section, ...]


def read_cfg(path: Path) -> Description:
    """Read a Darknet .cfg.

    Raises:
        ModelError: if it is none, or describes no detector.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"config: cannot read '{path}'; it must be Darknet's .cfg") from error
    sections = _sections(text)
    heads = [section for section in sections if section.kind in _HEADS]
    if not heads:
        raise ModelError(f"config: '{path}' has no [yolo] or [region] layer; it is no detector's .cfg")
    try:
        net = next(section.settings for section in sections if section.kind in ("net", "network"))
        size = int(net["width"]), int(net["height"])
        classes = {int(head.settings["classes"]) for head in heads}
    except (StopIteration, KeyError, ValueError) as error:
        raise ModelError(
            f"config: '{path}' lacks width and height in [net], or classes in [yolo]; use the .cfg that "
            f"belongs to the weights"
        ) from error
    if len(classes) != 1 or min(*size, *classes) < 1 or max(size) > 4096:
        raise ModelError(f"config: '{path}' has heads of {classes} classes at {size[0]} x {size[1]} px")
    return Description(path, *size, classes.pop(), sections)


def with_threshold(path: Path, confidence: float) -> bytes:
    """Return the .cfg with this smallest score in each head: OpenCV's own, 0.2, hides what is less sure."""
    lines = []
    in_head = False
    for line in path.read_text(encoding="utf-8").splitlines():
        header = re.match(r"\s*\[(\w+)\]", line)
        if header:
            in_head = header[1] in _HEADS
        elif in_head and re.match(r"\s*thresh\s*=", line):
            continue
        lines.append(line)
        if header and in_head:
            lines.append(f"thresh={confidence}")
    return "\n".join([*lines, ""]).encode()


def check_weights(net: Any, description: Description, weights: bytes, path: Path) -> None:
    """Compare the length of a .weights file with what the layers need: OpenCV itself reads past its end.

    Args:
        net: the loaded network, whose layers `conv_0`, `conv_1`, ... tell their shapes.
        description: the .cfg.
        weights: the file's content.
        path: of the .weights.

    Raises:
        ModelError: if numbers are missing or left over.
    """
    numbers = 0
    for index, section in enumerate(description.sections[1:]):
        if section.kind != "convolutional":
            continue
        shape = net.getParam(f"conv_{index}", 0).shape
        normalised = section.settings.get("batch_normalize", "0") == "1"
        numbers += int(np.prod(shape)) + shape[0] * (4 if normalised else 1)
    got = (len(weights) - _header_bytes(weights)) / 4
    if got != numbers:
        raise ModelError(
            f"the weights '{path}' have {got:.10g} numbers, '{description.path.name}' needs {numbers}; use "
            f"the .cfg and .weights of one model, and download them again if they are"
        )


def decode(
    outputs: Sequence[F32Array], width: int, height: int, confidence: float
) -> tuple[F32Array, F32Array, I64Array]:
    """Turn the outputs of the heads for one picture into boxes.

    OpenCV's heads have applied the anchors already: each row is the box relative to the picture, the
    objectness, and for each class objectness times class probability (Redmon, Farhadi 2018, section 2).

    Args:
        outputs: of each head, (rows, 5 + classes) float32.
        width: of the picture, px.
        height: of the picture, px.
        confidence: smallest score.

    Returns:
        xyxy (N, 4) float32 px of the picture, score (N,) float32, class number (N,) int64.
    """
    rows = np.concatenate([np.asarray(output, np.float32) for output in outputs])
    best = rows[:, _BOX_AND_OBJECT:].argmax(axis=1)
    score = rows[np.arange(len(rows)), _BOX_AND_OBJECT + best]
    keep = score >= confidence
    centre, half = rows[keep, :2], rows[keep, 2:4] / 2
    xyxy = np.concatenate([centre - half, centre + half], axis=1)
    return (
        (xyxy * np.array([width, height] * 2)).astype(np.float32),
        score[keep],
        best[keep].astype(np.int64),
    )


def _sections(text: str) -> tuple[Section, ...]:
    sections: list[Section] = []
    for line in text.splitlines():
        plain = line.partition("#")[0].strip()
        header = re.fullmatch(r"\[(\w+)\]", plain)
        if header:
            sections.append(Section(header[1], {}))
        elif "=" in plain and sections:
            key, _, value = plain.partition("=")
            sections[-1].settings[key.strip()] = value.strip()
    return tuple(sections)


def _header_bytes(weights: bytes) -> int:
    """Version (3 x int32), then pictures seen: 64 bit from version 0.2 on, 32 before."""
    if len(weights) < 12:
        return 0
    major, minor, _ = struct.unpack_from("<3i", weights)
    return 12 + (8 if major * 10 + minor >= 2 else 4)

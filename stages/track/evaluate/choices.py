"""What can be chosen by name; imports nothing else, as the command line's help shows it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

Appearance = Literal["none", "builtin"] | Path
"""What describes boxes, as for the stage `track`: nothing, `appearance.builtin`, or an ONNX network."""


class Benchmark(StrEnum):
    """Whose rules the truth is read by: MOT15 has no classes, and later ones have distractors."""

    MOT15 = "MOT15"
    MOT16 = "MOT16"
    MOT17 = "MOT17"
    MOT20 = "MOT20"

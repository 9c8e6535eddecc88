"""Options of the stage `health`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.plugin import Options
from stages.health.problem import Problem

Seconds = Annotated[float, Field(ge=0, le=86_400)]


class HealthOptions(Options):
    """Options of the stage `health`. Each of the five problems is switched off by `null` for its figure.

    Attributes:
        frozen_s: the picture has not changed for so long. Cameras that spare bits send a still scene
            unchanged up to their next key frame: keep it above the longest interval between those.
        dark: the brightest hundredth of the picture, 0 to 255, lies below this; black is 16.
        blurred: the sharpest edges are less sharp than this share of what this camera's normally are.
        covered: so much of what the reference shows has become plain, as a share of its structure.
        moved: places have moved by so much, as a share of the picture's diagonal.
        after_s: how long a problem must last before it is told.
        clear_s: how long it must be gone before that is told.
        every_s: look no more often than this, in media time.
        learn_s: time over which the reference and the normal focus are learned.
        reference: a picture of the view as it must be, in place of a learned one.
        suspend: what makes lines and zones pause.
    """

    frozen_s: Annotated[float, Field(ge=2, le=86_400)] | None = 60.0
    dark: Annotated[float, Field(gt=0, lt=255)] | None = 40.0
    blurred: Annotated[float, Field(gt=0, lt=1)] | None = 0.7
    covered: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    moved: Annotated[float, Field(ge=0.01, lt=1)] | None = 0.02
    after_s: Seconds = 10.0
    clear_s: Seconds = 5.0
    every_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    learn_s: Annotated[float, Field(ge=1, le=3600)] = 20.0
    reference: Path | None = None
    suspend: frozenset[Problem] = frozenset({"moved", "covered", "dark", "frozen"})

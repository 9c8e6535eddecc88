"""The options of the stage `count`: what is common to all its parts, and one field for each part."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.plugin import Options
from stages.count.fields import Name, Seconds
from stages.count.lines.options import LineOptions


class CountOptions(Options):
    """Options of the stage `count`; at least one part is wanted.

    Attributes:
        lines: by name.
        vanished_s: an object unseen for so long has left the picture; if it was last seen beyond a line's
            band, its crossing counts although `hold_s` has not passed.
        forget_s: an object unseen for longer is forgotten; set it to at least the time for which the
            tracker may give a lost object its id back.
        handover_s: a new track that begins within so long where a lost one must be by then is the same object
            and goes on under its id: what was counted stays counted. 0 for never.
        explain: write into the run's folder why each object that came near a line was or was not counted;
            `sightline explain RUN` shows it.
    """

    lines: dict[Name, LineOptions] = Field(default_factory=dict)
    vanished_s: Seconds = 1.0
    forget_s: Seconds = 10.0
    handover_s: Annotated[float, Field(ge=0, le=5)] = 1.0
    explain: bool = False

    @model_validator(mode="after")
    def _something_to_count(self) -> Self:
        if not self.lines:
            raise ValueError("there is nothing to count; give it lines")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.forget_s < self.vanished_s:
            raise ValueError(
                f"forget_s ({self.forget_s:g}) must not be less than vanished_s ({self.vanished_s:g})"
            )
        return self

"""Options of the evidence that the stage `count` keeps."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.plugin import Options
from pipeline.privacy.options import Privacy


class EvidenceOptions(Options):
    """What is kept as proof of each count, in OUT/evidence/STREAM; see docs/audit.md.

    Attributes:
        snapshots: keep a JPEG crop of each counted object, taken when its path met the line.
        strips: keep an audit strip of each line: its pixels over time.
        strip_hz: most slits (looks at the line) a second.
        slit_px: pixels that a slit has across the line; more make fast objects recognisable, and the strip
            larger.
        reach: how far a slit reaches to either side of the line, as a share of the picture's diagonal.
        rows: most pixels of a strip along the line.
        quality: of the JPEG files, 1 to 100.
        clip_s: seconds before and after a crossing that the clip named in its event covers.
        max_mb: most megabytes of the stream; the oldest hours go first.
        privacy: what is hidden in crops and strips; None: as the configuration's `privacy` says, False:
            nothing. `ahead_s` has no effect here.
    """

    snapshots: bool = True
    strips: bool = True
    strip_hz: Annotated[float, Field(ge=1, le=120, allow_inf_nan=False)] = 15.0
    slit_px: Annotated[int, Field(ge=1, le=16)] = 4
    reach: Annotated[float, Field(ge=0, le=0.1, allow_inf_nan=False)] = 0.005
    rows: Annotated[int, Field(ge=16, le=1024)] = 192
    quality: Annotated[int, Field(ge=1, le=100)] = 80
    clip_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 2.0
    max_mb: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 500.0
    privacy: Privacy | None = None

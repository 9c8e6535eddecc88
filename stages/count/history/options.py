"""What can be said of keeping trajectories."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

from pydantic import Field

from pipeline.errors import ConfigError
from pipeline.plugin import Options


class TrajectoryOptions(Options):
    """Where every object went, kept in the results' folder for questions that are asked later.

    Attributes:
        resolution: units along the picture's longer side; a box is kept within one unit of where it was.
        keep_days: older days are let go of.
        keep_mb: of one stream; the oldest files are let go of beyond that.
        flush_s: seconds of a live stream after which what has ended is on the disk: a crash loses no more
            than that, and the objects that are in sight.
    """

    resolution: Annotated[int, Field(ge=64, le=8192)] = 640
    keep_days: Annotated[int, Field(ge=1)] | None = 400
    keep_mb: Annotated[float, Field(ge=1)] = 4000.0
    flush_s: Annotated[float, Field(ge=1, le=3600)] = 60.0


def require(*packages: str) -> None:
    """Make sure that what keeps and reads trajectories is installed.

    Raises:
        ConfigError: if not; it says how to have it.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f'trajectories need {" and ".join(missing)}, not installed; run: pip install "sightline[history]"'
        )

"""The settings of the default method."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOST = {"max_age_s": math.inf, "report_predicted_s": math.inf, "min_score": 1.0, "look_limit": 2.0}


@dataclass(frozen=True)
class Settings:
    """What a user may want to change; the model's own numbers stand beside the equations that use them.

    Attributes:
        max_age_s: an object that is lost for longer gets a new id.
        n_init: detections that make a track, at least; weak ones must be more.
        min_score: smallest score of a detection that starts a track; all may continue one.
        report_predicted_s: for so long a lost object is still reported where it should be; one that was lost
            between two looks of the detector until the second, for 0.5 s at most. 0: never.
        max_tracks: bound of the objects followed at one time, the lost ones too.
        look_limit: cosine distance half way between looks at the same and at different objects; only an
        opinion,
            until the scene has taught better.
    """

    max_age_s: float = 5.0
    n_init: int = 3
    min_score: float = 0.3
    report_predicted_s: float = 0.1
    max_tracks: int = 4000
    look_limit: float = 0.35

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= most or value == math.inf:
                limits = "of at least 0" if most == math.inf else f"from 0 to {most:g}"
                raise ValueError(f"{name} must be a finite number {limits}, got {value!r}")
        for name in ("n_init", "max_tracks"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")

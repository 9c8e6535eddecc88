"""What became of the frames, and how old their detections were: the cost of spending less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Account:
    """Counts frames by what was done for them. Written by one thread; others may read it at any time.

    Attributes:
        looked: the whole picture was looked at.
        regions: only regions of it were.
        unchanged: nothing had changed, the boxes stayed.
        carried: the boxes were carried by optical flow.
        lost_boxes: boxes that could not be followed from one picture to the next.
        oldest_s: longest time for which boxes were not refreshed while something moved.
        age_s: age of the latest frame's detections.
    """

    looked: int = 0
    regions: int = 0
    unchanged: int = 0
    carried: int = 0
    lost_boxes: int = 0
    oldest_s: float = 0.0
    age_s: float = 0.0

    def statistics(self, look_ms: float, spacing_s: float) -> dict[str, Any]:
        """Return plain values for the report."""
        return {
            "looked": self.looked,
            "regions": self.regions,
            "unchanged": self.unchanged,
            "carried": self.carried,
            "lost_boxes": self.lost_boxes,
            "oldest_s": round(self.oldest_s, 3),
            "age_s": round(self.age_s, 3),
            "look_ms": round(look_ms, 3),
            "spacing_s": round(spacing_s, 3),
        }

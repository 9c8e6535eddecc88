"""Questions about all who are in a zone: how many, how dense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from stages.count.zones.level import Threshold
from stages.count.zones.scene import Report, Scene


class Occupancy:
    """Whether more than so many objects are in the zone: how many now, at most and on average.

    Args:
        over: it begins when there are more than so many, 0 when there is anybody.
        steady_s: for so long.
        update_s: seconds between updates.
    """

    kind: ClassVar[str] = "zone.occupancy"

    def __init__(self, over: int, steady_s: float, update_s: float) -> None:
        self._level = Threshold(over + 1, over + 1, steady_s, update_s)
        self._now, self._now_s = 0, 0.0

    def look(self, scene: Scene) -> list[Report]:
        """Return what there is to tell at this frame."""
        self._now, self._now_s = scene.present, scene.time_s
        return self._level.look(scene.time_s, scene.present, self._data)

    def end(self, time_s: float, reason: str) -> list[Report]:
        """Return the end of what is going on."""
        self._now_s = time_s
        return self._level.end(time_s, reason, self._data)

    @property
    def is_open(self) -> bool:
        """Whether it is going on, or about to begin."""
        return self._level.is_open

    def note(self, time_s: float) -> str:  # noqa: ARG002
        """Return nothing: the zone's own note says how many are inside."""
        return ""

    def _data(self) -> Mapping[str, Any]:
        course = self._level.course
        assert course is not None  # noqa: S101 - for mypy
        return {"objects": self._now, "peak": int(course.peak), "mean": round(course.mean(self._now_s), 3)}


class Crowd:
    """Whether it is crowded: objects per area, of the ground or of the picture.

    Args:
        limit: density at which it begins; it ends at four fifths of that.
        area: of the zone, in the unit below.
        unit: "m2", or "percent" of the picture's area.
        steady_s: for so long.
        update_s: seconds between updates.
    """

    kind: ClassVar[str] = "zone.crowd"

    def __init__(self, limit: float, area: float, unit: str, steady_s: float, update_s: float) -> None:
        self._area, self._unit = area, unit
        self._level = Threshold(limit, 0.8 * limit, steady_s, update_s)
        self._now, self._now_s = 0, 0.0

    def look(self, scene: Scene) -> list[Report]:
        """Return what there is to tell at this frame."""
        self._now, self._now_s = scene.present, scene.time_s
        return self._level.look(scene.time_s, scene.present / self._area, self._data)

    def end(self, time_s: float, reason: str) -> list[Report]:
        """Return the end of what is going on."""
        self._now_s = time_s
        return self._level.end(time_s, reason, self._data)

    @property
    def is_open(self) -> bool:
        """Whether it is going on, or about to begin."""
        return self._level.is_open

    def note(self, time_s: float) -> str:  # noqa: ARG002
        """Return the density while it is crowded."""
        if not self._level.reached:
            return ""
        unit = "m²" if self._unit == "m2" else "% of the picture"
        return f"crowded, {self._now / self._area:.2g} per {unit}"

    def _data(self) -> Mapping[str, Any]:
        course = self._level.course
        assert course is not None  # noqa: S101 - for mypy
        return {
            f"per_{self._unit}": round(self._now / self._area, 4),
            f"peak_per_{self._unit}": round(course.peak, 4),
            f"mean_per_{self._unit}": round(course.mean(self._now_s), 4),
            "objects": self._now,
            f"area_{self._unit}": round(self._area, 4),
        }

"""The tracking methods by name, and what all of them have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

from pipeline.objects import Detections, Tracks
from stages.track.boxes import FloatArray
from stages.track.deepsort import DeepSort
from stages.track.deepsort import Settings as DeepSortSettings
from stages.track.overlap.settings import Settings as OverlapSettings
from stages.track.overlap.tracker import OverlapTracker
from stages.track.sightline.settings import Settings as SightlineSettings
from stages.track.sightline.tracker import Sightline


class Tracker(Protocol):
    """Gives the objects of one camera their ids, frame by frame. One instance serves one camera."""

    def update(self, detections: Detections, pts_s: float, *, camera: FloatArray | None = None) -> Tracks:
        """Take the next frame's detections, also when there are none, and return its confirmed tracks.

        Args:
            detections: N rows; embeddings of one length, or none.
            pts_s: media time in seconds, later than at the call before; any gap at its true length.
            camera: (2, 3) affine that takes a position in the previous frame's pixels to this frame's;
                None when unknown or still.

        Raises:
            ValueError: if time does not advance, or embeddings are not finite or changed their length.
        """
        ...


_Recipe = tuple[Callable[[], Any], Callable[[Any], Tracker]]

_RECIPES: dict[str, _Recipe] = {
    "sightline": (SightlineSettings, Sightline),
    "deepsort": (DeepSortSettings, DeepSort),
    "sort": (OverlapSettings.sort, OverlapTracker),
    "bytetrack": (OverlapSettings.bytetrack, OverlapTracker),
    "ocsort": (OverlapSettings.ocsort, OverlapTracker),
    "botsort": (OverlapSettings.botsort, OverlapTracker),
}

# Methods that tell objects apart by their looks when nothing else is said.
_LOOKING = ("sightline", "deepsort")

METHODS = tuple(_RECIPES)
"""Their names, the default first."""


def default_settings(method: str) -> dict[str, Any]:
    """Return the settings of a method with their defaults.

    Raises:
        ValueError: if there is no such method.
    """
    return dataclasses.asdict(_recipe(method)[0]())


def looks_by_default(method: str) -> bool:
    """Return whether the method tells objects apart by their looks when nothing else is said."""
    return method in _LOOKING


def settings_for_looks(method: str, limit: float | None) -> dict[str, float]:
    """Return the method's settings that suit an embedding, whose recommended limit may be unknown.

    `sightline` learns what distances mean; to be told the built-in embedding's limit cost it 2 points IDF1.
    """
    return {"max_cosine_distance": limit} if method == "deepsort" and limit is not None else {}


def make_tracker(method: str = "sightline", **settings: Any) -> Tracker:
    """Return a new tracker of the method, with its default settings where none are given.

    Raises:
        ValueError: if there is no such method.
        TypeError: if the method has no such setting.
    """
    settings_of, tracker_of = _recipe(method)
    return tracker_of(dataclasses.replace(settings_of(), **settings))


def _recipe(method: str) -> _Recipe:
    if method not in _RECIPES:
        raise ValueError(f"unknown tracking method '{method}'; known: {', '.join(_RECIPES)}")
    return _RECIPES[method]

"""The settings that matter, and which values of them are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import ConfigError
from stages.track.methods import (
    Tracker,
    default_settings,
    looks_by_default,
    make_tracker,
    settings_for_looks,
)
from stages.track.stage import TrackOptions
from stages.track.tune.recording import Recording

Value = float | int


def usual_appearance(method: str) -> str:
    """Return what the stage `track` describes boxes by for this method when nothing else is said."""
    return "builtin" if looks_by_default(method) else "none"


@dataclass(frozen=True)
class Knob:
    """One setting.

    Attributes:
        name: as the method and the stage `track` call it.
        default: its value when nothing is set.
        values: what is tried, ascending, the default among them.
    """

    name: str
    default: Value
    values: tuple[Value, ...]


_VALUES: dict[str, tuple[Value, ...]] = {
    "max_age_s": (0.5, 1.0, 2.0, 5.0, 10.0),
    "n_init": (1, 2, 3, 5, 8),
    "min_score": (0.0, 0.15, 0.3, 0.45, 0.6, 0.75),
    "max_cosine_distance": (0.03, 0.05, 0.1, 0.2, 0.3),
    "max_iou_distance": (0.5, 0.7, 0.85),
}


@dataclass(frozen=True, eq=False)
class Method:
    """A tracking method with what can be set.

    Attributes:
        name: of the method.
        knobs: those of the settings that matter which this method has.
    """

    name: str
    knobs: tuple[Knob, ...]

    def make(self, changes: Mapping[str, Value]) -> Tracker:
        """Return a fresh tracker at default settings but for the changes."""
        settings: dict[str, Any] = {knob.name: knob.default for knob in self.knobs} | dict(changes)
        return make_tracker(self.name, **settings)


def without_idle(method: Method, recording: Recording) -> Method:
    """Return the method without the values that cannot make a difference on this recording.

    A memory longer than the recording is one; so is a smallest score that leaves out as many detections as
    another value, the default above all, does.
    """
    kept = []
    for knob in method.knobs:
        values = knob.values
        if knob.name == "max_age_s":
            values = tuple(value for value in values if value <= max(recording.seconds, knob.default))
        elif knob.name == "min_score":
            left_out = {value: int((recording.score < value).sum()) for value in (knob.default, *values)}
            first = {count: value for value, count in reversed(left_out.items())}
            values = tuple(sorted(first.values()))
        kept.append(replace(knob, values=values))
    return replace(method, knobs=tuple(kept))


def method_named(name: str, *, limit: float | None, longest_s: float) -> Method:
    """Return the method with its knobs, read off its settings.

    Args:
        name: of the method.
        limit: of the cosine distance, where an embedder has one that suits it.
        longest_s: longest absence that is tried; the memory is tried up to twice that.

    Raises:
        ConfigError: if there is no such method, or it has none of the settings.
    """
    try:
        settings = default_settings(name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    settings |= settings_for_looks(name, limit)
    known = settings.keys() & TrackOptions.model_fields.keys()
    knobs = []
    for key, values in _VALUES.items():
        if key not in known:
            continue
        default = settings[key]
        further = {2 * longest_s} if key == "max_age_s" and 2 * longest_s > max(values) else set()
        knobs.append(Knob(key, default, tuple(sorted({*values, default, *further}))))
    if not knobs:
        raise ConfigError(f"method '{name}' has none of the settings that are swept: {', '.join(_VALUES)}")
    return Method(name, tuple(knobs))

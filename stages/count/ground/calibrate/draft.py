"""Judges a calibration in the making: how well the points fit, what is wrong, and how it is written down."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from pipeline.errors import ConfigError
from stages.count.ground.birdseye import grid_in_picture
from stages.count.ground.options import LensOptions, PlaneOptions
from stages.count.ground.plane import Plane

HEADER = "# made by `sightline calibrate`; put it into the options of the stage `count`\n"

_Z95 = 1.96


@dataclass(frozen=True, eq=False)
class Draft:
    """Settings of a plane that are right, and the plane that they make in a picture."""

    options: PlaneOptions
    plane: Plane


def draft(settings: Mapping[str, Any], width: int, height: int) -> Draft:
    """Check the settings of a plane and fit it.

    Args:
        settings: those of `PlaneOptions`.
        width: of the picture, px.
        height: of the picture, px.

    Raises:
        ConfigError: what is wrong, in one line.
    """
    try:
        options = PlaneOptions.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(_complaint(error)) from error
    return Draft(options, options.plane(width, height))


def figures(made: Draft) -> dict[str, Any]:
    """Return what there is to say of a calibration, as plain JSON values.

    Keys: `points` (a map each: `number`, `px` and `m` it misses by, `error_m` within which a place there is
    known (95 %), `used`), `error_px`, `scale_error_percent` (95 %, of a speed in the middle of the points),
    `mirrored`, `grid` (polylines of round metres, px), `yaml`.
    """
    plane = made.plane
    _, covariance = plane.to_metres(plane.picture)
    error_m = _Z95 * np.sqrt(np.trace(covariance, axis1=1, axis2=2))
    rows = zip(
        np.hypot(*plane.residuals_px().T).tolist(),
        np.hypot(*plane.residuals_m().T).tolist(),
        error_m.tolist(),
        plane.used.tolist(),
        strict=True,
    )
    return {
        "points": [
            {"number": number, "px": _number(px), "m": _number(m), "error_m": _number(error), "used": used}
            for number, (px, m, error, used) in enumerate(rows, 1)
        ],
        "error_px": round(plane.error_px, 2),
        "scale_error_percent": _number(100 * plane.scale_error()),
        "mirrored": plane.mirrored,
        "grid": [np.round(line, 1).tolist() for line in grid_in_picture(plane)],
        "yaml": fragment(made.options),
    }


def fragment(options: PlaneOptions) -> str:
    """Return the settings as YAML, to be put into a configuration."""
    lines = [HEADER + "ground:"]
    digits = 5 if options.units == "fraction" else 2
    if options.rectangle is not None:
        corners = ", ".join(_pair(corner, digits) for corner in options.rectangle.corners)
        lines += [
            "  rectangle:",
            f"    corners: [{corners}]",
            f"    sides_m: {_pair(options.rectangle.sides_m, 3)}",
        ]
    else:
        lines.append("  points:")
        lines += [
            f"    - {{at: {_pair(point.at, digits)}, metres: {_pair(point.metres, 3)}}}"
            for point in options.points or ()
        ]
    if options.lens is not None:
        chosen = options.lens.model_dump(exclude_defaults=True)
        lines.append(
            "  lens: {" + ", ".join(f"{key}: {_plain(value)}" for key, value in chosen.items()) + "}"
        )
    defaults = PlaneOptions.model_fields
    for key in ("units", "fit", "error_px", "error_m"):
        value = getattr(options, key)
        if value != defaults[key].default:
            lines.append(f"  {key}: {_plain(value)}")
    return "\n".join(lines) + "\n"


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where, context = ".".join(str(part) for part in first["loc"]), first.get("ctx", {})
    if first["type"] == "too_short":
        return f"{where}: {context['min_length']} are needed, got {context['actual_length']}"
    if first["type"] == "extra_forbidden":
        known = [*LensOptions.model_fields] if where.startswith("lens.") else [*PlaneOptions.model_fields]
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        hint = f", did you mean '{near[0]}'" if near else ""
        return f"{where}: unknown{hint}; known: {', '.join(known)}"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{where}: {message}" if where else message


def _pair(values: tuple[float, float], digits: int) -> str:
    return f"[{round(values[0], digits):.10g}, {round(values[1], digits):.10g}]"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _number(value: float) -> float | None:
    """Return a figure for JSON, which knows no NaN."""
    return round(value, 3) if np.isfinite(value) else None

"""What is asked of the past: by options of the command line, or by what a configuration draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.errors import ConfigError
from stages.count.history.replay import asked_of
from stages.count.options import CountOptions

_MOST_BYTES = 1 << 20
_SHAPES = {"line": (2, "gate=0.1,0.5 0.9,0.5"), "zone": (3, "till=0.1,0.5 0.9,0.5 0.5,0.9")}
"""Fewest points of what is drawn, and an example."""


def lines_drawn(texts: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return lines as they are written on the command line, [NAME=]x,y x,y ..., as options by name.

    Coordinates are fractions of the picture when none is above 1, else pixels.

    Args:
        texts: the lines.
        settings: further options of all of them, see `LineOptions`.

    Raises:
        ConfigError: naming what is wrong with which line.
    """
    drawn = _drawn("--line", "line", texts)
    return {name: {"points": points, **_units(points), **settings} for name, points in drawn.items()}


def zones_drawn(texts: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return polygons as they are written on the command line as options by name, like `lines_drawn`.

    Raises:
        ConfigError: naming what is wrong with which zone.
    """
    drawn = _drawn("--zone", "zone", texts)
    return {name: {"polygon": points, **_units(points), **settings} for name, points in drawn.items()}


def routes_drawn(texts: Sequence[str]) -> dict[str, Any]:
    """Return routes as they are written on the command line, [NAME=]GATE,GATE ..., as options by name.

    Raises:
        ConfigError: if one has a name twice.
    """
    found: dict[str, Any] = {}
    for name, gates in _named("--route", "route", texts):
        found[name] = {"gates": [gate.strip() for gate in gates.split(",")]}
    return found


def count_settings(file: Path, stream: str) -> dict[str, Any]:
    """Return the options that a configuration gives the stage `count` of a stream, as they are written.

    Raises:
        ConfigError: if the file cannot be read, or has no such stage.
    """
    tree = _read(file)
    streams = tree.get("streams")
    own = streams.get(stream) if isinstance(streams, dict) else None
    stages = own.get("stages") if isinstance(own, dict) and "stages" in own else tree.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        if stage == "count":
            return {}
        if isinstance(stage, dict) and "count" in stage:
            options = stage["count"]
            return dict(options) if isinstance(options, dict) else {}
    raise ConfigError(f"{file}: stream '{stream}' has no stage `count`; name the configuration of the run")


def asked(where: str, settings: Mapping[str, Any]) -> CountOptions:
    """Return what is asked, checked.

    Args:
        where: it comes from, for messages.
        settings: options of the stage `count`.

    Raises:
        ConfigError: naming what is wrong with what.
    """
    try:
        return asked_of(settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {place}: {message}" if place else f"{where}: {message}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ConfigError(f"{file}: larger than {_MOST_BYTES >> 20} MiB: is this a configuration?")
        tree = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: no YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: is this a configuration? It has no keys")
    return tree


def _named(option: str, usual: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for number, text in enumerate(texts, 1):
        name, separator, drawn = text.rpartition("=")
        name = name.strip() if separator else (usual if len(texts) == 1 else f"{usual} {number}")
        if name in found:
            raise ConfigError(f"{option}: two are called '{name}'")
        found[name] = drawn
    return list(found.items())


def _drawn(option: str, usual: str, texts: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    return {name: _points(option, usual, drawn) for name, drawn in _named(option, usual, texts)}


def _points(option: str, usual: str, drawn: str) -> list[tuple[float, float]]:
    least, example = _SHAPES[usual]
    points = []
    for pair in drawn.split():
        try:
            x, y = (float(value) for value in pair.split(","))
        except ValueError:
            raise ConfigError(
                f"{option} '{drawn}': '{pair}' is no point; write x,y x,y with a blank between points, "
                f'e.g. {option} "{example}"'
            ) from None
        points.append((x, y))
    if len(points) < least:
        raise ConfigError(
            f"{option} '{drawn}': a {usual} needs {least} points or more, with a blank between them, "
            f'e.g. {option} "{example}"'
        )
    return points


def _units(points: Sequence[tuple[float, float]]) -> dict[str, str]:
    return {"units": "fraction" if all(0 <= value <= 1 for point in points for value in point) else "px"}

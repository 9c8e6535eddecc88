"""What is asked of the past: lines from the command line, or what a configuration draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.errors import ConfigError
from stages.count.lines.options import LineOptions

_MOST_BYTES = 1 << 20


def lines_asked(texts: Sequence[str], settings: Mapping[str, Any]) -> dict[str, LineOptions]:
    """Return lines as they are written on the command line: [NAME=]x,y x,y ...

    Coordinates are fractions of the picture when none is above 1, else pixels.

    Args:
        texts: the lines.
        settings: further options of all of them, see `LineOptions`.

    Raises:
        ConfigError: naming what is wrong with which line.
    """
    found: dict[str, LineOptions] = {}
    for number, text in enumerate(texts, 1):
        name, separator, drawn = text.rpartition("=")
        name = name.strip() if separator else ("line" if len(texts) == 1 else f"line {number}")
        points = _points(text, drawn)
        units = "fraction" if all(0 <= value <= 1 for point in points for value in point) else "px"
        if name in found:
            raise ConfigError(f"--line: two lines are called '{name}'")
        found[name] = _line(f"--line '{text}'", {"points": points, "units": units, **settings})
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


def configured_lines(file: Path, settings: Mapping[str, Any]) -> dict[str, LineOptions]:
    """Return the lines of a stage's settings.

    Raises:
        ConfigError: naming what is wrong with which line.
    """
    lines = settings.get("lines") or {}
    if not isinstance(lines, dict):
        raise ConfigError(f"{file}: stages.count.lines must be lines by name")
    return {str(name): _line(f"{file}: line '{name}'", options) for name, options in lines.items()}


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


def _points(text: str, drawn: str) -> list[tuple[float, float]]:
    points = []
    for pair in drawn.split():
        try:
            x, y = (float(value) for value in pair.split(","))
        except ValueError:
            raise ConfigError(
                f"--line '{text}': '{pair}' is no point; write x,y x,y with a blank between points, "
                'e.g. --line "gate=0.1,0.5 0.9,0.5"'
            ) from None
        points.append((x, y))
    return points


def _line(where: str, options: Any) -> LineOptions:
    try:
        return LineOptions.model_validate(options)
    except ValidationError as error:
        raise ConfigError(f"{where}: {told(error)}") from None


def told(error: ValidationError) -> str:
    """Return what is wrong as one line."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")

"""How sources, stages and sinks are found by name: entry points of installed packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.plugin import Kind

_GROUPS: dict[Kind, str] = {
    "source": "sightline.sources",
    "stage": "sightline.stages",
    "sink": "sightline.sinks",
}


def plugin_names(kind: Kind) -> list[str]:
    """Return the registered names of a kind, sorted."""
    return sorted(entry_points(group=_GROUPS[kind]).names)


def stages_giving(field: str) -> list[str]:
    """Return the names of the stages that fill in this field of a frame, sorted; broken ones are left out."""
    found = []
    for name in plugin_names("stage"):
        try:
            gives = load_plugin("stage", name).gives
        except ConfigError:
            continue
        if field in gives:
            found.append(name)
    return found


def load_plugin(kind: Kind, name: str) -> type[Any]:
    """Import and return the class registered under `name`.

    Raises:
        ConfigError: if the name is unknown or its package cannot be imported.
    """
    found = entry_points(group=_GROUPS[kind], name=name)
    if not found:
        raise ConfigError(f"unknown {kind} '{name}'; known: {', '.join(plugin_names(kind))}")
    entry = next(iter(found))
    try:
        loaded: type[Any] = entry.load()
    except Exception as error:  # a third party's import may fail in any way; the user must learn which one
        raise ConfigError(f"{kind} '{name}' ({entry.value}) cannot be imported: {error}") from error
    return loaded


def scheme_of(url: str) -> str:
    """Return the name of the source that reads `url`: its scheme, else "images" for a folder or a pattern.

    A pattern is a path with `*`, `?` or `[` that is no file itself. Everything else is a "file".
    """
    scheme, separator, _ = url.partition("://")
    if separator:
        return scheme.lower()
    path = Path(url)
    is_pattern = not path.exists() and any(sign in url for sign in "*?[")
    return "images" if is_pattern or path.is_dir() else "file"

"""Settings as plain values, each with the place where it was written."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pipeline.config.problems import KeyPath, Origin

MAX_DEPTH = 32

PLUGIN_LISTS = ("stages", "sinks")


@dataclass(slots=True)
class Tree:
    """A tree of dicts, lists and scalars, with the origin of every node.

    Attributes:
        root: the settings, as YAML gives them.
        origins: by key path, the latest last; a node without one has its nearest ancestor's. Holds () always.
    """

    root: dict[str, Any]
    origins: dict[KeyPath, Origin]

    def get(self, path: KeyPath) -> Any:
        """Return the value at a path, None where there is none."""
        value: Any = self.root
        for part in path:
            if not holds(value, part):
                return None
            value = value[part]
        return value

    def origin(self, path: KeyPath) -> Origin:
        """Return where the value at a path was written, or where the mapping that lacks it was."""
        while path not in self.origins:
            path = path[:-1]
        return self.origins[path]

    def culprit(self, path: KeyPath) -> Origin:
        """Return whom to ask about a value as a whole: the latest override in it, or where it was written."""
        overrides = [
            place
            for known, place in self.origins.items()
            if known[: len(path)] == path and place.line is None
        ]
        return overrides[-1] if overrides else self.origin(path)

    def put(self, path: KeyPath, value: Any, origin: Origin) -> None:
        """Set a value whose parent exists; everything below it has the given origin."""
        self.get(path[:-1])[path[-1]] = value
        self._forget(path)
        self.origins[path] = origin

    def copy(self, source: KeyPath, target: KeyPath) -> None:
        """Copy a value, with its origins, to a path whose parent exists."""
        places = {path: place for path, place in self.origins.items() if path[: len(source)] == source}
        self.put(target, deepcopy(self.get(source)), self.origin(source))
        self.origins |= {target + path[len(source) :]: place for path, place in places.items()}

    def drop(self, path: KeyPath) -> None:
        """Remove a key of a mapping."""
        del self.get(path[:-1])[path[-1]]
        self._forget(path)

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.origins if known[: len(path)] == path]:
            del self.origins[known]


def holds(value: object, part: str | int) -> bool:
    """Return whether there is something under a key or index of `value`."""
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def is_plugin_entry(path: KeyPath) -> bool:
    """Return whether a path is that of a whole entry in a list of stages or sinks."""
    if len(path) == 2:
        return path[0] in PLUGIN_LISTS and isinstance(path[1], int)
    return len(path) == 4 and path[0] == "streams" and path[2] == "stages" and isinstance(path[3], int)


def is_source(path: KeyPath) -> bool:
    """Return whether a path is that of a stream's source."""
    return len(path) == 3 and path[0] == "streams" and path[2] == "source"

"""Settings from the command line and the environment, laid over those of the file.

`--set KEY=VALUE` and `SIGHTLINE__KEY=VALUE` replace exactly what they name; VALUE is written as in YAML. A
key is the path of a setting with dots (with "__" in a variable's name, in any case and with "_" for "-"):

    --set streams.gate.policy=latest        SIGHTLINE__STREAMS__GATE__POLICY=latest
    --set stages.motion.width=480           the list's entry of that name
    --set stages.0.motion.width=480         or by position, from 0; also stages[0]
    --set streams.gate.stages.track={}      gives the stream its own copy of the common list first
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.config.problems import (
    ConfigProblems,
    KeyPath,
    Origin,
    Problem,
    listed,
    shown,
    spelled,
    suggestion,
)
from pipeline.config.tree import MAX_DEPTH, Tree, is_plugin_entry, is_source
from pipeline.config.yaml_tree import read_value

PREFIX = "SIGHTLINE__"

_INDEX = re.compile(r"\[([0-9]+)\]")


class _NoSuchSettingError(Exception):
    """An override names something that is not there."""


def apply_environment(tree: Tree, environment: Mapping[str, str]) -> list[Problem]:
    """Lay variables named SIGHTLINE__... over the settings, in the order of their names.

    Returns:
        What could not be applied.
    """
    problems = []
    for name in sorted(environment):
        if name.upper().startswith(PREFIX):
            parts = name[len(PREFIX) :].split("__")
            origin = Origin(f"environment variable {name}")
            problems += _apply(tree, parts, environment[name], origin, _in_any_case)
    return problems


def apply_sets(tree: Tree, sets: Sequence[str], under: Sequence[str] = ()) -> list[Problem]:
    """Lay KEY=VALUE settings over the others; the last of equal ones counts.

    Args:
        tree: the settings.
        sets: what to lay over them.
        under: parts of the path that every KEY is below.

    Returns:
        What could not be applied.
    """
    problems = []
    for text in sets:
        key, separator, value = text.partition("=")
        origin = Origin(f"--set {key}")
        if separator and key:
            parts = [*under, *_INDEX.sub(r".\1", key).split(".")]
            problems += _apply(tree, parts, value, origin, _exactly)
        else:
            example = "path=x.jsonl" if under else "streams.gate.policy=latest"
            problems.append(Problem(origin, "", f"expected KEY=VALUE, such as {example}"))
    return problems


Match = Callable[[str, Iterable[str]], str]


def _exactly(part: str, _known: Iterable[str]) -> str:
    return part


def _in_any_case(part: str, known: Iterable[str]) -> str:
    """Return the known name that a variable's name stands for; shells allow no "-" in it."""
    named = [name for name in known if name.lower().replace("-", "_") == part.lower().replace("-", "_")]
    if len(named) > 1:
        raise _NoSuchSettingError(f"{shown(part)} may mean {listed(named, ' or ')}; use --set")
    return named[0] if named else part.lower()


def _apply(tree: Tree, parts: Sequence[str], value: str, origin: Origin, match: Match) -> list[Problem]:
    try:
        if not all(parts):
            raise _NoSuchSettingError("a part of the key is empty")
        if len(parts) > MAX_DEPTH // 2:
            raise _NoSuchSettingError("the key has too many parts")
        tree.put(_resolved(tree, parts, origin, match), read_value(value, origin), origin)
    except _NoSuchSettingError as error:
        return [Problem(origin, "", str(error))]
    except ConfigProblems as error:
        return list(error.problems)
    return []


def _resolved(tree: Tree, parts: Sequence[str], origin: Origin, match: Match) -> KeyPath:
    """Return the path that `parts` name, with everything above its end made where it is missing."""
    path: KeyPath = ()
    for part in parts:
        holder = _opened(tree, path, origin)
        if isinstance(holder, list):
            index = _index(holder, part, path, match)
            path = (*path, index)
            if not part.isdecimal():
                path = (*path, match(part, list(_opened(tree, path, origin))))
        else:
            key = match(part, holder)
            if is_plugin_entry(path) and key not in holder:
                raise _NoSuchSettingError(
                    f"{spelled(path)} is {listed(map(shown, holder))}, not {shown(key)}"
                )
            path = (*path, key)
    return path


def _opened(tree: Tree, path: KeyPath, origin: Origin) -> dict[str, Any] | list[Any]:
    """Return the mapping or list at a path; short forms are written out, and what is missing is made."""
    value = tree.get(path)
    if isinstance(value, dict | list):
        return value
    if isinstance(value, str) and is_plugin_entry(path):
        tree.put(path, {value: {}}, tree.origin(path))
    elif isinstance(value, str) and is_source(path):
        tree.put(path, {"url": value}, tree.origin(path))
    elif value is not None:
        raise _NoSuchSettingError(f"{spelled(path)} is {shown(value)} and holds no settings")
    elif len(path) == 3 and path[0] == "streams" and path[2] == "stages" and tree.get(("stages",)):
        tree.copy(("stages",), path)
    else:
        tree.put(path, {}, origin)
    opened: dict[str, Any] | list[Any] = tree.get(path)
    return opened


def _index(entries: Sequence[object], part: str, path: KeyPath, match: Match) -> int:
    if part.isdecimal():
        if int(part) < len(entries):
            return int(part)
        raise _NoSuchSettingError(f"{spelled(path)} has {len(entries)} entries, counted from 0; no {part}")
    names = [_name(entry) for entry in entries]
    wanted = match(part, [name for name in dict.fromkeys(names) if name])
    places = [index for index, name in enumerate(names) if name == wanted]
    if not places:
        known = [name for name in names if name]
        near = suggestion(wanted, known) or ";"
        raise _NoSuchSettingError(f"{spelled(path)} has no {shown(wanted)}{near} known: {listed(known)}")
    if len(places) > 1:
        raise _NoSuchSettingError(
            f"{spelled(path)} has {len(places)} entries {shown(wanted)}; name one by its position: "
            + listed((spelled((*path, place)) for place in places), " or ")
        )
    return places[0]


def _name(entry: object) -> str:
    """Return the name of an entry in a list of stages or sinks, "" for what is no such entry."""
    if isinstance(entry, dict) and len(entry) == 1:
        return str(next(iter(entry)))
    return entry if isinstance(entry, str) else ""

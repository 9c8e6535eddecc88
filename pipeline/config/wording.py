"""Pydantic's complaints in plain words: what was found, what is allowed, the nearest known key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.problems import KeyPath, Problem, listed, nearest, shown, spelled, suggestion
from pipeline.config.syntax import key_without_space, no_space
from pipeline.config.tree import Tree, holds
from pipeline.plugin import Kind

_TIME = "a time with its zone, such as 2024-05-01T08:00:00+02:00"
# What other programs call the schemes of sources; a name that is one of ours is never looked up here.
_MEANT = {
    **dict.fromkeys(("v4l2", "v4l", "usb", "cam", "camera", "device", "avfoundation", "dshow"), "webcam"),
    **dict.fromkeys(("desktop", "display", "monitor", "x11grab", "gdigrab"), "screen"),
    **dict.fromkeys(("hls", "m3u8", "mjpeg", "mjpg"), "http"),
    **dict.fromkeys(("yt", "twitch", "vimeo", "page", "web"), "site"),
    **dict.fromkeys(("dir", "directory", "watch", "ftp", "timelapse"), "folder"),
    "rtp": "udp",
    "rtps": "rtsp",
    "test": "lavfi",
}

# By pydantic's error type; {names} are of the error's context.
_WANTED: dict[str, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "sequence": "a list",
    "dict": "'key: value' settings",
    "mapping": "'key: value' settings",
    "model": "'key: value' settings",
    "model_attributes": "'key: value' settings",
    "greater_than": "a value above {gt}",
    "greater_than_equal": "a value of at least {ge}",
    "less_than": "a value below {lt}",
    "less_than_equal": "a value of at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "string_too_short": "{min_length} or more characters",
    "string_too_long": "{max_length} or fewer characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} or fewer entries",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "none_required": "nothing",
    "datetime": _TIME,
    "datetime_from_date": _TIME,
    "timezone_aware": _TIME,
}
_MANNER = re.compile(r"_(type|parsing|parsing_size|from_float|unicode|sub_type)$")


def problems_of(error: ValidationError, model: type[BaseModel], tree: Tree, path: KeyPath) -> list[Problem]:
    """Return what is wrong with the settings at `path`, which `model` refused: one problem per setting."""
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_place(detail, tree.get(path)), []).append(detail)
    problems = []
    misspelt = _meant(found, model)
    for place, details in found.items():
        if details[0]["type"] == "missing" and place in misspelt:
            continue
        if _of_union(details, place) and any(_is_below(other, place) for other in found):
            continue  # the member that was meant says more precisely what is wrong
        here = path + place
        message = _message(details, model, tree, path, place)
        of_key = details[0]["type"] in ("missing", "extra_forbidden")
        origin = tree.origin(here) if of_key else tree.culprit(here)
        problems.append(Problem(origin, spelled(here), message))
    return problems


def _meant(found: Mapping[KeyPath, Sequence[ErrorDetails]], model: type[BaseModel]) -> set[KeyPath]:
    """Return the keys that the unknown ones may stand for: they are not missing as well."""
    unknown = [place for place, details in found.items() if details[0]["type"] == "extra_forbidden"]
    near = ((place[:-1], nearest(str(place[-1]), allowed_keys(model, place[:-1]))) for place in unknown)
    return {(*above, key) for above, key in near if key is not None}


def _place(detail: ErrorDetails, value: Any) -> KeyPath:
    """Return the part of pydantic's location that is in the settings: it also names members of unions."""
    place: list[str | int] = []
    for part in detail["loc"]:
        if holds(value, part):
            value = value[part]
            place.append(part)
        elif detail["type"] == "missing" and isinstance(part, str) and part == detail["loc"][-1]:
            place.append(part)
    return tuple(place)


def _of_union(details: Sequence[ErrorDetails], place: KeyPath) -> bool:
    return any(len(detail["loc"]) > len(place) and detail["loc"][-1] != "[key]" for detail in details)


def _is_below(path: KeyPath, above: KeyPath) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def _message(
    details: Sequence[ErrorDetails], model: type[BaseModel], tree: Tree, path: KeyPath, place: KeyPath
) -> str:
    value = tree.get(path + place)
    if details[0]["loc"][-1:] == ("[key]",):
        value = place[-1]
    wanted: dict[str, None] = {}
    said: dict[str, None] = {}
    for detail in details:
        kind = detail["type"]
        if kind == "missing":
            last = detail["loc"][-1]
            if isinstance(last, int):
                wanted = {f"{last + 1} entries": None}
            else:
                said[f"missing; it must be given{_other_name(tree, path + place)}"] = None
        elif kind == "extra_forbidden":
            said[unknown_key(str(place[-1]), allowed_keys(model, place[:-1]))] = None
        elif words := _WANTED.get(_MANNER.sub("", kind)):
            wanted[words.format(**_context(detail))] = None
        else:
            said[_own_words(detail, value)] = None
    if wanted:
        said[f"expected {' or '.join(wanted)}, found {shown(value)}{_hint(details, value)}"] = None
    return "; ".join(said)


def _context(detail: ErrorDetails) -> dict[str, Any]:
    context = detail.get("ctx", {})
    return {key: f"{value:g}" if isinstance(value, float) else value for key, value in context.items()}


def _hint(details: Sequence[ErrorDetails], value: Any) -> str:
    for detail in details:
        manner = _MANNER.sub("", detail["type"])
        if manner in ("literal_error", "enum") and isinstance(value, str):
            return suggestion(value, re.findall(r"'([^']*)'", detail.get("ctx", {}).get("expected", "")))
        if _WANTED.get(manner) == "'key: value' settings" and (key := key_without_space(value)):
            return f"; {no_space(key)}"
        if _WANTED.get(manner) == "a list" and isinstance(value, str):
            return f"; write [{value}]"
        if manner == "string" and isinstance(value, int | float):
            return "; put it in quotes"
    return ""


def _own_words(detail: ErrorDetails, value: Any) -> str:
    cause = detail.get("ctx", {}).get("error")
    message = detail["msg"].replace("Input should be", "must be") if cause is None else str(cause)
    quoted = shown(value)
    if isinstance(value, dict) or quoted in message:
        return message
    return f"{message}; found {quoted}"


def _other_name(tree: Tree, path: KeyPath) -> str:
    """Say which name an override may have meant: a mistyped one makes a new, incomplete entry."""
    entry = path[:-1]
    siblings = tree.get(entry[:-1]) if entry else None
    if tree.origin(entry).line is not None or not isinstance(siblings, dict):
        return ""
    return suggestion(str(entry[-1]), [name for name in siblings if name != entry[-1]])


def unknown_key(key: str, allowed: Sequence[str]) -> str:
    """Return what to say of a key that is none of the allowed ones."""
    if (meant := key_without_space(key)) in allowed and meant is not None:
        return no_space(meant)
    near = suggestion(key, allowed)
    return f"unknown key {shown(key)}{near or ';'} allowed: {listed(allowed)}"


def unknown_part(kind: Kind, name: str, known: Sequence[str]) -> str:
    """Return what to say of the name of a stage or sink that is not there."""
    key = key_without_space(name)
    space = f"; {no_space(key)}" if key else ""
    return f"unknown {kind} {shown(name)}{space}{suggestion(name, known) or ';'} known: {listed(known)}"


def unknown_source(scheme: str, known: Sequence[str]) -> str:
    """Return what to say of a URL's scheme that no source reads."""
    meant = _MEANT.get(scheme)
    near = f"; did you mean {shown(meant)}?" if meant in known else suggestion(scheme, known) or ";"
    return f"no source reads '{scheme}://'{near} known: {listed(known)}"


def allowed_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that settings of `model` may have at `path`, read off its annotations."""
    level: list[Any] = [model]
    for part in path:
        level = [inner for annotation in level for inner in _inner(annotation, part)]
    return [key for annotation in level for inner in _models(annotation) for key in _keys(inner)]


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [model for member in get_args(annotation) for model in _models(member)]
    return []


def _inner(annotation: Any, part: str | int) -> list[Any]:
    """Return the annotations of what is under one key or index."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return [field.annotation for name, field in fields if part in (name, field.alias)]
    if origin in (Union, UnionType, Annotated):
        return [inner for member in arguments for inner in _inner(member, part)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return [arguments[1]]
    return [argument for argument in arguments if argument is not ...]

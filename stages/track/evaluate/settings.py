"""Settings of tracking methods as a command line gives them: KEY=VALUE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, get_args, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from pipeline.errors import ConfigError
from stages.track.methods import METHODS, default_settings, make_tracker
from stages.track.stage import TrackOptions

_AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""No setting of any method may be negative."""

_NOT_THE_METHODS = {"method", "appearance", "camera_motion"}
"""Options of the stage `track` that are no method's settings; BoT-SORT's `appearance` is another thing."""


def read_settings(words: Sequence[str], methods: Sequence[str]) -> dict[str, Any]:
    """Read KEY=VALUE words; of several for one key the last one holds.

    Args:
        words: e.g. "max_age_s=2"; "none" where a setting may be None.
        methods: which all must know the settings.

    Raises:
        ConfigError: if a word has another form, a method has no such setting, or the value does not fit it.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"--set {word}: wanted KEY=VALUE, e.g. max_age_s=2")
        for method in methods:
            require_settings(method, [key])
            try:
                settings[key] = _value(method, key, text)
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise ConfigError(f"--set {word}: {reason[:1].lower()}{reason[1:]}") from error
    return settings


def require_settings(method: str, keys: Iterable[str]) -> None:
    """Raise a ConfigError if there is no such method, or it has none of these settings."""
    if method not in METHODS:
        raise ConfigError(f"unknown tracking method '{method}'; known: {', '.join(METHODS)}")
    known = default_settings(method)
    for key in keys:
        if key not in known:
            raise ConfigError(f"method '{method}' has no setting '{key}'; known: {', '.join(known)}")


def _value(method: str, key: str, text: str) -> Any:
    kind = get_type_hints(type(getattr(make_tracker(method), "settings", None)))[key]
    if text.lower() == "none" and type(None) in get_args(kind):
        return None
    value = TypeAdapter(kind).validate_strings(text)
    if key in TrackOptions.model_fields.keys() - _NOT_THE_METHODS:
        TrackOptions.model_validate({"method": method, key: value})
    elif isinstance(value, float | int):
        TypeAdapter(_AtLeast0).validate_python(value)
    return value

"""What a `synthetic://` URL may say, and the one-line errors for everything else."""

from __future__ import annotations

import difflib
import hashlib
import math
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError

SCENES = ("street",)


class StreetParameters(BaseModel):
    """Everything the pictures and their truth depend on; equal parameters give equal bytes.

    Attributes:
        seed: another seed is another day in the same street.
        width: of the picture, px.
        height: of the picture, px; sets the scale of the scene, a wider picture shows more street.
        rate_hz: pictures per second.
        duration_s: length; a longer run begins with exactly the shorter one.
        traffic: how busy the street is: 0 is empty, 0.5 an ordinary day, 1 the rush hour, 2 a jam.
        noise: standard deviation of the sensor noise, grey levels.
        light: whether clouds and the camera's exposure change the brightness.
        shadows: whether cars and people cast shadows.
        jitter_px: how far wind moves the camera, px at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = Field(1, ge=0, le=2**32 - 1)
    width: int = Field(640, ge=160, le=3840)
    height: int = Field(360, ge=120, le=2160)
    rate_hz: float = Field(25.0, ge=1, le=120)
    duration_s: float = Field(40.0, ge=0.1, le=3600)
    traffic: float = Field(0.5, ge=0, le=2)
    noise: float = Field(3.0, ge=0, le=20)
    light: bool = True
    shadows: bool = True
    jitter_px: float = Field(0.0, ge=0, le=8)

    @property
    def frames(self) -> int:
        """Number of pictures: those at k / rate_hz before duration_s."""
        return max(1, math.ceil(self.duration_s * self.rate_hz - 1e-6))

    def digest(self) -> str:
        """Return 16 hexadecimal digits that stand for the scene and all parameters, defaults included."""
        return hashlib.blake2b(f"street {self.model_dump_json()}".encode(), digest_size=8).hexdigest()


def parse_url(url: str) -> StreetParameters:
    """Read `synthetic://street?seed=1&width=640...`; keys and bounds are those of `StreetParameters`.

    Raises:
        ConfigError: if the scene or a key is unknown or given twice, or a value is out of its bounds.
    """
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True) if parts.query else []
    except ValueError as error:
        raise ConfigError(
            f"'{url}' is not of the form synthetic://street?seed=1&rate_hz=25: {error}"
        ) from error
    if parts.scheme.lower() != "synthetic":
        raise ConfigError(f"'{url}' is not a synthetic:// URL, e.g. synthetic://street?seed=1")
    scene = parts.netloc
    if scene not in SCENES or parts.path.strip("/"):
        raise ConfigError(f"'{url}': {_unknown('scene', scene + parts.path, SCENES)}")
    if parts.fragment:
        raise ConfigError(f"'{url}': '#{parts.fragment}' means nothing here; remove it")
    known = list(StreetParameters.model_fields)
    values: dict[str, str] = {}
    for key, value in pairs:
        if key not in known:
            raise ConfigError(f"'{url}': {_unknown('key', key, known)}")
        if key in values:
            raise ConfigError(f"'{url}': '{key}' is given twice; remove one")
        values[key] = value
    try:
        return StreetParameters.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise ConfigError(f"'{url}': {key}={values[key]}: {_allowed(key)}") from error


def _unknown(what: str, given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    hint = f", did you mean '{near[0]}'" if near else ""
    return f"unknown {what} '{given}'{hint}; known: {', '.join(known)}"


def _allowed(key: str) -> str:
    """Say what `key` accepts, from the model's own bounds."""
    field = StreetParameters.model_fields[key]
    if field.annotation is bool:
        return "must be 1 or 0"
    kind = "a whole number" if field.annotation is int else "a number"
    low, high = (
        next(getattr(item, end) for item in field.metadata if hasattr(item, end)) for end in ("ge", "le")
    )
    return f"must be {kind} from {low} to {high}"

"""The detector that is to be judged: by name and settings, or as a configuration has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.errors import ConfigError, FrameLost, SightlineError, StageError
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import Options, Stage, StageContext, StreamInfo
from pipeline.registry import load_plugin, plugin_names, stages_giving
from stages.detect.base import Detector


@dataclass(frozen=True, slots=True)
class Choice:
    """A stage and its settings.

    Attributes:
        name: of the stage.
        plugin: its class.
        settings: as they were written.
    """

    name: str
    plugin: type[Stage]
    settings: Mapping[str, Any]

    def options(self, **others: Any) -> Options:
        """Return the checked options, some of them replaced.

        Raises:
            ConfigError: if a setting is wrong.
        """
        try:
            return self.plugin.Options.model_validate({**self.settings, **others})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            known = ", ".join(self.plugin.Options.model_fields)
            if first["type"] == "missing":
                raise ConfigError(f"stage '{self.name}' needs '{key}': give --set {key}=VALUE") from error
            if first["type"] == "extra_forbidden":
                raise ConfigError(f"stage '{self.name}' has no option '{key}'; it has: {known}") from error
            raise ConfigError(f"stage '{self.name}': {key}: {first['msg']}") from error


def named(name: str, sets: Sequence[str] = ()) -> Choice:
    """Return the stage of this name with KEY=VALUE settings, read as YAML.

    Raises:
        ConfigError: if there is none, or it is no detector.
    """
    if name not in plugin_names("stage"):
        raise ConfigError(f"unknown stage '{name}'; detectors: {', '.join(stages_giving('detections'))}")
    plugin = load_plugin("stage", name)
    if "detections" not in plugin.gives:
        raise ConfigError(
            f"stage '{name}' is no detector; detectors: {', '.join(stages_giving('detections'))}"
        )
    return Choice(name, plugin, _settings(sets))


def configured(path: Path, stream: str | None = None, sets: Sequence[str] = ()) -> Choice:
    """Return the detector of a configuration, the first of its stages that is one.

    Args:
        path: the YAML file.
        stream: whose stages; by default those of all streams.
        sets: KEY=VALUE settings that replace the written ones.

    Raises:
        ConfigError: if it cannot be read, has no detector, or no such stream.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    for entry in _stages(path, content, stream):
        name, given = next(iter(entry.items())) if isinstance(entry, dict) and entry else (entry, None)
        if str(name) in _detectors():
            choice = named(str(name), sets)
            written = given if isinstance(given, dict) else {}
            return Choice(choice.name, choice.plugin, {**written, **choice.settings})
    raise ConfigError(
        f"{path}: has no detector among its stages; name the stream with --stream, or use --stage"
    )


def _stages(path: Path, content: Any, stream: str | None) -> list[Any]:
    """Return the stages of a stream: its own, else those of all. `sightline check` looks more closely."""
    top: dict[str, Any] = content if isinstance(content, dict) else {}
    stages = top.get("stages")
    if stream is not None:
        streams = top.get("streams")
        known: dict[str, Any] = streams if isinstance(streams, dict) else {}
        if stream not in known:
            raise ConfigError(
                f"{path}: there is no stream '{stream}'; it has: {', '.join(map(str, known)) or 'none'}"
            )
        own = known[stream]
        stages = own["stages"] if isinstance(own, dict) and own.get("stages") else stages
    return stages if isinstance(stages, list) else []


def _settings(sets: Sequence[str]) -> dict[str, Any]:
    settings = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {text}: wanted KEY=VALUE")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {text}: {' '.join(str(error).split())}") from error
    return settings


class Judged:
    """A detector that sees one picture at a time, none of which follows another.

    Args:
        choice: the stage.
        options: from `Choice.options`.
    """

    def __init__(self, choice: Choice, options: Options) -> None:
        self._name = choice.name
        self._count = 0
        self._size: tuple[int, int] | None = None
        try:
            self._stage: Stage = choice.plugin(options, StageContext("evaluate"))
        except SightlineError:
            raise
        except Exception as error:  # whatever a plug-in raises
            raise StageError(f"stage '{choice.name}' cannot be made: {_words(error)}") from error

    @property
    def model_hash(self) -> str | None:
        """The hash of its weights, if it has any."""
        return getattr(self._stage, "model_hash", None)

    def find(self, picture: Picture) -> Detections:
        """Return what it finds in a picture.

        Raises:
            StageError: if it fails.
            FrameLost: if it has lost this picture: scores without it would be wrong.
        """
        size = (picture.width, picture.height)
        self._count += 1
        try:
            if size != self._size:
                self._size = size
                info = StreamInfo("evaluate", "evaluate", str(self._count), *size)
                self._stage.open(info)
            if isinstance(self._stage, Detector):
                found = self._stage.detect([picture])[0]
                if isinstance(found, FrameLost):
                    raise found
                return found
            # A run of its own, so that nothing is carried over from the picture before.
            moment = Moment(float(self._count), self._count * 10**9, Clock.FILE)
            frame = Frame("evaluate", str(self._count), 0, moment, picture)
            self._stage.process_batch([frame])
        except SightlineError:
            raise
        except Exception as error:
            raise StageError(f"stage '{self._name}' failed: {_words(error)}") from error
        if frame.detections is None:
            raise StageError(f"stage '{self._name}' sets no detections")
        return frame.detections

    def close(self) -> None:
        """Free it."""
        self._stage.close()


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _detectors() -> list[str]:
    return stages_giving("detections")

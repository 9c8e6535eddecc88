"""Runs a source and a detector over a clip once and keeps the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipeline.errors import ConfigError, SightlineError, SourceError, StageError
from pipeline.frame import Frame, Gap
from pipeline.objects import Detections
from pipeline.plugin import Stage, StageContext, StreamInfo
from pipeline.registry import load_plugin, plugin_names, scheme_of, stages_giving
from stages.track.appearance.embedder import Embedder
from stages.track.tune.recording import Recording

MOST_BOXES = 300_000
"""Where detecting ends: about 160 MB of tables."""


@dataclass(frozen=True, eq=False)
class Detected:
    """A clip as its detector saw it.

    Attributes:
        recording: the tables.
        described: whether the embeddings are the embedder's rather than the detector's.
        whole: False when there is more of the clip than was looked at.
        notes: what a person should know, a line each.
    """

    recording: Recording
    described: bool
    whole: bool
    notes: tuple[str, ...]


def detector_named(name: str, settings: Mapping[str, str]) -> Stage:
    """Return the detector with these settings, given as text.

    Raises:
        ConfigError: if it is unknown, no detector, a setting is wrong, or weights are missing.
    """
    if name not in plugin_names("stage"):
        raise ConfigError(f"unknown detector '{name}'; known: {', '.join(stages_giving('detections'))}")
    plugin = load_plugin("stage", name)
    if "detections" not in plugin.gives:
        raise ConfigError(
            f"stage '{name}' is no detector; detectors: {', '.join(stages_giving('detections'))}"
        )
    values = {key: _value(text) for key, text in settings.items()}
    try:
        options = plugin.Options.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_complaint(name, plugin, error)) from error
    with _blaming(StageError, f"detector '{name}' cannot be made"):
        made: Stage = plugin(options, StageContext("tune"))
    return made


def detect(
    url: str,
    detector: Stage,
    minutes: float,
    embedder: Embedder | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> Detected:
    """Read a clip and keep what the detector finds, for at most so many minutes of media.

    Args:
        url: a file, a folder of images, or a source's URL.
        detector: from `detector_named`; closed afterwards.
        minutes: of media.
        embedder: describes the boxes where the detector does not, as the stage `track` would have it.
        progress: called with the seconds done and to be done, None when unknown.

    Raises:
        ConfigError: if no source reads the URL.
        SourceError: if it is missing, unreadable or holds no picture.
        StageError: if the detector fails.
    """
    source = _source(url)
    collected = _Collected(embedder)
    try:
        with _blaming(SourceError, "the source failed"):
            info: StreamInfo = source.open()
        with _blaming(StageError, "the detector failed to open"):
            detector.open(info)
        limit_s = minutes * 60
        known = info.duration_s
        aim_s = None if known is None else min(known, limit_s)
        items = _checked(source.read())
        whole = True
        for batch in _batches(items, detector.batch, limit_s, collected):
            with _blaming(StageError, f"the detector failed at {batch[0].moment.pts_s:.2f} s"):
                detector.process_batch(batch)
            collected.take(batch)
            if progress:
                progress(batch[-1].moment.pts_s - collected.pts_s[0], aim_s)
            if collected.boxes >= MOST_BOXES:
                whole = False
                at_s = batch[-1].moment.pts_s
                collected.notes.append(f"ended at {at_s:.1f} s: {MOST_BOXES} boxes are enough to judge by")
                break
    finally:
        source.close()
        detector.close()
    if not collected.pts_s:
        raise SourceError(f"{url}: holds no picture")
    recording = Recording.of(collected.pts_s, collected.tables, info.width, info.height)
    return Detected(recording, collected.described, whole and not collected.more, tuple(collected.notes))


class _Collected:
    """What is kept of the frames."""

    def __init__(self, embedder: Embedder | None) -> None:
        self._embedder = embedder
        self.pts_s: list[float] = []
        self.tables: list[Detections] = []
        self.notes: list[str] = []
        self.boxes = 0
        self.described = False
        self.more = False

    def take(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            found = frame.detections
            if found is None:
                raise StageError("the detector sets no detections")
            if found.embedding is None and len(found) and self._embedder is not None:
                self.described = True
                embedding = self._embedder.of(frame.picture)(found.xyxy)
                found = found.with_embedding(embedding)
            self.pts_s.append(frame.moment.pts_s)
            self.tables.append(found)
            self.boxes += len(found)


def _source(url: str) -> Any:
    try:
        scheme = scheme_of(url)
    except OSError as error:
        raise SourceError(f"{url}: cannot be looked at: {error.strerror}; check the path") from error
    plugin = load_plugin("source", scheme)
    if plugin.live:
        raise ConfigError(f"{url} is a live source; record a minute or two of it and give the file")
    try:
        return plugin(url, plugin.Options(), "tune")
    except ValidationError as error:
        raise ConfigError(
            f"{url}: the source '{scheme}' needs settings: {error.errors()[0]['msg']}"
        ) from error


def _batches(
    items: Iterator[Frame | Gap], size: int, limit_s: float, collected: _Collected
) -> Iterator[list[Frame]]:
    """Yield lists of up to `size` frames; a source that breaks off leaves what it delivered."""
    batch: list[Frame] = []
    first_s: float | None = None
    try:
        for item in items:
            if isinstance(item, Gap):
                continue
            pts_s = item.moment.pts_s
            first_s = pts_s if first_s is None else first_s
            if pts_s - first_s > limit_s:
                collected.more = True
                break
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except SourceError as error:
        if first_s is None:
            raise
        collected.notes.append(f"judged by what could be read: {error}")
    if batch:
        yield batch


def _checked(items: Iterator[Frame | Gap]) -> Iterator[Frame | Gap]:
    with _blaming(SourceError, "the source failed"):
        yield from items


@contextmanager
def _blaming(kind: type[SightlineError], what: str) -> Iterator[None]:
    """Turn whatever a plug-in raises into one line that says whose failure it is; our own errors pass."""
    try:
        yield
    except SightlineError:
        raise
    except Exception as error:
        raise kind(f"{what}: " + " ".join(f"{type(error).__name__}: {error}".split())) from error


def _value(text: str) -> Any:
    """Return a list for "[a, b]"; all else stays text, which pydantic reads as what is wanted."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [part.strip() for part in text[1:-1].split(",") if part.strip()]
    return text


def _complaint(name: str, plugin: Any, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    known = ", ".join(plugin.Options.model_fields)
    if first["type"] == "extra_forbidden":
        return f"detector '{name}' has no setting '{key}'; it has: {known}"
    if first["type"] == "missing":
        return f"detector '{name}' needs '{key}': give --detector-set {key}=VALUE"
    said = first["msg"].replace("Input should be", "must be")
    return f"detector '{name}': {key}: {said}, found '{first['input']}'"


def _detectors() -> list[str]:
    return stages_giving("detections")

"""From settings to a checked configuration; everything that is wrong is found in one go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from pipeline.backoff import KeeperOptions
from pipeline.channel import Policy
from pipeline.config.catalogue import Catalogue
from pipeline.config.problems import (
    KeyPath,
    Problem,
    listed,
    shown,
    spelled,
    suggestion,
)
from pipeline.config.schema import (
    BusConfig,
    Config,
    HostPort,
    PathText,
    PluginConfig,
    StreamConfig,
    StreamName,
    hash_of,
)
from pipeline.config.tree import Tree
from pipeline.config.wording import problems_of, unknown_part, unknown_source
from pipeline.errors import SightlineError
from pipeline.outbox import JournalOptions
from pipeline.packet_sink import PacketSink
from pipeline.plugin import Kind, Options, SinkOptions
from pipeline.privacy.options import PrivacyOptions
from pipeline.registry import scheme_of
from pipeline.secret import SecretUrl

Model = TypeVar("Model", bound=BaseModel)


class _TopLevel(Options):
    streams: dict[StreamName, Any] = Field(min_length=1)
    stages: tuple[Any, ...] = ()
    sinks: tuple[Any, ...] = ()
    bus: BusConfig | None = None
    metrics: HostPort | None = None
    journal: JournalOptions | None = None
    privacy: PrivacyOptions | None = None
    out: PathText = "out"


class _Stream(Options):
    source: Any
    policy: Policy | None = None
    keeper: KeeperOptions = KeeperOptions()
    stages: tuple[Any, ...] | None = None


class _Source(BaseModel, extra="allow"):
    url: PathText


def check(tree: Tree, catalogue: Catalogue, path: Path) -> tuple[Config | None, list[Problem]]:
    """Check settings, defaults filled in.

    Returns:
        The configuration, and no problem; or None, and everything that is wrong.
    """
    checker = _Checker(tree, catalogue)
    config = checker.config(path)
    return (None if checker.problems else config), checker.problems


def check_sink(tree: Tree, catalogue: Catalogue, number: int) -> tuple[PluginConfig | None, list[Problem]]:
    """Check one entry of the settings' `sinks` and nothing else.

    What the settings hide from all sinks is hidden from this one, unless it says otherwise.

    Returns:
        The sink, and no problem; or None, and everything that is wrong with it.
    """
    checker = _Checker(tree, catalogue)
    sink = checker.plugin("sink", ("sinks", number), tree.get(("sinks", number)))
    return (None if sink is None else checker.veiled(sink)), checker.problems


class _Checker:
    def __init__(self, tree: Tree, catalogue: Catalogue) -> None:
        self.problems: list[Problem] = []
        self._tree = tree
        self._catalogue = catalogue

    def config(self, path: Path) -> Config | None:
        top = self._validated(_TopLevel, (), _written(self._tree.root))
        stages = self._plugins("stage", ("stages",))
        sinks = self._plugins("sink", ("sinks",))
        names = self._tree.get(("streams",))
        streams = [self._stream(name, stages) for name in names] if isinstance(names, dict) else []
        self._check_served(sinks, list(names) if isinstance(names, dict) else [])
        self._check_copied(sinks, streams)
        whole = tuple(stream for stream in streams if stream is not None)
        out = self._path(top.out, ("out",)) if top else None
        if top is None or out is None or len(whole) < len(streams):
            return None
        return Config(
            streams=whole,
            sinks=sinks,
            bus=top.bus,
            metrics=top.metrics,
            out=Path(out),
            journal=top.journal,
            privacy=top.privacy,
            hash=hash_of(
                [[_everything(stream) for stream in whole], sinks, top.bus, top.metrics, out]
                + ([top.privacy] if top.privacy else [])
            ),
            path=path,
        )

    def veiled(self, sink: PluginConfig) -> PluginConfig:
        """Return a sink with the settings' `privacy` where it has none of its own."""
        path: KeyPath = ("privacy",)
        given = self._tree.get(path)
        default = None if given is None else self._validated(PrivacyOptions, path, given)
        if default is None or getattr(sink.options, "privacy", False) is not None:
            return sink
        return replace(sink, options=sink.options.model_copy(update={"privacy": default}))

    def _check_served(self, sinks: tuple[PluginConfig, ...], names: list[str]) -> None:
        """Note every stream that a sink is to serve and that there is not."""
        for number, sink in enumerate(sinks):
            named = sink.options.named_streams() if isinstance(sink.options, SinkOptions) else {}
            for option, streams in named.items():
                path: KeyPath = ("sinks", number, sink.name, option)
                for name in [name for name in streams if name not in names]:
                    near = suggestion(name, names) or f"; streams: {listed(names)}"
                    self._add(path, f"there is no stream {shown(name)}{near}")

    def _check_copied(self, sinks: tuple[PluginConfig, ...], streams: list[StreamConfig | None]) -> None:
        """Note every stream whose packets a sink is to copy and whose source has none."""
        for number, sink in enumerate(sinks):
            if not (issubclass(sink.plugin, PacketSink) and sink.plugin.needs_packets(sink.options)):
                continue
            if sink.plugin.does_without(sink.options):
                continue
            for stream in streams:
                if stream is None or not sink.serves(stream.name) or stream.source.plugin.copies:
                    continue
                self._add(
                    ("sinks", number, sink.name),
                    f"copies what the source sends, and the source '{stream.source.name}' of stream "
                    f"'{stream.name}' has nothing to copy; leave this stream out by `streams`, or take the "
                    "sink 'video'",
                )

    def _stream(self, name: str, default: tuple[PluginConfig, ...]) -> StreamConfig | None:
        path: KeyPath = ("streams", name)
        settings = self._tree.get(path)
        written = _written(settings) if isinstance(settings, dict) else settings
        stream = self._validated(_Stream, path, written)
        keys = written if isinstance(written, dict) else {}
        stages = self._plugins("stage", (*path, "stages")) if "stages" in keys else default
        source = self._source((*path, "source")) if "source" in keys else None
        if stream is None or source is None:
            return None
        url, reader = source
        return StreamConfig(
            name, SecretUrl(url), reader, stream.policy, stages, hash_of(stages), stream.keeper
        )

    def _source(self, path: KeyPath) -> tuple[str, PluginConfig] | None:
        settings = self._tree.get(path)
        if isinstance(settings, str):
            settings = {"url": settings}
        if not isinstance(settings, dict):
            self._add(path, f"expected a URL, a path, or {{url: ..., options}}, found {shown(settings)}")
            return None
        source = self._validated(_Source, path, settings)
        url = self._path(source.url, path) if source else None
        if url is None:
            return None
        try:
            scheme = scheme_of(url)
        except OSError as error:
            self._add(path, f"{shown(url)} cannot be looked at: {error.strerror}", (*path, "url"))
            return None
        given = {key: value for key, value in settings.items() if key != "url"}
        reader = self._configured("source", scheme, path, given)
        return (url, reader) if reader else None

    def _plugins(self, kind: Kind, path: KeyPath) -> tuple[PluginConfig, ...]:
        entries = self._tree.get(path)
        if not isinstance(entries, list):
            return ()
        found = [self.plugin(kind, (*path, index), entry) for index, entry in enumerate(entries)]
        return tuple(plugin for plugin in found if plugin is not None)

    def plugin(self, kind: Kind, path: KeyPath, entry: object) -> PluginConfig | None:
        """Check one entry of a list of stages or sinks; None, and what is wrong is noted."""
        if isinstance(entry, str):
            entry = {entry: None}
        if not isinstance(entry, dict) or len(entry) != 1:
            self._add(path, _not_an_entry(kind, entry))
            return None
        ((name, given),) = entry.items()
        path = path if isinstance(self._tree.get(path), str) else (*path, name)
        return self._configured(kind, name, path, {} if given is None else given)

    def _configured(self, kind: Kind, name: str, path: KeyPath, given: object) -> PluginConfig | None:
        known = self._catalogue.names(kind)
        if name not in known:
            if kind == "source":
                self._add(path, unknown_source(name, known), (*path, "url"))
            else:
                self._add(path, unknown_part(kind, name, known))
            return None
        try:
            plugin = self._catalogue.load(kind, name)
        except SightlineError as error:
            self._add(path, str(error))
            return None
        model: type[Options] = plugin.Options
        path = path if path[-1] == name or kind == "source" else (*path, name)  # of a name alone
        options = self._validated(model, path, given)
        return None if options is None else PluginConfig(kind, name, plugin, options)

    def _validated(self, model: type[Model], path: KeyPath, given: object) -> Model | None:
        try:
            return model.model_validate(given)
        except ValidationError as error:
            self.problems += problems_of(error, model, self._tree, path)
        except SightlineError as error:
            self.problems.append(Problem(self._tree.culprit(path), spelled(path), str(error)))
        return None

    def _path(self, text: str, path: KeyPath) -> str | None:
        if not text.startswith("~"):
            return text
        try:
            return str(Path(text).expanduser())
        except RuntimeError:
            self._add(path, f"there is no home folder for {shown(text)}")
            return None

    def _add(self, path: KeyPath, message: str, part: KeyPath | None = None) -> None:
        """Note what is wrong with the settings at `path`, or with the `part` of them."""
        self.problems.append(Problem(self._tree.origin(part or path), spelled(path), message))


def _written(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out keys without a value: with all lines below it commented out, a key is as good as absent."""
    return {key: value for key, value in settings.items() if value is not None}


def _not_an_entry(kind: Kind, entry: object) -> str:
    if isinstance(entry, dict) and len(entry) > 1:
        keys = listed(shown(key) for key in entry)
        return f"one {kind} with the keys {keys}; begin each {kind} with '- ' and indent its options deeper"
    return f"expected the name of a {kind}, or {{NAME: {{options}}}}, found {shown(entry)}"


def _everything(stream: StreamConfig) -> list[object]:
    return [stream.name, str(stream.url), stream.source, stream.policy, stream.stages, stream.keeper]

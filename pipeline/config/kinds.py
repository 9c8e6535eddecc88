"""Does anything in a run make the events that its sinks and stages ask for? And which kinds are there?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.config.catalogue import Catalogue
from pipeline.config.problems import KeyPath, Problem, listed, nearest, shown, spelled
from pipeline.config.schema import Config, PluginConfig, StreamConfig
from pipeline.config.tree import Tree
from pipeline.errors import ConfigError
from pipeline.kinds import ENGINE
from pipeline.outbox import BOX_STREAM
from pipeline.packet_sink import PacketSink
from pipeline.plugin import EventSink, Kind

_ENGINE = "engine"
_PLUGINS: tuple[Kind, ...] = ("source", "stage", "sink")


@dataclass(slots=True)
class Known:
    """A kind of events.

    Attributes:
        kind: "line.crossing".
        when: it comes about, in a few words; of the first of `of`.
        of: who makes such events: "engine", "stage count".
    """

    kind: str
    when: str
    of: list[str]


@dataclass(frozen=True, slots=True)
class Glossary:
    """The kinds of events that installed plug-ins and the engine make.

    Attributes:
        known: by kind, sorted.
        silent: plug-ins that do not say what they make, or cannot be loaded.
    """

    known: dict[str, Known]
    silent: tuple[str, ...]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Glossary:
        """Ask every plug-in of a catalogue, which imports them all."""
        found: dict[str, Known] = {}
        silent = []
        _add(found, ENGINE.items(), _ENGINE)
        for plugin in _PLUGINS:
            for name in catalogue.names(plugin):
                who = f"{plugin} {name}"
                try:
                    emits = catalogue.load(plugin, name).emits
                except ConfigError:
                    emits = None
                if emits is None:
                    silent.append(who)
                else:
                    _add(found, emits.items(), who)
        return cls(dict(sorted(found.items())), tuple(silent))

    def matching(self, pattern: str) -> list[Known]:
        """Return the kinds that a pattern takes."""
        return [known for kind, known in self.known.items() if fnmatchcase(kind, pattern)]

    def hint(self, pattern: str) -> str:
        """Return what may have been meant by a pattern that takes none, and where that comes from."""
        families = dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in self.known)
        near = nearest(pattern, [*self.known, *families])
        if near is None:
            return "; `sightline events` lists what there is"
        return f"; did you mean {shown(near)} ({_makers(self.matching(near))})?"


def emitted_by(config: Config, sink: PluginConfig | None = None) -> frozenset[str] | None:
    """Return the kinds of events that can come about in a run, None where a part of it does not say.

    Args:
        config: of the run.
        sink: only those that this sink can get, as it may serve some of the streams.
    """
    streams = [stream for stream in config.streams if sink is None or sink.serves(stream.name)]
    telling = [one for one in config.sinks if any(one.serves(stream.name) for stream in streams)]
    parts = [part for stream in streams for part in (stream.source, *stream.stages)]
    made = _emitted([*parts, *telling])
    return None if made is None else made.union(_of_engine(config, streams, telling, sink))


def kind_problems(config: Config, tree: Tree, catalogue: Catalogue) -> tuple[list[Problem], list[Problem]]:
    """Return the kinds that are asked for and that nothing makes.

    Returns:
        Those that nothing installed can make, which is an error; and those that only this run does not make,
        which may be meant: one configuration may serve several places.
    """
    errors: dict[KeyPath, Problem] = {}
    doubts: dict[KeyPath, Problem] = {}
    glossary: Glossary | None = None
    for asked in _asked(config, tree):
        if asked.emitted is None or any(fnmatchcase(kind, asked.pattern) for kind in asked.emitted):
            continue
        glossary = glossary or Glossary.of(catalogue)
        says, is_wrong = _judged(asked, glossary)
        problem = Problem(tree.origin(asked.path), spelled(asked.path), says)
        (errors if is_wrong else doubts).setdefault(asked.path, problem)
    return list(errors.values()), list(doubts.values())


@dataclass(frozen=True, slots=True)
class _Asked:
    """A pattern of kinds, where it was written, what there is for it, and where that was looked for."""

    path: KeyPath
    pattern: str
    emitted: Collection[str] | None
    where: str


def _asked(config: Config, tree: Tree) -> Iterator[_Asked]:
    for number, sink in enumerate(config.sinks):
        path: KeyPath = ("sinks", number, sink.name)
        if patterns := list(_patterns(sink, path)):
            emitted, where = emitted_by(config, sink), _where(config, sink)
            for at, pattern in patterns:
                yield _Asked(at, pattern, emitted, where)
    for stream in config.streams:
        own: KeyPath = ("streams", stream.name, "stages")
        stages = own if tree.get(own) is not None else ("stages",)
        for number, stage in enumerate(stream.stages):
            for at, pattern in _patterns(stage, (*stages, number, stage.name)):
                before = _emitted([stream.source, *stream.stages[:number]])
                yield _Asked(at, pattern, before, f"before it in stream '{stream.name}'")


def _patterns(part: PluginConfig, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for option, patterns in part.plugin.asked_kinds(part.options).items():
        for number, pattern in enumerate(patterns):
            yield (*path, *option, number), pattern


def _where(config: Config, sink: PluginConfig) -> str:
    served = [f"'{stream.name}'" for stream in config.streams if sink.serves(stream.name)]
    return "in this run" if len(served) == len(config.streams) else f"in stream {listed(served, ' or ')}"


def _judged(asked: _Asked, glossary: Glossary) -> tuple[str, bool]:
    """Return what to say of a pattern that takes nothing, and whether it is wrong everywhere."""
    says = f"nothing {asked.where} emits {shown(asked.pattern)}"
    matching = glossary.matching(asked.pattern)
    if len(matching) == 1:
        return f"{says}; it comes from {_makers(matching)}: {matching[0].when}", False
    if matching:
        return f"{says}; such events come from {_makers(matching)}", False
    if glossary.silent:
        return f"{says}{glossary.hint(asked.pattern)}", False
    return f"nothing emits {shown(asked.pattern)}{glossary.hint(asked.pattern)}", True


def _makers(kinds: Sequence[Known]) -> str:
    makers = dict.fromkeys(who for known in kinds for who in known.of)
    return listed((f"the {_ENGINE}" if who == _ENGINE else who for who in makers), " and ")


def _emitted(parts: Iterable[PluginConfig]) -> frozenset[str] | None:
    found: set[str] = set()
    for part in parts:
        kinds = part.plugin.emitted(part.options)
        if kinds is None:
            return None
        found.update(kinds)
    return frozenset(found)


def _of_engine(
    config: Config, streams: Sequence[StreamConfig], sinks: Sequence[PluginConfig], sink: PluginConfig | None
) -> Iterator[str]:
    yield "stream.gap"
    if any(stream.source.plugin.live for stream in streams):
        yield "source.state"
    if any(issubclass(one.plugin, PacketSink) and one.plugin.needs_packets(one.options) for one in sinks):
        yield "sink.state"
    is_kept = config.journal is not None or (config.bus is not None and config.bus.reliable is not None)
    is_kept = is_kept or any(issubclass(one.plugin, EventSink) for one in config.sinks)
    if is_kept and (sink is None or sink.serves(BOX_STREAM)):
        yield "journal.overrun"


def _add(found: dict[str, Known], kinds: Iterable[tuple[str, str]], who: str) -> None:
    for kind, when in kinds:
        found.setdefault(kind, Known(kind, when, [])).of.append(who)

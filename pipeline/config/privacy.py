"""Can everything be hidden that is to be hidden? What cannot is refused before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.config.catalogue import Catalogue
from pipeline.config.problems import KeyPath, Problem, listed, shown, spelled, suggestion
from pipeline.config.schema import Config, PluginConfig, StreamConfig
from pipeline.config.tree import Tree
from pipeline.errors import ConfigError
from pipeline.packet_sink import PacketSink
from pipeline.privacy.options import PrivacyOptions, effective

_DEFAULT: KeyPath = ("privacy",)
_BUS: KeyPath = ("bus", "privacy")


@dataclass(frozen=True, slots=True)
class _Asked:
    """Somebody from whom something is to be hidden, where that was written, and of which streams."""

    who: str
    setting: PrivacyOptions
    path: KeyPath
    streams: tuple[StreamConfig, ...]


def privacy_problems(config: Config, tree: Tree, catalogue: Catalogue) -> list[Problem]:
    """Return what stands in the way of hiding what is to be hidden, each thing once.

    Those who copy the camera's packets cannot be served; classes need a stage that detects, and one that
    gives such objects where that can be told.
    """
    problems: dict[tuple[KeyPath, str], Problem] = {}

    def note(path: KeyPath, says: str) -> None:
        problems.setdefault((path, says), Problem(tree.origin(path), spelled(path), says))

    for path, says in _never(config):
        note(path, says)
    for asked in _asked(config):
        for path, says in _unknown(asked, catalogue):
            note(path, says)
    return list(problems.values())


def _never(config: Config) -> Iterator[tuple[KeyPath, str]]:
    """Yield those who cannot have anything hidden from them."""
    for number, sink in enumerate(config.sinks):
        own = getattr(sink.options, "privacy", None)
        setting = effective(own, config.privacy)
        path: KeyPath = ("sinks", number, sink.name)
        if setting is not None and _copies(sink):
            yield (
                (*path, "privacy") if own else path,
                f"'{sink.name}', set like this, copies the camera's own pictures, in which nothing can be "
                "hidden; let it offer drawn ones only, if it can, use a sink that encodes pictures (video), "
                "or, if they may leave as they are, write privacy: false here",
            )
        elif own and not sink.plugin.takes_pictures():
            yield (
                (*path, "privacy"),
                f"'{sink.name}' takes events, not pictures; hide things where pictures are made: in the "
                "stage 'count' (evidence.privacy), at the sinks with pictures, or for all (privacy:)",
            )
    bus = config.bus
    if bus is not None and bus.packets is not None and effective(bus.privacy, config.privacy):
        yield (
            _BUS if bus.privacy else ("bus", "packets"),
            "packets are the camera's own pictures, in which nothing can be hidden; leave out bus.packets, "
            "or, if they may leave as they are, write bus.privacy: false",
        )


def _copies(sink: PluginConfig) -> bool:
    return issubclass(sink.plugin, PacketSink) and bool(sink.plugin.needs_packets(sink.options))


def _asked(config: Config) -> Iterator[_Asked]:
    """Yield everybody from whom something is hidden, and who gets pictures."""
    for number, sink in enumerate(config.sinks):
        own = getattr(sink.options, "privacy", None)
        setting = effective(own, config.privacy)
        if setting is not None and sink.plugin.takes_pictures():
            path: KeyPath = ("sinks", number, sink.name, "privacy") if own else _DEFAULT
            served = tuple(stream for stream in config.streams if sink.serves(stream.name))
            yield _Asked(f"sink '{sink.name}'", setting, path, served)
    if config.privacy is not None:
        detecting = tuple(
            stream
            for stream in config.streams
            if any("detections" in stage.plugin.gives for stage in stream.stages)
        )
        yield _Asked("who looks at what stages keep", config.privacy, _DEFAULT, detecting)
    bus = config.bus
    if bus is not None and bus.shows_pictures and (setting := effective(bus.privacy, config.privacy)):
        yield _Asked("the bus", setting, _BUS if bus.privacy else _DEFAULT, config.streams)


def _unknown(asked: _Asked, catalogue: Catalogue) -> Iterator[tuple[KeyPath, str]]:
    """Yield the streams in which nothing finds what is to be hidden, and the classes that nothing finds."""
    setting = asked.setting
    if not setting.wanted:
        return
    given = {stream.name: _Labels.of(stream.stages) for stream in asked.streams}
    known = (
        None if any(one.left is None for one in given.values()) else _all(one.left for one in given.values())
    )
    strange = setting.spelled_out.difference(known) if known else frozenset()
    replaced = _all(one.replaced for one in given.values())
    for option in ("labels", "heads"):
        for label in sorted(strange.intersection(getattr(setting, option))):
            says = f"no detector gives objects of class {shown(label)}"
            if label in replaced:
                says += (
                    " in the end: a detector after it puts its own in their place; 'track' between keeps both"
                )
            else:
                says += suggestion(label, sorted(known or ())) or f"; there are {listed(sorted(known or ()))}"
            yield (*asked.path, option), says
    wanted = [label for label in setting.wanted if label not in strange]
    for stream in asked.streams:
        what = f"{asked.who} must not see {listed(setting.wanted, ' and ')} of stream '{stream.name}', but"
        labels = given[stream.name].left
        if not any("detections" in stage.plugin.gives for stage in stream.stages):
            makers = [name for name in catalogue.names("stage") if _detects(name, catalogue)]
            says = f"no stage there finds any; add one that does ({listed(makers)}), or hide areas"
            yield asked.path, f"{what} {says}"
        elif wanted and labels and not any(fnmatchcase(one, other) for one in labels for other in wanted):
            yield asked.path, f"{what} the detectors there find {listed(sorted(labels))} only"


@dataclass(frozen=True, slots=True)
class _Labels:
    """Which classes the objects of a stream's finished frames may have.

    Attributes:
        left: those of its detections and tracks; None where only running the stages can tell.
        replaced: those that a stage found and that are not left.
    """

    left: frozenset[str] | None
    replaced: frozenset[str]

    @classmethod
    def of(cls, stages: Sequence[PluginConfig]) -> _Labels:
        """Return them of a chain: each detector puts its own in the place of what was found before."""
        found: frozenset[str] | None = frozenset()
        tracked: frozenset[str] | None = frozenset()
        ever: set[str] = set()
        for stage in stages:
            if "detections" in stage.plugin.gives:
                found = stage.plugin.known_labels(stage.options)
                ever |= found or set()
            if "tracks" in stage.plugin.gives:
                tracked = found
        left = None if found is None or tracked is None else found | tracked
        return cls(left, frozenset() if left is None else frozenset(ever - left))


def _all(of_each: Iterable[frozenset[str] | None]) -> frozenset[str]:
    return frozenset(label for labels in of_each for label in labels or ())


def _detects(name: str, catalogue: Catalogue) -> bool:
    try:
        return "detections" in catalogue.load("stage", name).gives
    except ConfigError:  # a third party's broken plug-in is no help here, and no reason to fail either
        return False

"""Can everything be hidden that is to be hidden? What cannot is refused before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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
        for stream in asked.streams:
            for path, says in _unknown(asked, stream, catalogue):
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
                f"'{sink.name}' copies the camera's own pictures, in which nothing can be hidden; use a sink "
                "that encodes pictures, such as 'video', or, if they may leave as they are, privacy: false",
            )
        elif own and not sink.plugin.takes_pictures():
            yield (
                (*path, "privacy"),
                f"'{sink.name}' takes events, not pictures; hide things where pictures are made: in the "
                "stage 'count' (evidence.privacy), at the sinks with pictures, or for all (privacy:)",
            )
    bus = config.bus
    if (
        bus is not None
        and getattr(bus, "packets", None) is not None
        and effective(bus.privacy, config.privacy)
    ):
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
    if config.bus is not None and (setting := effective(config.bus.privacy, config.privacy)):
        yield _Asked("the bus", setting, _BUS if config.bus.privacy else _DEFAULT, config.streams)


def _unknown(asked: _Asked, stream: StreamConfig, catalogue: Catalogue) -> Iterator[tuple[KeyPath, str]]:
    """Yield the classes that nothing in this stream finds."""
    setting = asked.setting
    if not setting.wanted:
        return
    detectors = [stage for stage in stream.stages if "detections" in stage.plugin.gives]
    if not detectors:
        makers = [name for name in catalogue.names("stage") if _detects(name, catalogue)]
        yield (
            asked.path,
            f"{asked.who} must not see {listed(setting.wanted, ' and ')} of stream '{stream.name}', but no "
            f"stage there finds any; add one that does ({listed(makers)}), or hide areas",
        )
        return
    known = _labels(detectors)
    if known is None:
        return
    for option, labels in (("labels", setting.labels), ("heads", setting.heads)):
        for label in labels:
            if not any(sign in label for sign in "*?[") and label not in known:
                near = suggestion(label, known) or f"; there are {listed(known)}"
                yield (
                    (*asked.path, option),
                    f"the detectors of stream '{stream.name}' give no objects of class {shown(label)}{near}",
                )


def _labels(detectors: Sequence[PluginConfig]) -> list[str] | None:
    found: set[str] = set()
    for stage in detectors:
        known = stage.plugin.known_labels(stage.options)
        if known is None:
            return None
        found |= known
    return sorted(found)


def _detects(name: str, catalogue: Catalogue) -> bool:
    try:
        return "detections" in catalogue.load("stage", name).gives
    except ConfigError:  # a third party's broken plug-in is no help here, and no reason to fail either
        return False

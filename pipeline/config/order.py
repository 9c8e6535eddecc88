"""Does each stage of a stream find what it needs before it, and the classes that it asks for?"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.config.catalogue import Catalogue
from pipeline.config.problems import KeyPath, Problem, listed, shown, spelled, suggestion
from pipeline.config.schema import Config, PluginConfig
from pipeline.config.tree import Tree
from pipeline.errors import ConfigError


def order_problems(config: Config, tree: Tree, catalogue: Catalogue) -> list[Problem]:
    """Return a problem for each stage that needs what no stage before it gives, once for each list.

    Classes are judged where the detectors before can tell theirs from their options alone.
    """
    problems: dict[KeyPath, Problem] = {}
    for stream in config.streams:
        own: KeyPath = ("streams", stream.name, "stages")
        path = own if tree.get(own) is not None else ("stages",)
        given: set[str] = set()
        labels: set[str] | None = set()  # that objects may have; None once a stage cannot tell
        for index, stage in enumerate(stream.stages):
            missing = stage.plugin.needs - given
            if missing:
                place = (*path, index, stage.name)
                found = Problem(tree.origin(place), spelled(place), _advice(stage.name, missing, catalogue))
                problems.setdefault(place, found)
            given |= stage.plugin.gives
            if "detections" in stage.plugin.gives:
                known = stage.plugin.known_labels(stage.options)
                labels = None if labels is None or known is None else labels | known
            if labels:
                place = (*path, index, stage.name)
                for option, says in _unknown_labels(stage, sorted(labels)):
                    at = (*place, *option)
                    problems.setdefault(at, Problem(tree.origin(at), spelled(at), says))
    return list(problems.values())


def _unknown_labels(stage: PluginConfig, known: list[str]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the options of a stage that ask for a class that there is not, and what to say of it."""
    for option, asked in stage.plugin.asked_labels(stage.options).items():
        for label in sorted(asked.difference(known)):
            near = suggestion(label, known) or f"; there are {listed(known)}"
            yield option, f"the detector gives no objects of class {shown(label)}{near}"


def _advice(name: str, missing: frozenset[str], catalogue: Catalogue) -> str:
    makers = [other for other in catalogue.names("stage") if _gives(other, missing, catalogue)]
    what = listed(sorted(missing), " and ")
    return f"'{name}' needs {what}, but no stage before it makes any; those that do: {listed(makers)}"


def _gives(name: str, wanted: frozenset[str], catalogue: Catalogue) -> bool:
    try:
        return bool(catalogue.load("stage", name).gives & wanted)
    except ConfigError:  # a third party's broken plug-in is no help here, and no reason to fail either
        return False

"""Do the stages of a stream come in an order in which each finds what it needs?"""

from __future__ import annotations

from pipeline.config.catalogue import Catalogue
from pipeline.config.problems import KeyPath, Problem, listed, spelled
from pipeline.config.schema import Config
from pipeline.config.tree import Tree
from pipeline.errors import ConfigError


def order_problems(config: Config, tree: Tree, catalogue: Catalogue) -> list[Problem]:
    """Return a problem for each stage that needs what no stage before it gives, once for each list."""
    problems: dict[KeyPath, Problem] = {}
    for stream in config.streams:
        own: KeyPath = ("streams", stream.name, "stages")
        path = own if tree.get(own) is not None else ("stages",)
        given: set[str] = set()
        for index, stage in enumerate(stream.stages):
            missing = stage.plugin.needs - given
            if missing:
                place = (*path, index, stage.name)
                found = Problem(tree.origin(place), spelled(place), _advice(stage.name, missing, catalogue))
                problems.setdefault(place, found)
            given |= stage.plugin.gives
    return list(problems.values())


def _advice(name: str, missing: frozenset[str], catalogue: Catalogue) -> str:
    makers = [other for other in catalogue.names("stage") if _gives(other, missing, catalogue)]
    what = listed(sorted(missing), " and ")
    return f"'{name}' needs {what}, but no stage before it makes any; those that do: {listed(makers)}"


def _gives(name: str, wanted: frozenset[str], catalogue: Catalogue) -> bool:
    try:
        return bool(catalogue.load("stage", name).gives & wanted)
    except ConfigError:  # a third party's broken plug-in is no help here, and no reason to fail either
        return False

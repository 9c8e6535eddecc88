"""The options of one sink that runs as a process of its own: of a configuration's entry, then --set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.config.catalogue import INSTALLED, Catalogue
from pipeline.config.check import check_sink
from pipeline.config.load import read_file
from pipeline.config.overrides import apply_sets
from pipeline.config.problems import ConfigProblems, KeyPath, Origin, Problem, listed, shown
from pipeline.config.schema import PluginConfig
from pipeline.config.tree import Tree

_SINKS: KeyPath = ("sinks",)


def load_sink(
    name: str,
    *,
    sets: Sequence[str] = (),
    file: Path | None = None,
    entry: int | None = None,
    catalogue: Catalogue = INSTALLED,
) -> PluginConfig:
    """Check a sink's options.

    Args:
        name: its registered name.
        sets: KEY=VALUE, where KEY is an option of the sink.
        file: a configuration in whose `sinks` its options stand; None for the defaults.
        entry: which of them, from 0; None for the only one of this name.
        catalogue: where plug-ins are found.

    Raises:
        ConfigProblems: everything that is wrong.
    """
    if file is None:
        tree = Tree({"sinks": [{name: {}}]}, {(): Origin(f"sink {name}")})
        problems: list[Problem] = []
        number = 0
    else:
        tree, problems = read_file(file)
        number = _number(tree, file, name, entry)
    problems += apply_sets(tree, sets, ("sinks", str(number), name))
    sink, found = check_sink(tree, catalogue, number)
    problems = [problem for problem in problems if problem.key in ("", f"sinks[{number}]")] + found
    if sink is None or problems:
        raise ConfigProblems(problems)
    return sink


def _number(tree: Tree, file: Path, name: str, entry: int | None) -> int:
    entries = tree.get(_SINKS)
    names = [_name(one) for one in entries] if isinstance(entries, list) else []
    places = [place for place, other in enumerate(names) if other == name]
    if entry is not None:
        if entry in places:
            return entry
        is_there = 0 <= entry < len(names)
        what = f"is {shown(names[entry])}" if is_there else f"is not there: there are {len(names)}"
        raise _problem(tree, file, f"entry {entry} of `sinks`, counted from 0, {what}, not {shown(name)}")
    if not places:
        raise _problem(tree, file, f"`sinks` has no {shown(name)}; it has {listed(names)}")
    if len(places) > 1:
        which = listed(map(str, places), " or ")
        raise _problem(
            tree, file, f"`sinks` has {len(places)} entries {shown(name)}; choose by --entry {which}"
        )
    return places[0]


def _problem(tree: Tree, file: Path, message: str) -> ConfigProblems:
    origin = tree.origin(_SINKS)
    return ConfigProblems([Problem(Origin(str(file), origin.line), "", message)])


def _name(entry: object) -> str:
    if isinstance(entry, dict) and len(entry) == 1:
        return str(next(iter(entry)))
    return entry if isinstance(entry, str) else ""

"""YAML to plain values with the line of each: no code runs, no key is lost, nothing explodes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from pipeline.config.problems import ConfigProblems, KeyPath, Origin, Problem, spelled
from pipeline.config.syntax import syntax_problem
from pipeline.config.tree import MAX_DEPTH, Tree

MAX_NODES = 100_000
"""Values in one configuration, aliases written out: a "billion laughs" file ends here."""

_TAG = "tag:yaml.org,2002:"


class _TooMuch(yaml.MarkedYAMLError):
    """A file that only an attack or an accident can have made."""


class _Loader(yaml.SafeLoader):
    """Composes nodes, plain scalars by the core schema of YAML 1.2.2 (section 10.3.2).

    PyYAML's own, that of YAML 1.1, takes a stream named `no` for false and 1:30 for ninety. Infinity and
    NaN are left out: no setting can mean them.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - declared so by PyYAML
        None: [
            (f"{_TAG}null", re.compile(r"(~|null|Null|NULL|)\Z")),
            (f"{_TAG}bool", re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")),
            (f"{_TAG}int", re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")),
            (f"{_TAG}float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")),
        ]
    }
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _TooMuch(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def read_yaml(text: str, file: str) -> tuple[Tree, list[Problem]]:
    """Read a configuration's text.

    Returns:
        The settings, and what is wrong with single keys or values (which are then left out).

    Raises:
        ConfigProblems: if nothing can be made of the text.
    """
    builder = _Builder(lambda line: Origin(file, line))
    root = builder.read(text)
    if root is None:
        raise ConfigProblems([Problem(Origin(file), "", "empty; a configuration needs at least 'streams'")])
    if not isinstance(root, dict):
        message = "expected 'key: value' settings at the top, such as 'streams:'"
        raise ConfigProblems([Problem(builder.origins[()], "", message)])
    return Tree(root, builder.origins), builder.problems


def read_value(text: str, origin: Origin) -> Any:
    """Read the value of an override, written as YAML: `latest`, `0.5`, `[car, bus]`, `{width: 320}`.

    Raises:
        ConfigProblems: if it cannot be read.
    """
    builder = _Builder(lambda _: origin)
    value = builder.read(text)
    if builder.problems:
        raise ConfigProblems(builder.problems)
    return value


class _Builder:
    """Turns composed nodes into values, and remembers where each was written."""

    def __init__(self, place: Callable[[int], Origin]) -> None:
        self.problems: list[Problem] = []
        self.origins: dict[KeyPath, Origin] = {}
        self._place = place
        self._nodes = 0

    def read(self, text: str) -> Any:
        try:
            node = _Loader(text).get_single_node()
            if node is None:
                return None
            self.origins[()] = self._origin(node)
            return self._value(node, ())
        except yaml.YAMLError as error:
            line, message = syntax_problem(text, error)
            raise ConfigProblems([*self.problems, Problem(self._place(line), "", message)]) from None

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            message = f"more than {MAX_NODES} values; do its aliases multiply?"
            raise _TooMuch(problem=message, problem_mark=node.start_mark)
        if len(path) > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} deep; does an alias hold itself?"
            raise _TooMuch(problem=message, problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._refuse_tag(node, path)
        return None

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self.origins[path] = self._origin(node)
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key, path, "a list or mapping as a key; is a quote or a comma missing?")
            elif key.value == "<<":
                self._refuse(key, path, "YAML 1.2 has no merge key '<<'; write the settings out")
            elif key.value in values:
                self._refuse(key, (*path, key.value), self._duplicate(key.value, path))
            else:
                self.origins[*path, key.value] = self._origin(key)
                values[key.value] = self._value(value, (*path, key.value))
        return values

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        match node.tag.removeprefix(_TAG):
            case "str":
                return node.value
            case "null":
                return None
            case "bool":
                return node.value.lower() == "true"
            case "int" | "float" as kind:
                return self._number(node, path, kind)
            case _:
                self._refuse_tag(node, path)
                return None

    def _number(self, node: yaml.ScalarNode, path: KeyPath, kind: str) -> float | None:
        try:
            if kind == "int":
                return int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10)
            number = float(node.value)
        except ValueError:
            self._refuse(node, path, "not a number that can be read")
            return None
        if math.isfinite(number):
            return number
        self._refuse(node, path, "a number too large to be used")
        return None

    def _origin(self, node: yaml.Node) -> Origin:
        return self._place(node.start_mark.line + 1)

    def _refuse_tag(self, node: yaml.Node, path: KeyPath) -> None:
        self._refuse(node, path, f"the tag '{node.tag.removeprefix(_TAG)}' is not allowed; remove it")

    def _refuse(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self._origin(node), spelled(path), message))

    def _duplicate(self, key: str, path: KeyPath) -> str:
        first = self.origins[*path, key]
        place = "above" if first.line is None else f"in line {first.line}"
        if path == ("streams",):
            return f"stream '{key}' is written twice, first {place}; give one another name"
        return f"key '{key}' is written twice, first {place}; keep one"

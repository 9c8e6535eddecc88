"""What is wrong with a configuration: every problem is one plain line, and all are told at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.errors import ConfigError
from pipeline.secret import without_credentials

KeyPath = tuple[str | int, ...]

_LONGEST_SHOWN = 60
_PLAIN_KEY = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting was written.

    Attributes:
        name: the file, or what overrides it ("--set streams.gate.policy").
        line: line in the file from 1, None for an override.
    """

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must be changed before anything can run.

    Attributes:
        origin: where it was written.
        key: the setting's path ("streams.gate.stages[1].count.lines"), "" for the file as a whole.
        message: what was found, and what is allowed.
    """

    origin: Origin
    key: str
    message: str

    def __str__(self) -> str:
        parts = (str(self.origin), self.key, self.message)
        return " ".join(": ".join(part for part in parts if part).split())


class ConfigProblems(ConfigError):  # noqa: N818 - it is named for what it holds
    """Everything that is wrong with a configuration, in the order of the file; `str` has one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda problem: (problem.origin.line is None, problem.origin.line or 0))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))


def spelled(path: KeyPath) -> str:
    """Return a key path as it is shown: ("stages", 1, "count") as "stages[1].count"."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """Return a value as it is quoted in a message: short, on one line, without credentials."""
    match value:
        case None:
            text = "nothing"
        case bool():
            text = "true" if value else "false"
        case _:
            text = without_credentials(repr(value))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 4]} ..."


def listed(words: Iterable[str], last: str = ", ") -> str:
    """Return words as "a, b, c", or with `last` before the last of them."""
    *front, back = list(words) or ["(none)"]
    return f"{', '.join(front)}{last}{back}" if front else back


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean 'x'?" for the known word nearest to `word`, "" when none is near."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {shown(near)}?"


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word nearest to `word`, None when none is near."""
    folded = {other.lower(): other for other in known}
    near = get_close_matches(word.lower(), folded, n=1)
    return folded[near[0]] if near else None

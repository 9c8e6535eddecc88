"""Words for text that is not YAML: which line to look at, and what to do there."""

from __future__ import annotations

import re

import yaml
from yaml.reader import ReaderError

from pipeline.config.problems import shown

_NO_SPACE = re.compile(r"\s*(?:- +)*(?:\{ *)?([A-Za-z_][\w-]*):[^\s/:]")

# PyYAML's words for a fault, ours, and whether to point to where the broken thing began.
_WORDS: tuple[tuple[str, str, bool], ...] = (
    (r"character '\\t'", "a tab where only spaces are allowed; replace it by spaces", False),
    (r"character ['\"](.)['\"] that cannot", "a value cannot begin with '{}'; put it in quotes", False),
    (
        r"mapping values are not",
        "a second ':' in one setting; check the indentation, or quote it",
        False,
    ),
    (r"could not find expected ':'", "neither 'key: value' nor '- entry'", True),
    (r"expected ',' or '(.)'", "a bracket without its '{}', or a comma is missing in it", True),
    (r"unexpected end of stream", "a quote that is never closed", True),
    (r"but found '([\]}])'", "'{}' closes nothing; remove it, or put the value in quotes", False),
    (r"expected <block end>", "does not line up; indent all settings of one group alike", False),
    (r"<stream end>", "ends too early: is a bracket or a quote open?", False),
    (r"sequence entries are not", "'- ' begins a list entry; put it on a line of its own", False),
    (r"undefined alias '(.*)'", "no '&{0}' comes before '*{0}'; quote a value that begins with '*'", False),
    (r"second occurrence", "the name after '&' is taken; choose another", False),
    (r"another document", "a second document begins; a configuration is one", False),
    (r"unknown escape character", "a backslash in double quotes; use single quotes", False),
)


def syntax_problem(text: str, error: yaml.YAMLError) -> tuple[int, str]:
    """Return the line, from 1, and in one line why `text` is not YAML."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"not a text file: it holds the character {shown(chr(error.character))}"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return 1, f"not YAML: {error}"
    line = error.problem_mark.line + 1
    begun = error.context_mark.line + 1 if error.context_mark else line
    problem = error.problem or "cannot be read"
    if "mapping values" in problem or "expected ':'" in problem:
        for back, earlier in enumerate(reversed(text.split("\n")[max(0, line - 3) : line])):
            if match := _NO_SPACE.match(earlier):
                return line - back, no_space(match[1])
    for pattern, words, at_beginning in _WORDS:
        if match := re.search(pattern, problem):
            return (begun if at_beginning else line), f"not YAML: {words.format(*match.groups())}"
    return line, f"not YAML: {problem}"


def no_space(key: str) -> str:
    """Return what to say of "key:value", which YAML takes for a text."""
    return f"a space is missing after the colon; write '{key}: ...'"


def key_without_space(text: object) -> str | None:
    """Return the key of a text such as "width:480", None for any other value."""
    match = _NO_SPACE.match(text) if isinstance(text, str) else None
    return match[1] if match else None

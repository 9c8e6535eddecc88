"""Warns of what asks for classes or attributes that no object had: it counted nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from stages.count.filters import FilterOptions

logger = logging.getLogger(__name__)

MAX_LABELS_NAMED = 10
"""Most labels that a warning names."""


class Unmatched:
    """Remembers whose classes, and whose attributes, have not been seen yet.

    Args:
        what: "zone" or "line".
        stream: name of the stream.
        asked: the filters, by name.
    """

    def __init__(self, what: str, stream: str, asked: Mapping[str, FilterOptions]) -> None:
        self._what, self._stream = what, stream
        self._waiting = {name: options for name, options in asked.items() if options.labels is not None}
        self._unknown = {attribute: name for name, options in asked.items() for attribute in options.where}
        self._seen: set[str] = set()

    def note(self, labels: Sequence[str], attributes: Sequence[Mapping[str, str]] | None = None) -> None:
        """Note which classes and attributes there are, as long as somebody still waits for one of its own."""
        if self._unknown and attributes is not None:
            for known in attributes:
                for attribute in known:
                    self._unknown.pop(attribute, None)
        if not self._waiting and not self._unknown:
            return
        found = [name for name, options in self._waiting.items() if options.names_one_of(labels)]
        for name in found:
            del self._waiting[name]
        for label in labels:
            if len(self._seen) <= MAX_LABELS_NAMED:  # one more, to know that there are more
                self._seen.add(label)

    def warn(self) -> None:
        """Warn of those who still wait, once; not when no object was seen at all."""
        waiting, self._waiting = self._waiting, {}
        unknown, self._unknown = self._unknown, {}
        seen = sorted(self._seen)
        if not seen:
            return
        if len(seen) > MAX_LABELS_NAMED:
            seen[MAX_LABELS_NAMED:] = ["others"]
        for name, options in waiting.items():
            asked = sorted(options.labels or ())
            near = [match for label in asked for match in get_close_matches(label, seen, 1)]
            logger.warning(
                "%s '%s' of stream '%s' counts only %s; the tracks seen were %s%s",
                self._what,
                name,
                self._stream,
                ", ".join(asked),
                ", ".join(seen),
                f"; did you mean '{near[0]}'?" if near else "",
            )
        for attribute, name in unknown.items():
            logger.warning(
                "%s '%s' of stream '%s' asks for '%s', but no object had one; a stage that gives it (such as "
                "'colours' for 'colour') must come before 'count'",
                self._what,
                name,
                self._stream,
                attribute,
            )

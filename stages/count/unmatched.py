"""Warns of what asks for classes that no object had: it counted nothing, and the name may be wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from stages.count.filters import FilterOptions

logger = logging.getLogger(__name__)

MAX_LABELS_NAMED = 10
"""Most labels that a warning names."""


class Unmatched:
    """Remembers whose classes have not been seen yet.

    Args:
        what: "zone".
        stream: name of the stream.
        asked: the filters, by name.
    """

    def __init__(self, what: str, stream: str, asked: Mapping[str, FilterOptions]) -> None:
        self._what, self._stream = what, stream
        self._waiting = {name: options for name, options in asked.items() if options.labels is not None}
        self._seen: set[str] = set()

    def note(self, labels: Sequence[str]) -> None:
        """Note which classes there are, as long as somebody still waits for one of its own."""
        if not self._waiting:
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
        seen = sorted(self._seen)
        if not seen:
            return
        if len(seen) > MAX_LABELS_NAMED:
            seen[MAX_LABELS_NAMED:] = ["others"]
        for name, options in waiting.items():
            asked = sorted(options.labels or ())
            near = [match for label in asked for match in get_close_matches(label, seen, 1)]
            logger.warning(
                "%s '%s' of stream '%s' is only for %s; the tracks seen were %s%s",
                self._what,
                name,
                self._stream,
                ", ".join(asked),
                ", ".join(seen),
                f"; did you mean '{near[0]}'?" if near else "",
            )

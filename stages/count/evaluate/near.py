"""The nearest known name, for messages about unknown ones."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'X'?" for the known name most like this one, "" when none is."""
    folded = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), folded, 1, 0.6)
    return f", did you mean '{folded[near[0]]}'?" if near else ""

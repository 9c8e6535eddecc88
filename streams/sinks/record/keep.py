"""How much of the recordings stays."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import SinkError

LEAST_FREE_BYTES = 500_000
"""So much stays free at least: what is written between two looks at the disk must fit."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How much stays.

    Attributes:
        days: what was stored longer ago goes.
        most_bytes: of all recordings.
        free_bytes: of the disk.
    """

    days: float
    most_bytes: int
    free_bytes: int


class NoRoom(SinkError):  # noqa: N818 - a state of the disk
    """There is no room, and nothing that may go."""

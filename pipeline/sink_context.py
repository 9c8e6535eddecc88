"""What a sink may know of its surroundings, and how it tells what it has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Tell(Protocol):
    """Makes an event out of what a sink has to say; it goes the way of all events."""

    def __call__(
        self, stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        """Tell it, from any thread, without waiting.

        Args:
            stream: which stream it concerns; "" where it concerns none.
            kind: dotted name of what happened.
            data: particulars, plain JSON values.
            evidence: what proves it.
        """


def _unheard(
    stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """What a sink may know of its surroundings.

    Attributes:
        folder: where files go; exists.
        tell: makes an event of what it has to say; a sink that is made alone is not heard.
    """

    folder: Path
    tell: Tell = field(default=_unheard, compare=False, repr=False)

"""One kind of question that the stage `count` answers: lines, zones, routes, speeds, evidence, history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pipeline.event import Event
from pipeline.plugin import StreamInfo
from stages.count.seen import Seen


class Part(Protocol):
    """What the stage asks of each of its parts; they know `Seen`, not each other."""

    def open(self, info: StreamInfo) -> None:
        """Prepare for pictures of this size; again when the size changes. Totals are kept.

        Raises:
            ConfigError: if the options do not fit the picture (a line outside of it).
        """

    def update(self, seen: Seen) -> list[Event]:
        """Take one frame; called for every frame, also without objects. Returns the events it made."""

    def finish(self, seen: Seen) -> list[Event]:
        """Return what is certain because nothing more will be seen of the objects; forget them.

        Called at the stream's end, and where media time begins anew. `seen` is of the last frame before
        and has no objects; what becomes certain by the end (crossings, visits) is in it for later parts.
        """

    def statistics(self) -> Mapping[str, Any]:
        """Return plain JSON values for the run's report; called from any thread."""

    def close(self) -> None:
        """Free everything; safe in every state and more than once."""

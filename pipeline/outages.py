"""Disks that take nothing for a while: a live stream goes on, it is told, tried again, and counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from pipeline.backoff import Backoff, KeeperOptions
from pipeline.blame import one_line
from pipeline.condition import Reason
from pipeline.errors import SightlineError, SinkError, Unwritable
from pipeline.file_sink import FileSink
from pipeline.plugin import Sink
from pipeline.secret import without_credentials

logger = logging.getLogger(__name__)

_PAUSES = KeeperOptions(retry_s=1.0, retry_most_s=10.0)
_DETAIL_CHARACTERS = 300


@dataclass(slots=True)
class _Outage:
    """How one sink stands; `trouble` is why it cannot write, "" while it can."""

    name: str
    backoff: Backoff
    trouble: str = ""
    outages: int = 0
    next_try_s: float = 0.0
    known: dict[str, int] = field(default_factory=dict)


class Outages:
    """Keeps a live stream going while the disk refuses what its file sinks write.

    Used by the stream's output thread; `statistics` from any.

    Attributes:
        endures: whether failures are survived; a recording's are not.
        failing: how many sinks cannot write now.

    Args:
        stream: name of the stream.
        tell: told as `tell(data)` when a sink's trouble begins, and when it is over.
        clock: monotonic seconds.
        draw: random numbers in 0..1 for the pauses between tries.
    """

    def __init__(
        self,
        stream: str,
        tell: Callable[[Mapping[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] | None = None,
    ) -> None:
        self.endures = True
        self._stream = stream
        self._tell = tell
        self._clock = clock
        self._draw = draw
        self._all: dict[FileSink, _Outage] = {}
        self.failing = 0

    def watch(self, name: str, sink: Sink) -> None:
        """Make a sink known, before it is used."""
        if isinstance(sink, FileSink) and sink not in self._all:
            same = sum(outage.name.split("#")[0] == name for outage in self._all.values())
            backoff = Backoff(_PAUSES) if self._draw is None else Backoff(_PAUSES, self._draw)
            self._all[sink] = _Outage(f"{name}#{same + 1}" if same else name, backoff)

    def enduring(self, sink: Sink) -> _Enduring:
        """Return what a call of a sink is made in: it swallows what a live stream survives."""
        return _Enduring(self, sink)

    def retry(self, *, at_once: bool = False) -> None:
        """Have those try again whose time it is, or all, as it is the last time.

        Raises:
            Exception: what a sink raises beside `Unwritable`.
        """
        for sink, outage in self._all.items():
            if outage.trouble and (at_once or self._clock() >= outage.next_try_s):
                try:
                    sink.retry(self._stream)
                except Unwritable:
                    outage.next_try_s = self._clock() + outage.backoff.after(Reason.FAILED)
                else:
                    self._recovered(sink, outage)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """Return of each file sink `error` (one line or None), `outages` and `lost` (what -> how many)."""
        return {
            outage.name: {
                "error": outage.trouble or None,
                "outages": outage.outages,
                "lost": dict(sink.losses(self._stream)),
            }
            for sink, outage in list(self._all.items())
        }

    def unfinished(self) -> list[SightlineError]:
        """Return an error for each sink that cannot write now; for the end of the stream."""
        return [
            SinkError(f"sink '{outage.name}' could not write at the end: {outage.trouble}")
            for outage in self._all.values()
            if outage.trouble
        ]

    def survived(self, sink: Sink, error: Unwritable) -> bool:
        """Note a failure; return whether the stream goes on."""
        if not (self.endures and isinstance(sink, FileSink) and sink in self._all):
            return False
        outage = self._all[sink]
        if not outage.trouble:
            outage.trouble = detail = without_credentials(one_line(error))[:_DETAIL_CHARACTERS]
            outage.outages += 1
            outage.next_try_s = self._clock() + outage.backoff.after(Reason.FAILED)
            self.failing += 1
            logger.error(
                "stream '%s': sink '%s' fails, and is tried again: %s", self._stream, outage.name, detail
            )
            self._tell({"sink": outage.name, "state": "failed", "detail": detail, "lost": {}})
        return True

    def _recovered(self, sink: FileSink, outage: _Outage) -> None:
        outage.trouble = ""
        outage.backoff.succeeded()
        self.failing -= 1
        so_far = dict(sink.losses(self._stream))
        lost = {what: more for what, count in so_far.items() if (more := count - outage.known.get(what, 0))}
        outage.known = so_far
        told = ", ".join(f"{count} {what}" for what, count in lost.items()) or "nothing"
        logger.warning("stream '%s': sink '%s' writes again; lost: %s", self._stream, outage.name, told)
        self._tell({"sink": outage.name, "state": "working", "detail": "", "lost": lost})


class _Enduring:
    """A `with` block around one call; a class, as it is entered for each frame (see `blaming`)."""

    __slots__ = ("_outages", "_sink")

    def __init__(self, outages: Outages, sink: Sink) -> None:
        self._outages, self._sink = outages, sink

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return isinstance(value, Unwritable) and self._outages.survived(self._sink, value)

"""The journal of a run, and what brings its events to each sink that has it behind it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.curve import CurveOptions
from pipeline.errors import ConfigError
from pipeline.event import Event, Producer, event_id
from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.journal_bounds import Overrun
from pipeline.moment import Clock, Moment
from pipeline.plugin import EventSink, EventSinkOptions, Options
from pipeline.reliable import ReliableServer

logger = logging.getLogger(__name__)

BOX_STREAM = "_box"
"""Where events belong that are of no stream."""
_DRAIN_S = 5.0
"""How long the end of a run waits for sinks to take what is left; the rest waits in the journal."""

_CONSUMERS_DRAIN_S = 2.0
"""The same for programs that are connected; one that hangs must not hold up the end."""


class JournalOptions(Options):
    """How much the journal keeps.

    Attributes:
        file: its file in the output folder.
        keep_days: older events are removed.
        keep_mb: so many megabytes of events are kept; beyond that the oldest are removed, and a consumer
            that did not have them loses them: an event `journal.overrun` says so.
        power_safe: wait for the disk at each event, so that it also survives a power failure.
    """

    file: str = Field(default="journal.sqlite3", pattern=r"^[A-Za-z0-9_.-]{1,100}$")
    keep_days: float = Field(default=14.0, gt=0, le=3650)
    keep_mb: float = Field(default=256.0, ge=1, le=1_000_000)
    power_safe: bool = False


class Outbox:
    """Writes each event down before anybody sees it, and feeds the sinks from there.

    Args:
        folder: of the results.
        options: of the journal.
        sinks: those that are fed, with their names.
        publish: told of an overrun, as an event.
        reliable: where programs can have events reliably, None for nowhere.
        curve: encryption there, and who may connect.
        emitted: the kinds of events that can come about, None when unknown.

    Attributes:
        journal: the events.
        server: of the programs that have them reliably, None without.

    Raises:
        ConfigError: if two sinks have the same name in the journal, or it is of a newer sightline.
        SinkError: if the journal cannot be opened.
    """

    def __init__(
        self,
        folder: Path,
        options: JournalOptions,
        sinks: Sequence[tuple[str, EventSink]],
        publish: Callable[[Event], None],
        reliable: str | None = None,
        curve: CurveOptions | None = None,
        emitted: Collection[str] | None = None,
    ) -> None:
        self._publish = publish
        names = [sink.options.consumer or name for name, sink in sinks]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"two sinks are '{name}' in the journal; give one of them another `consumer`"
                )
        self.journal = Journal(
            folder / options.file,
            keep_s=options.keep_days * 86400,
            keep_bytes=int(options.keep_mb * 1e6),
            power_safe=options.power_safe,
            overrun=self._overrun,
        )
        self._feeders: list[Feeder] = []
        self.server: ReliableServer | None = None
        try:
            if reliable:
                self.server = ReliableServer(self.journal, reliable, curve, names, emitted)
            for name, (_, sink) in zip(names, sinks, strict=True):
                settings: EventSinkOptions = sink.options
                self._feeders.append(
                    Feeder(
                        name,
                        self.journal,
                        sink.deliver,
                        wants=settings.takes,
                        batch=sink.batch,
                        from_start=settings.from_start,
                    )
                )
        except BaseException:
            if self.server:
                self.server.close()
            self.journal.close()
            raise

    def start(self) -> None:
        """Start feeding."""
        for feeder in self._feeders:
            feeder.start()

    def append(self, events: Sequence[Event]) -> None:
        """Write events down; returns when they are safe, or wait in memory as the disk takes none."""
        if events:
            self.journal.append(events)

    def statistics(self) -> dict[str, Any]:
        """Return the journal's and the feeders' state as plain values, for the report."""
        return {
            "newest": self.journal.newest,
            "lost": self.journal.lost,
            "trouble": self.journal.trouble or None,
            "reliable": self.server.statistics() if self.server else None,
            "sinks": {
                feeder.name: {
                    "delivered": feeder.status.delivered,
                    "waiting": max(0, self.journal.newest - feeder.status.acknowledged),
                    "refused": feeder.status.refused,
                    "failures": feeder.status.failures,
                    "error": feeder.status.detail or None,
                }
                for feeder in self._feeders
            },
        }

    def close(self) -> None:
        """Let sinks and connected programs take what is left, for a few seconds, and close the journal."""
        newest, ends_s = self.journal.newest, time.monotonic() + _DRAIN_S
        for feeder in self._feeders:
            if not feeder.stop(newest, max(0.0, ends_s - time.monotonic())):
                logger.warning(
                    "sink '%s' has not taken %d events; they wait in %s for the next run",
                    feeder.name,
                    newest - feeder.status.acknowledged,
                    self.journal.path,
                )
        if self.server:
            self.server.drain(min(_CONSUMERS_DRAIN_S, max(0.0, ends_s - time.monotonic())))
            self.server.close()
        self.journal.close()

    def _overrun(self, overrun: Overrun) -> None:
        data = {"consumer": overrun.consumer, "events": overrun.events, "last": overrun.last}
        key = f"{overrun.consumer}:{overrun.last}"
        event = box_event("journal.overrun", data, run=self.journal.box, key=key)
        self.journal.append([event])
        self._publish(event)


def box_event(
    kind: str,
    data: Mapping[str, Any],
    evidence: Mapping[str, Any] | None = None,
    *,
    run: str = "",
    key: str | None = None,
) -> Event:
    """Return an event of no stream, at the present.

    Args:
        kind: dotted name of what happened.
        data: particulars of the kind.
        evidence: what proves it.
        run: what it belongs to.
        key: what makes it unique within run and kind; a random one when None.
    """
    moment = Moment(0.0, time.time_ns(), Clock.ARRIVAL, 0)
    return Event(
        id=event_id(moment, BOX_STREAM, run, kind, secrets.token_hex(8) if key is None else key),
        kind=kind,
        stream=BOX_STREAM,
        run=run,
        sequence=0,
        moment=moment,
        producer=Producer("engine"),
        data=data,
        evidence=evidence or {},
    )

"""Events of a stream that belong to no frame: the state of its source, and what its sinks have to say."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from itertools import count
from typing import Any

from pipeline.captured import Outgoing
from pipeline.channel import Channel
from pipeline.condition import SourceState
from pipeline.event import Event, Producer, event_id
from pipeline.keeper import SourceStatus
from pipeline.moment import Clock, Moment
from pipeline.output import Output

logger = logging.getLogger(__name__)

_MOST_WAITING = 256
_NEWS = {
    SourceState.PLAYING,
    SourceState.STALLED,
    SourceState.LOST,
    SourceState.REFUSED,
}
"""States of a live source that are events; the others pass in seconds and are in the status only."""


class Notices:
    """Makes such events and puts them on their way, from any thread, without waiting.

    Attributes:
        run: id of the latest run, "" before the first.

    Args:
        stream: name of the stream.
        config_hash: of its stages.
        channel: to its output.
        output: delivers what comes after the channel's end.
    """

    def __init__(self, stream: str, config_hash: str, channel: Channel[Outgoing], output: Output) -> None:
        self.run = ""
        self._stream = stream
        self._producer = Producer("engine", config_hash=config_hash)
        self._channel = channel
        self._output = output
        self._numbers = count()
        self._news: tuple[object, ...] = ()

    def tell(self, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None) -> bool:
        """Tell something; False when too much waits to be told already."""
        event = self._made(kind, data, evidence or {})
        if self._channel.put_beyond(event, _MOST_WAITING):
            return True
        if not self._channel.is_closed:
            return False
        self._output.announce_late(event)
        return True

    def source_is(self, status: SourceStatus) -> None:
        """Tell the log and the sinks when a live source's state has changed."""
        if status.state not in _NEWS:
            return
        reason = None if status.reason is None else str(status.reason)
        if self._news == (status.state, reason):
            return
        why = f": {status.detail or reason}" if reason else ""
        logger.info("stream '%s' %s%s", self._stream, status.state, why)
        data = {
            "state": str(status.state),
            "reason": reason,
            "detail": status.detail,
            "connections": status.connections,
            "failures": status.failures,
        }
        if self.tell("source.state", data):
            self._news = (status.state, reason)  # else it is told when there is room, at the next change

    def _made(self, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any]) -> Event:
        span_s = self._output.media_span_s
        moment = Moment(span_s[1] if span_s else 0.0, time.time_ns(), Clock.ARRIVAL, 0)
        key = f"{moment.time_ns}:{next(self._numbers)}"
        return Event(
            id=event_id(moment, self._stream, self.run, kind, key),
            kind=kind,
            stream=self._stream,
            run=self.run,
            sequence=0,
            moment=moment,
            producer=self._producer,
            data=data,
            evidence=evidence,
        )

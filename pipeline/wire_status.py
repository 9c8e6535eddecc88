"""How streams and the box are, as messages: written, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from pipeline.frame import Counts
from pipeline.moment import Moment
from pipeline.wire_fields import VERSION, Header, Natural, Size, Text, moment_fields, moment_of
from pipeline.wire_tables import Fields

STATUS_TOPIC = "status/"
BOX_STREAM = "_box"
"""What belongs to no stream has this in place of one."""
HUB_STREAM = "_hub"
"""What a hub says of itself."""

_STATUS_FIELDS = (
    "box", "every_s", "state", "error", "source", "width", "height", "seconds",
    "frames", "captured_hz", "finished_hz", "age_ms", "counts", "events", "gaps", "sinks",
)  # fmt: skip
_BOX_FIELDS = ("box", "every_s", "error", "seconds", "streams", "journal", "sinks", "sockets")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMessage:
    """How a stream is, as it travels.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        stream: name of the stream.
        run: the latest run, "" before the first.
        moment: when this was so; `pts_s` is that of the latest finished frame.
        box: name of the box.
        every_s: the next message comes in at most so many seconds.
        state: "opening", "running", "ended", "stopped" or "failed".
        error: why it failed, one line, or None.
        source: of a live stream `state`, `reason`, `detail`, `for_s` (in this state and for this reason),
            `connections`, `failures`, `next_try_s`; None for files.
        width: of the picture, px; None before it is known.
        height: likewise.
        seconds: that the stream has run.
        frames: `captured`, `finished`, `in_flight` and `dropped` (stage -> cause -> frames) so far.
        captured_hz: frames a second that came from the source since the message before, or None.
        finished_hz: likewise of frames that are done with.
        age_ms: of live frames by step: `p50`, `p99`, `latest`.
        counts: totals so far: line -> direction -> label -> objects.
        events: so far.
        gaps: so far.
        sinks: those that copy its packets: name -> `taken`, `lost` (cause -> packets), `waiting`, `error`.
    """

    bus: str
    n: int
    stream: str
    run: str
    moment: Moment
    box: str
    every_s: float
    state: str
    error: str | None = None
    source: Mapping[str, Any] | None = None
    width: int | None = None
    height: int | None = None
    seconds: float = 0.0
    frames: Mapping[str, Any]
    captured_hz: float | None = None
    finished_hz: float | None = None
    age_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    events: int = 0
    gaps: int = 0
    sinks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        """What subscribers name: `status/<stream>`."""
        return STATUS_TOPIC + self.stream

    @property
    def payload(self) -> bytes | None:
        """A status has none."""
        return None

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> StatusMessage:  # noqa: ARG003 - has none
        """Make the message of a checked header."""
        return cls(
            moment=moment_of(checked),
            **{name: checked[name] for name in ("bus", "n", "stream", "run", *_STATUS_FIELDS)},
        )

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        return {
            **_begin("status", self.bus, self.n, self.stream, self.run, self.moment),
            **{name: getattr(self, name) for name in _STATUS_FIELDS},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxMessage:
    """How all is that belongs to no stream, as it travels.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        moment: when this was so.
        box: name of the box.
        every_s: the next message comes in at most so many seconds.
        error: what went wrong outside of any stream, one line, or None.
        seconds: since the start.
        streams: name -> state.
        journal: `newest`, `lost`, `trouble` and `reliable` (`connected`, `refused`; None without it); None
            where there is no journal.
        sinks: those with the journal behind them: name -> `delivered`, `waiting`, `refused`, `failures`,
            `error`.
        sockets: what the publishing sockets have sent, refused, and whom they serve.
        stream: "_box", or "_hub" for what a hub says of itself.
    """

    bus: str
    n: int
    moment: Moment
    box: str
    every_s: float
    error: str | None = None
    seconds: float = 0.0
    streams: Mapping[str, str] = field(default_factory=dict)
    journal: Mapping[str, Any] | None = None
    sinks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sockets: Mapping[str, int] = field(default_factory=dict)

    stream: str = BOX_STREAM

    @property
    def topic(self) -> str:
        """What subscribers name: `status/_box`, or `status/_hub`."""
        return STATUS_TOPIC + self.stream

    @property
    def payload(self) -> bytes | None:
        """A status has none."""
        return None

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> BoxMessage:  # noqa: ARG003 - has none
        """Make the message of a checked header."""
        return cls(
            moment=moment_of(checked),
            **{name: checked[name] for name in ("bus", "n", "stream", *_BOX_FIELDS)},
        )

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        return {
            **_begin("box", self.bus, self.n, self.stream, "", self.moment),
            **{name: getattr(self, name) for name in _BOX_FIELDS},
        }


def _begin(kind: str, bus: str, n: int, stream: str, run: str, moment: Moment) -> dict[str, Any]:
    return {
        "v": VERSION, "type": kind, "bus": bus, "n": n, "stream": stream, "run": run, "sequence": 0,
        **moment_fields(moment),
    }  # fmt: skip


Rate = Annotated[float, Field(ge=0)]


class _Source(Fields):
    state: Text
    reason: str | None
    detail: str
    for_s: Rate
    connections: Natural
    failures: Natural
    next_try_s: Rate | None


class _Frames(Fields):
    captured: Natural
    finished: Natural
    in_flight: Natural
    dropped: dict[str, dict[str, Natural]]


class _Ages(Fields):
    p50: Rate
    p99: Rate
    latest: Rate


class _PacketSink(Fields):
    taken: Natural
    lost: dict[str, Natural]
    waiting: Natural
    error: str | None


class StatusHeader(Header):
    """The fields of a status message, in strict types."""

    type: Literal["status"]
    box: Text
    every_s: Rate
    state: Text
    error: str | None
    source: _Source | None
    width: Size | None
    height: Size | None
    seconds: Rate
    frames: _Frames
    captured_hz: Rate | None
    finished_hz: Rate | None
    age_ms: dict[str, _Ages]
    counts: dict[str, dict[str, dict[str, Natural]]]
    events: Natural
    gaps: Natural
    sinks: dict[str, _PacketSink]


class _Journal(Fields):
    newest: Natural
    lost: Natural
    trouble: str | None
    reliable: dict[str, JsonValue] | None


class _Sink(Fields):
    delivered: Natural
    waiting: Natural
    refused: Natural
    failures: Natural
    error: str | None


class BoxHeader(Header):
    """The fields of a message about the box, in strict types."""

    type: Literal["box"]
    stream: Literal["_box", "_hub"]
    box: Text
    every_s: Rate
    error: str | None
    seconds: Rate
    streams: dict[str, str]
    journal: _Journal | None
    sinks: dict[str, _Sink]
    sockets: dict[str, Natural]

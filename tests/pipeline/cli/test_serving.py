"""What a sink in a process of its own is brought, when it takes several things."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.bus import Bus
from pipeline.cli.inlets import Teller
from pipeline.cli.serving import Post, addresses_of, log_news, serve
from pipeline.config.sink import load_sink
from pipeline.errors import ConfigError, SinkError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.journal import Journal
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import EventSink, Input, Sink, SinkContext, SinkOptions, StreamInfo
from pipeline.reliable import ReliableServer
from tests.media import write_crossing_video
from tests.packets import packets_of
from tests.pipeline.messages import FREE, make_event, make_frame, wait_until


class Everything(PacketSink):
    """Takes all there is, and notes whether two calls ever came at a time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(SinkOptions(), SinkContext(folder))
        self.said: list[str] = []
        self.idle: list[str] = []
        self.is_inside = self.is_failing = self.has_clashed = False

    @contextmanager
    def _inside(self) -> Iterator[None]:
        self.has_clashed |= self.is_inside
        self.is_inside = True
        yield
        self.is_inside = False

    def open_stream(self, info: StreamInfo) -> None:
        with self._inside():
            self.said.append(f"open {info.stream}")

    def on_event(self, event: Event) -> None:
        with self._inside():
            self.said.append(f"event {event.track_id}")

    def on_frame(self, frame: Frame) -> None:
        if self.is_failing:
            raise OSError("full")
        with self._inside():
            self.said.append(f"frame {frame.sequence}")

    def close_stream(self, stream: str) -> None:
        with self._inside():
            self.said.append(f"close {stream}")

    def open_packets(self, form: PacketFormat) -> None:
        pass

    def on_packet(self, packet: Packet) -> None:
        self.said.append(f"packet {packet.sequence}")

    def on_idle(self, stream: str) -> None:
        self.idle.append(stream)


@dataclass
class Voice:
    """Keeps what is said."""

    lines: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def of(self, kind: Input) -> Teller:
        return self

    def well(self, line: str) -> None:
        self.lines.append(line)

    def trouble(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, line: str) -> None:
        pass

    def end(self, line: str) -> None:
        self.ends.append(line)


class Box:
    """A box with all its sockets, and a sink beside it that is served."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
        self.server = ReliableServer(self.journal, FREE)
        self.bus = Bus(None, FREE, FREE)
        self.sink = Everything(folder)
        self.voice = Voice()
        self.stopping = threading.Event()
        self.error: Exception | None = None
        addresses: dict[Input, str] = {
            "events": self.server.endpoint,
            "frames": self.bus.endpoints["frames"],
            "packets": self.bus.endpoints["packets"],
        }
        self._post = Post("all", self.sink, addresses, "me")
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        try:
            serve(self._post, self.stopping, self.voice)
        except Exception as error:
            self.error = error

    def __enter__(self) -> Box:
        self.thread.start()
        wait_until(lambda: self.bus.wants_frames("gate") and self.bus.wants_packets("gate"))
        wait_until(lambda: "me" in self.journal.consumers())
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
        self.server.close()
        self.bus.close()
        self.journal.close()


def test_events_frames_and_packets_come_to_one_sink(tmp_path: Path) -> None:
    form, packets = packets_of(write_crossing_video(tmp_path / "x.mp4", frames=10))
    with Box(tmp_path) as box:
        box.journal.append([make_event(7), make_event(8)])
        for number in range(10):
            box.bus.publish_packet(form, packets[number])
            box.bus.publish_frame(make_frame(number))
            wait_until(lambda number=number: f"frame {number}" in box.sink.said)  # type: ignore[misc]
        wait_until(lambda: {"event 8", "packet 9"} <= set(box.sink.said))
        wait_until(lambda: len(box.voice.lines) >= 3)
    assert box.error is None
    assert not box.sink.has_clashed
    for kind, expected in (("packet", range(10)), ("frame", range(10)), ("event", (7, 8))):
        said = [line for line in box.sink.said if line.startswith(kind)]
        assert said == [f"{kind} {number}" for number in expected]
    assert [line for line in box.sink.said if line.endswith("gate")] == ["open gate", "close gate"]
    assert box.voice.ends == [
        "2 events delivered, 0 refused; 10 frames delivered, 0 lost on the way, 0 unreadable; "
        "10 packets came, 0 lost on the way"
    ]
    assert {line.partition(" tcp")[0] for line in box.voice.lines} == {
        "connected to",
        "frames come from",
        "packets come from",
    }


def test_a_sink_is_asked_what_is_due_for_a_stream_that_has_events_only(tmp_path: Path) -> None:
    with Box(tmp_path) as box:
        box.journal.append([make_event(7, "yard")])
        wait_until(lambda: "yard" in box.sink.idle)
    assert box.sink.said == ["event 7"]


def test_what_one_inlet_fails_of_ends_all_and_is_told(tmp_path: Path) -> None:
    with Box(tmp_path) as box:
        box.sink.is_failing = True
        box.bus.publish_frame(make_frame(1))
        box.thread.join(10)
        assert not box.thread.is_alive()
    assert isinstance(box.error, SinkError)
    assert str(box.error) == "sink 'all' failed: OSError: full"


@pytest.mark.parametrize(
    ("name", "sets", "inputs"),
    [
        ("jsonl", (), {"events"}),
        ("mqtt", ("host=x",), {"events"}),
        ("video", (), {"frames"}),
        ("record", (), {"packets"}),
        ("clips", ("kinds=[a]",), {"events", "packets"}),
        ("push", ("url=rtsp://x/{stream}",), {"packets"}),
        ("push", ("url=rtsp://x/{stream}", "video=annotated"), {"frames"}),
        ("live", (), {"frames", "packets"}),
        ("live", ("offer=[original]",), {"packets"}),
        ("live", ("offer=[annotated]",), {"frames"}),
    ],
)
def test_what_a_sink_takes_follows_from_its_options(
    name: str, sets: tuple[str, ...], inputs: set[str]
) -> None:
    chosen = load_sink(name, sets=sets)
    assert chosen.plugin.inputs(chosen.options) == inputs
    assert not chosen.plugin.inside_only


class Nothing(Sink):
    """Takes nothing."""


class Delivered(EventSink):
    """Has the journal behind it."""


ADDRESSES: list[tuple[type[Sink], str | None, dict[Input, str | None], dict[Input, str]]] = [
    (Delivered, "a", {}, {"events": "a"}),
    (Everything, "a", {"frames": "b", "packets": "c"}, {"events": "a", "frames": "b", "packets": "c"}),
]


@pytest.mark.parametrize(("plugin", "connect", "named", "found"), ADDRESSES)
def test_the_one_address_is_of_what_comes_first(
    plugin: type[Sink], connect: str | None, named: dict[Input, str | None], found: dict[Input, str]
) -> None:
    assert addresses_of("x", plugin, SinkOptions(), connect, named) == found


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (Nothing, "the sink 'x' has no process of its own: it takes neither events nor frames nor packets"),
        (
            Everything,
            "the sink 'x', set like this, takes events, frames and packets: add --frames ADDRESS (the box's "
            "bus.frames) --packets ADDRESS (the box's bus.packets)",
        ),
    ],
)
def test_what_is_missing_is_named(plugin: type[Sink], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        addresses_of("x", plugin, SinkOptions(), "a", {})
    assert str(caught.value) == said


def test_what_a_sink_tells_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    data: dict[str, Any] = {"path": "a.mp4", "events": [f"e{number}" for number in range(30)]}
    log_news("gate", "clip.saved", data, {"clip": {"path": "a.mp4"}})
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("stream 'gate': clip.saved: path a.mp4, events e0, e1,")
    assert line.endswith("e19 and 10 more")

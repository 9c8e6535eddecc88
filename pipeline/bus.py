"""The publishing side of the bus: events, states, annotated frames and packets (docs/protocol.md).

Each has a socket of its own (states go with the events), because one queue length cannot serve all: an event
must wait for a slow subscriber, a picture must not, and of packets none may be missing in the midst.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import cv2
import zmq

from pipeline.curve import CurveOptions, Guard
from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.packet import Packet, PacketFormat
from pipeline.peers import Peers
from pipeline.place import Place
from pipeline.publisher import Publisher
from pipeline.raw import RawBus, RawOptions, statistics_named
from pipeline.wire import (
    EVENT_TOPIC,
    FRAME_TOPIC,
    PACKET_TOPIC,
    BoxMessage,
    EventMessage,
    FrameMessage,
    PacketMessage,
    StatusMessage,
    encode,
)

_EVENTS_QUEUED = 100_000  # per subscriber; 60 to 80 MB at worst, shared by all that are equally slow
_FRAMES_QUEUED = 2
_FRAMES_BUFFER_BYTES = 64 << 10  # with the kernel's default some 26 pictures wait there: 1.3 s of lag
_PACKETS_QUEUED = 512  # per subscriber; 20 s at 25 Hz, some 10 MB of 4 Mbit/s
_EVENTS_LINGER_MS = 500


class Bus:
    """Publishes on up to three XPUB sockets; every method may be called from any thread and never blocks.

    Args:
        events: address to bind for events and states (`tcp://127.0.0.1:5577`, `ipc:///run/sightline/events`;
            port 0 or `*` takes a free one), a `Place` to connect to, or None for no events.
        frames: likewise for annotated frames.
        packets: likewise for packets as the source delivered them.
        jpeg_quality: 1..100.
        curve: encrypt, and who may connect; None for neither.
        raw: where raw pictures for programs on this box are announced, None for nowhere.

    Raises:
        ConfigError: if an address is none.
        SinkError: if an address cannot be bound.
    """

    def __init__(
        self,
        events: str | Place | None,
        frames: str | Place | None,
        packets: str | Place | None = None,
        *,
        jpeg_quality: int = 80,
        curve: CurveOptions | None = None,
        raw: RawOptions | None = None,
    ) -> None:
        self._id = secrets.token_hex(8)
        self._quality = jpeg_quality
        self._context = zmq.Context()
        self._guard = Guard(self._context, curve)
        self._peers = Peers()
        self._events: Publisher | None = None
        self._frames: Publisher | None = None
        self._packets: Publisher | None = None
        self._raw: RawBus | None = None
        try:
            if events is not None:
                self._events = self._publisher(
                    "events", events, queued=_EVENTS_QUEUED, linger_ms=_EVENTS_LINGER_MS, keeps=True
                )
            if frames is not None:
                self._frames = self._publisher(
                    "frames", frames, queued=_FRAMES_QUEUED, send_buffer_bytes=_FRAMES_BUFFER_BYTES
                )
            if packets is not None:
                self._packets = self._publisher("packets", packets, queued=_PACKETS_QUEUED)
            if raw is not None:
                self._raw = RawBus(raw, self._id, curve)
        except BaseException:
            self.close()
            raise
        self._peers.start()

    def _publisher(
        self,
        name: str,
        place: str | Place,
        *,
        queued: int,
        linger_ms: int = 0,
        send_buffer_bytes: int = -1,
        keeps: bool = False,
    ) -> Publisher:
        return Publisher(
            self._context,
            Place(place) if isinstance(place, str) else place,
            self._guard,
            self._peers,
            name,
            queued=queued,
            linger_ms=linger_ms,
            send_buffer_bytes=send_buffer_bytes,
            keeps=keeps,
        )

    @property
    def endpoints(self) -> dict[str, str]:
        """The addresses by socket ("events", "frames", "packets", "raw"), with the real port numbers."""
        found = {name: publisher.endpoint for name, publisher in self._publishers()}
        return found if self._raw is None else {**found, "raw": self._raw.endpoint}

    def publish_event(self, event: Event) -> None:
        """Hand an event to ZeroMQ, which queues it for every subscriber of `event/<stream>`.

        Raises:
            WireError: if the event holds what the protocol cannot carry.
        """
        if self._events is not None:
            self._events.send(EVENT_TOPIC + event.stream, lambda n: encode(EventMessage(self._id, n, event)))

    def wants_status(self, topic: str) -> bool:
        """Return whether anybody subscribes to a topic `status/...`."""
        return self._events is not None and self._events.wanted(topic)

    def publish_status(self, topic: str, make: Callable[..., StatusMessage | BoxMessage]) -> None:
        """Send what `make(bus=..., n=...)` makes of the bus's id and the topic's next number.

        Raises:
            WireError: if it holds what the protocol cannot carry.
        """
        if self._events is not None:
            self._events.send(topic, lambda n: encode(make(bus=self._id, n=n)))

    def wants_frames(self, stream: str) -> bool:
        """Return whether anybody subscribes to `frame/<stream>`."""
        return self._frames is not None and self._frames.wanted(FRAME_TOPIC + stream)

    def publish_frame(self, frame: Frame) -> bool:
        """Draw, encode and send a frame if somebody subscribes to it; return whether it was sent.

        Drawing and encoding happen in the caller's thread, outside the socket's lock.

        Raises:
            SinkError: if the picture cannot be a JPEG (OpenCV writes sides up to 65,500 px).
            WireError: if the frame holds what the protocol cannot carry.
        """
        if self._frames is None or not self.wants_frames(frame.stream):
            return False
        jpeg = self._jpeg(frame)
        return self._frames.send(
            FRAME_TOPIC + frame.stream,
            lambda n: encode(FrameMessage.of(frame, jpeg, quality=self._quality, bus=self._id, n=n)),
        )

    def wants_packets(self, stream: str) -> bool:
        """Return whether anybody subscribes to `packet/<stream>`."""
        return self._packets is not None and self._packets.wanted(PACKET_TOPIC + stream)

    def publish_packet(self, form: PacketFormat, packet: Packet) -> bool:
        """Send a packet if somebody subscribes to it; return whether it was sent.

        A subscriber that comes in the midst of a stream may begin at its next key frame.

        Raises:
            WireError: if the packet is larger than the protocol carries.
        """
        if self._packets is None or not self.wants_packets(packet.stream):
            return False
        return self._packets.send(
            PACKET_TOPIC + packet.stream, lambda n: encode(PacketMessage(self._id, n, form, packet))
        )

    def wants_raw(self, stream: str) -> bool:
        """Return whether anybody subscribes to `raw/<stream>`; to be asked for each frame."""
        return self._raw is not None and self._raw.wants(stream)

    def publish_raw(self, frame: Frame) -> bool:
        """Lay a frame down for programs on this box if somebody subscribes to it; return whether it was.

        Raises:
            WireError: if the frame holds what the protocol cannot carry.
        """
        return self._raw is not None and self._raw.publish(frame)

    def statistics(self) -> Mapping[str, int]:
        """Return what a publisher can know.

        `*_sent` counts messages handed to ZeroMQ, `*_unsent` those it refused or that came after `close`,
        `*_subscriptions` the distinct topics that are subscribed to, `*_refused` what peers said that is no
        subscription, `*_peers` who is connected, `*_gone` connections that have ended, `*_strangers` those
        that were not let in. What a slow subscriber's full queue drops, only that subscriber can see, in the
        gaps of `n`.
        """
        found: dict[str, int] = {}
        for name, publisher in self._publishers():
            found |= {f"{name}_{key}": value for key, value in publisher.statistics().items()}
        return found | statistics_named(self._raw)

    def close(self) -> None:
        """Close the sockets; waits up to 0.5 s for queued events. Safe more than once."""
        for _, publisher in self._publishers():
            publisher.close()
        if self._raw is not None:
            self._raw.close()
        self._peers.close()
        self._guard.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _publishers(self) -> list[tuple[str, Publisher]]:
        sockets = {"events": self._events, "frames": self._frames, "packets": self._packets}
        return [(name, publisher) for name, publisher in sockets.items() if publisher is not None]

    def _jpeg(self, frame: Frame) -> bytes:
        done, encoded = cv2.imencode(".jpg", frame.drawn(), [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not done:
            size = f"{frame.picture.width} x {frame.picture.height}"
            raise SinkError(f"stream '{frame.stream}': a picture of {size} px cannot be a JPEG")
        return encoded.tobytes()

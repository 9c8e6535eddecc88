"""The publishing side of the bus: events and annotated frames over ZeroMQ (docs/protocol.md).

Events and frames have a socket each, because one queue length cannot serve both: an event must wait for a
slow subscriber, a picture must not.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import cv2
import zmq

from pipeline.address import check_address
from pipeline.curve import CurveOptions, Guard
from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.wire import EVENT_TOPIC, FRAME_TOPIC, EventMessage, FrameMessage, encode

HEARTBEAT_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 15_000
_EVENTS_QUEUED = 100_000  # per subscriber; 60 to 80 MB at worst, shared by all that are equally slow
_FRAMES_QUEUED = 2
_FRAMES_BUFFER_BYTES = 64 << 10  # with the kernel's default some 26 pictures wait there: 1.3 s of lag
_EVENTS_LINGER_MS = 500
_MAX_SUBSCRIPTION_BYTES = 4096
_MAX_SUBSCRIPTIONS = 4096


class Bus:
    """Publishes on up to two XPUB sockets; every method may be called from any thread and never blocks.

    Args:
        events: address to bind for events (`tcp://127.0.0.1:5577`, `ipc:///run/sightline/events`; port 0
            or `*` takes a free one), or None for no events.
        frames: address to bind for annotated frames, or None for no frames.
        jpeg_quality: 1..100.
        curve: encrypt, and who may connect; None for neither.

    Raises:
        ConfigError: if an address is none.
        SinkError: if an address cannot be bound.
    """

    def __init__(
        self,
        events: str | None,
        frames: str | None,
        *,
        jpeg_quality: int = 80,
        curve: CurveOptions | None = None,
    ) -> None:
        self._id = secrets.token_hex(8)
        self._quality = jpeg_quality
        self._context = zmq.Context()
        self._guard = Guard(self._context, curve)
        self._events: _Publisher | None = None
        self._frames: _Publisher | None = None
        try:
            if events is not None:
                self._events = _Publisher(
                    self._context, events, self._guard, queued=_EVENTS_QUEUED, linger_ms=_EVENTS_LINGER_MS
                )
            if frames is not None:
                self._frames = _Publisher(
                    self._context,
                    frames,
                    self._guard,
                    queued=_FRAMES_QUEUED,
                    linger_ms=0,
                    send_buffer_bytes=_FRAMES_BUFFER_BYTES,
                )
        except BaseException:
            self.close()
            raise

    @property
    def endpoints(self) -> dict[str, str]:
        """The bound addresses by socket ("events", "frames"), with the real port numbers."""
        sockets = {"events": self._events, "frames": self._frames}
        return {name: publisher.endpoint for name, publisher in sockets.items() if publisher is not None}

    def publish_event(self, event: Event) -> None:
        """Hand an event to ZeroMQ, which queues it for every subscriber of `event/<stream>`.

        Raises:
            WireError: if the event holds what the protocol cannot carry.
        """
        if self._events is not None:
            self._events.send(EVENT_TOPIC + event.stream, lambda n: encode(EventMessage(self._id, n, event)))

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

    def statistics(self) -> Mapping[str, int]:
        """Return what a publisher can know.

        `*_sent` counts messages handed to ZeroMQ, `*_unsent` those it refused or that came after `close`,
        `*_subscriptions` the distinct topics that are subscribed to. What a slow subscriber's full queue
        drops, only that subscriber can see, in the gaps of `n`.
        """
        found: dict[str, int] = {}
        for name, publisher in (("events", self._events), ("frames", self._frames)):
            if publisher is not None:
                found |= {f"{name}_{key}": value for key, value in publisher.statistics().items()}
        return found

    def close(self) -> None:
        """Close the sockets; waits up to 0.5 s for queued events. Safe more than once."""
        for publisher in (self._events, self._frames):
            if publisher is not None:
                publisher.close()
        self._guard.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _jpeg(self, frame: Frame) -> bytes:
        done, encoded = cv2.imencode(".jpg", frame.drawn(), [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not done:
            size = f"{frame.picture.width} x {frame.picture.height}"
            raise SinkError(f"stream '{frame.stream}': a picture of {size} px cannot be a JPEG")
        return encoded.tobytes()


class _Publisher:
    """One XPUB socket with its lock (ZeroMQ sockets are not thread-safe) and its sequence numbers."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        address: str,
        guard: Guard,
        *,
        queued: int,
        linger_ms: int,
        send_buffer_bytes: int = -1,
    ) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, int] = {}
        self._subscriptions = _Subscriptions()
        self._sent = 0
        self._unsent = 0
        self._socket = context.socket(zmq.XPUB)
        self._socket.linger = linger_ms
        self._socket.sndhwm = queued
        self._socket.sndbuf = send_buffer_bytes
        self._socket.maxmsgsize = _MAX_SUBSCRIPTION_BYTES
        self._socket.heartbeat_ivl = HEARTBEAT_MS
        self._socket.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
        guard.protect(self._socket)
        try:
            self.endpoint = _bind(self._socket, check_address(address))
        except BaseException:
            self._socket.close()
            raise

    def wanted(self, topic: str) -> bool:
        """Return whether a subscription covers `topic`."""
        with self._lock:
            self._read_subscriptions()
            return self._subscriptions.cover(topic.encode())

    def send(self, topic: str, encoded: Callable[[int], list[bytes]]) -> bool:
        """Send what `encoded` makes of the topic's next number, without waiting."""
        with self._lock:
            self._read_subscriptions()
            n = self._next.get(topic, 0)
            parts = encoded(n)
            self._next[topic] = n + 1
            try:
                self._socket.send_multipart(parts, zmq.NOBLOCK)
            except zmq.ZMQError:
                self._unsent += 1
                return False
            self._sent += 1
            return True

    def statistics(self) -> dict[str, int]:
        with self._lock:
            self._read_subscriptions()
            return {
                "sent": self._sent,
                "unsent": self._unsent,
                "subscriptions": len(self._subscriptions),
            }

    def close(self) -> None:
        with self._lock:
            self._socket.close()

    def _read_subscriptions(self) -> None:
        while not self._socket.closed:
            try:
                self._subscriptions.update(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return


class _Subscriptions:
    """The topic prefixes somebody subscribes to, as XPUB tells them: the first to come, the last to go.

    At most `_MAX_SUBSCRIPTIONS` are kept. Beyond that everything counts as wanted until all are gone:
    drawing for nobody is the smaller harm.
    """

    def __init__(self) -> None:
        self._prefixes: set[bytes] = set()
        self._unknown = 0

    def __len__(self) -> int:
        return len(self._prefixes) + self._unknown

    def update(self, message: bytes) -> None:
        """Take a subscription (1, prefix) or its end (0, prefix); ignore anything else."""
        prefix = message[1:]
        if message[:1] == b"\x01":
            if len(self._prefixes) < _MAX_SUBSCRIPTIONS:
                self._prefixes.add(prefix)
            else:
                self._unknown += 1
        elif message[:1] == b"\x00":
            if prefix in self._prefixes:
                self._prefixes.remove(prefix)
            else:
                self._unknown = max(0, self._unknown - 1)

    def cover(self, topic: bytes) -> bool:
        """Return whether some prefix of `topic` is subscribed to."""
        return self._unknown > 0 or any(topic[:end] in self._prefixes for end in range(len(topic) + 1))


def _bind(publisher: zmq.Socket[bytes], address: str) -> str:
    """Bind and return the address with its real port."""
    try:
        if address.startswith("ipc:///") and _is_served(address.removeprefix("ipc://")):
            raise zmq.ZMQError(zmq.EADDRINUSE)
        publisher.bind(address)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            advice = "stop the program that uses it or choose another address"
        else:
            advice = "choose an address of this machine that you may use"
        raise SinkError(f"cannot publish on {address}: {zmq.strerror(error.errno or 0)}; {advice}") from error
    return publisher.getsockopt_string(zmq.LAST_ENDPOINT)


def _is_served(path: str) -> bool:
    """Return whether somebody listens on this socket file; libzmq would quietly take it over."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True

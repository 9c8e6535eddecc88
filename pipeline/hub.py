"""A place where several boxes publish and programs subscribe: XSUB and XPUB sockets (docs/protocol.md)."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

import zmq

from pipeline.curve import CurveOptions, Guard
from pipeline.moment import Clock, Moment
from pipeline.peers import Peers
from pipeline.place import Place, attach
from pipeline.publisher import Subscriptions
from pipeline.relay import Relay, set_up
from pipeline.wire import (
    EVENT_TOPIC,
    FRAME_TOPIC,
    HUB_STREAM,
    PACKET_TOPIC,
    STATUS_TOPIC,
    BoxMessage,
    encode,
)


class _Kind(NamedTuple):
    families: tuple[str, ...]
    queued: int
    buffer_bytes: int


KINDS = {
    "events": _Kind((EVENT_TOPIC, STATUS_TOPIC), 100_000, -1),
    "frames": _Kind((FRAME_TOPIC,), 2, 64 << 10),
    "packets": _Kind((PACKET_TOPIC,), 512, -1),
}
"""What a hub passes on, by the names that the sockets have in a box's configuration."""
_EVERY_S = 2.0
_TOPIC = STATUS_TOPIC + HUB_STREAM


class Ends(NamedTuple):
    """The two addresses of one kind of messages: where boxes connect, and where programs do."""

    boxes: str
    programs: str


class Hub:
    """Passes on what boxes publish until it is closed; a thread for each kind of messages.

    Boxes and programs may come, go and come back at any time, and so may the hub. Boxes send only what some
    program subscribes to, as if it were connected to them.

    Args:
        places: for some of "events", "frames" and "packets" the addresses to bind.
        boxes: encrypt, and which boxes may publish; None for neither.
        programs: encrypt, and which programs may subscribe; None for neither.

    Attributes:
        endpoints: the addresses with their real ports.

    Raises:
        ConfigError: if an address is none.
        SinkError: if it cannot be bound.
    """

    def __init__(
        self,
        places: Mapping[str, Ends],
        *,
        boxes: CurveOptions | None = None,
        programs: CurveOptions | None = None,
    ) -> None:
        self._id = secrets.token_hex(8)
        self._began_s = time.monotonic()
        self._n = 0
        self._told_s = -_EVERY_S
        # ZeroMQ has one authenticator for each context: publishing and subscribing are different rights.
        self._contexts = zmq.Context(), zmq.Context()
        self._guards = [
            Guard(context, curve) for context, curve in zip(self._contexts, (boxes, programs), strict=True)
        ]
        self._peers = Peers()
        self._relays: dict[str, Relay] = {}
        self.endpoints: dict[str, Ends] = {}
        try:
            for name, ends in places.items():
                self._add(name, ends)
        except BaseException:
            self.close()
            raise
        self._peers.start()
        for relay in self._relays.values():
            relay.start()

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return by kind what was passed on and refused, who is connected, and who was not let in.

        `passed` and `bytes` count messages, `refused` what was no message of this kind or no subscription,
        `subscriptions` the topics that programs want, `boxes` and `programs` connections now, `gone` those
        that have ended, `strangers` those that were not let in.
        """
        return {name: self._counts(name) for name in self._relays}

    def close(self) -> None:
        """Close all sockets; safe more than once."""
        for relay in self._relays.values():
            relay.close()
        self._peers.close()
        for guard, context in zip(self._guards, self._contexts, strict=True):
            guard.close()
            context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, name: str, ends: Ends) -> None:
        kind = KINDS[name]
        sockets: list[zmq.Socket[Any]] = [
            context.socket(made) for context, made in zip(self._contexts, (zmq.XSUB, zmq.XPUB), strict=True)
        ]
        set_up(*sockets, queued=kind.queued, buffer_bytes=kind.buffer_bytes)
        bound = []
        try:
            for opened, context, guard, address, side in zip(
                sockets, self._contexts, self._guards, ends, Ends._fields, strict=True
            ):
                self._peers.watch(opened, context, f"{name} {side}")
                bound.append(attach(opened, Place(address), guard))
        except BaseException:
            for opened in sockets:
                opened.close()
            raise
        self.endpoints[name] = Ends(*bound)
        boxes, programs = sockets
        tells = {"news": self._news} if name == "events" else {}
        self._relays[name] = Relay(boxes, programs, kind.families, f"hub-{name}", **tells)

    def _counts(self, name: str) -> dict[str, int]:
        boxes, programs = (self._peers.counts(f"{name} {side}") for side in Ends._fields)
        return {
            **self._relays[name].statistics(),
            "boxes": boxes["peers"],
            "programs": programs["peers"],
            "gone": boxes["gone"] + programs["gone"],
            "strangers": boxes["strangers"] + programs["strangers"],
        }

    def _news(self, subscriptions: Subscriptions) -> list[bytes] | None:
        """Return how the hub itself is, as a message, when it is time and somebody wants it."""
        now_s = time.monotonic()
        if now_s - self._told_s < _EVERY_S or not subscriptions.cover(_TOPIC.encode()):
            return None
        self._told_s = now_s
        message = BoxMessage(
            bus=self._id,
            n=self._n,
            stream=HUB_STREAM,
            moment=Moment(0.0, time.time_ns(), Clock.ARRIVAL, 0),
            box=socket.gethostname() or "hub",
            every_s=2 * _EVERY_S,
            seconds=round(now_s - self._began_s, 1),
            sockets={
                f"{name}_{key}": count for name in self._relays for key, count in self._counts(name).items()
            },
        )
        self._n += 1
        return encode(message)

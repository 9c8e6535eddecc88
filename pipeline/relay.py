"""Passes one kind of messages from boxes to programs, and the programs' subscriptions to the boxes."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import zmq

from pipeline.publisher import MAX_SUBSCRIPTION_BYTES, Subscriptions
from pipeline.wire import MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES, MAX_TOPIC_BYTES

logger = logging.getLogger(__name__)

_AT_ONCE = 200
"""Messages that are passed on before subscriptions have their turn, so that neither side starves."""
_ASKED = 10_000
"""Subscriptions that may be on their way to a box; ZeroMQ would drop what does not fit."""
_LIMITS = (MAX_TOPIC_BYTES, MAX_HEADER_BYTES, MAX_PAYLOAD_BYTES)


class Relay:
    """One thread between an XSUB socket, where boxes are, and an XPUB socket, where programs are.

    It looks at topics and sizes and leaves headers alone, so that boxes may be newer than the hub. What is no
    message of its topics is dropped and counted.

    Args:
        boxes: XSUB, bound already; the relay's from `start` on.
        programs: XPUB, likewise.
        families: what the topics begin with ("event/").
        news: a message of the hub itself to send now, or None; asked about once a second.
        name: of the thread.
    """

    def __init__(
        self,
        boxes: zmq.Socket[Any],
        programs: zmq.Socket[Any],
        families: Sequence[str],
        name: str,
        news: Callable[[Subscriptions], list[bytes] | None] = lambda _: None,
    ) -> None:
        self._boxes = boxes
        self._programs = programs
        self._families = tuple(family.encode() for family in families)
        self._news = news
        self._subscriptions = Subscriptions()
        self._asked: set[bytes] = set()
        self._seen = 0
        self._passed = self._bytes = self._refused = 0
        self._bell, self._ring = os.pipe()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start passing on."""
        self._thread.start()

    def statistics(self) -> dict[str, int]:
        """Return how many messages and bytes were passed on, and what was dropped as no message."""
        return {
            "passed": self._passed,
            "bytes": self._bytes,
            "refused": self._refused,
            "subscriptions": len(self._subscriptions),
        }

    def close(self) -> None:
        """End the thread and close both sockets; safe more than once."""
        if not self._stopping:
            self._stopping = True
            os.write(self._ring, b".")
            if self._thread.ident is not None:
                self._thread.join()
            self._boxes.close()
            self._programs.close()
            for end in (self._bell, self._ring):
                os.close(end)

    def _work(self) -> None:
        poller = zmq.Poller()
        for watched in (self._boxes, self._programs, self._bell):
            poller.register(watched, zmq.POLLIN)
        told_s = time.monotonic()
        while not self._stopping:
            try:
                poller.poll(1000)
                self._pass_on()
                self._take_subscriptions()
                self._ask()
                if time.monotonic() - told_s >= 1.0:
                    told_s = time.monotonic()
                    self._tell()
            except Exception:  # whatever it was, the others go on being served
                logger.exception("the hub failed to pass on a message")

    def _pass_on(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                parts = self._boxes.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if self._is_message(parts):
                self._send(parts)
                self._passed += 1
                self._bytes += sum(map(len, parts))
            else:
                self._refused += 1

    def _is_message(self, parts: Sequence[zmq.Frame]) -> bool:
        if not 2 <= len(parts) <= 3 or any(map(_exceeds, parts, _LIMITS)):
            return False
        return parts[0].bytes.startswith(self._families)

    def _send(self, parts: Sequence[Any]) -> None:
        with suppress(zmq.Again):  # XPUB drops what a slow program has no room for, and never says so
            self._programs.send_multipart(parts, zmq.NOBLOCK, copy=False)

    def _take_subscriptions(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = self._programs.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if len(message) > 1 + MAX_TOPIC_BYTES or not self._subscriptions.update(message):
                self._refused += 1

    def _ask(self) -> None:
        """Subscribe at the boxes to what the programs want, and to nothing else."""
        if self._subscriptions.changes == self._seen:
            return
        self._seen = self._subscriptions.changes
        wanted = {prefix for prefix in self._subscriptions.wanted() if self._concerns(prefix)}
        for prefix in wanted - self._asked:
            self._boxes.send(b"\x01" + prefix)
        for prefix in self._asked - wanted:
            self._boxes.send(b"\x00" + prefix)
        self._asked = wanted

    def _concerns(self, prefix: bytes) -> bool:
        return any(prefix.startswith(family) or family.startswith(prefix) for family in self._families)

    def _tell(self) -> None:
        parts = self._news(self._subscriptions)
        if parts is not None:
            self._send(parts)


def _exceeds(part: zmq.Frame, limit: int) -> bool:
    return len(part) > limit


def set_up(boxes: zmq.Socket[Any], programs: zmq.Socket[Any], *, queued: int, buffer_bytes: int) -> None:
    """Set the bounds of both sockets of a relay, before they are bound.

    Args:
        boxes: XSUB.
        programs: XPUB.
        queued: most messages that wait from each box, and for each program.
        buffer_bytes: of the kernel on either side, -1 for its default.
    """
    boxes.linger = programs.linger = 0
    boxes.rcvhwm = programs.sndhwm = queued
    boxes.rcvbuf = programs.sndbuf = buffer_bytes
    boxes.sndhwm = _ASKED
    boxes.maxmsgsize = MAX_PAYLOAD_BYTES
    programs.maxmsgsize = MAX_SUBSCRIPTION_BYTES

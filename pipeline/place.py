"""Where a socket of the bus is: an address that it binds, or one of a hub that it connects to."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import zmq

from pipeline.address import check_address
from pipeline.curve import Guard
from pipeline.errors import ConfigError, SinkError

HEARTBEAT_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 15_000
HANDSHAKE_MS = 5_000
"""Who connects and does not get through ZeroMQ's greetings within it is cut off; libzmq waits 30 s."""
_RECONNECT_MS = 100
_RECONNECT_MAX_MS = 5_000


@dataclass(frozen=True, slots=True)
class Place:
    """An address and what a socket does there.

    Attributes:
        address: `tcp://HOST:PORT` or `ipc:///PATH`.
        connects: True to connect to a hub that is bound there, False to bind it.
    """

    address: str
    connects: bool = False


def attach(opened: zmq.Socket[Any], place: Place, guard: Guard, what: str = "publish") -> str:
    """Bind or connect a new socket, watched by heartbeats and protected; return its address, with its port.

    `what` it is for is said where it cannot be done. A socket that connects need not find anybody there:
    ZeroMQ goes on trying.

    Raises:
        ConfigError: if the address is none, or nothing can connect to it.
        SinkError: if it cannot be bound.
    """
    address = connectable(place.address) if place.connects else check_address(place.address)
    opened.heartbeat_ivl = HEARTBEAT_MS
    opened.heartbeat_timeout = HEARTBEAT_TIMEOUT_MS
    opened.handshake_ivl = HANDSHAKE_MS
    opened.reconnect_ivl = _RECONNECT_MS
    opened.reconnect_ivl_max = _RECONNECT_MAX_MS
    guard.protect(opened, connects=place.connects)
    try:
        if place.connects:
            opened.connect(address)
            return address
        if address.startswith("ipc:///") and _is_served(address.removeprefix("ipc://")):
            raise zmq.ZMQError(zmq.EADDRINUSE)
        opened.bind(address)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            advice = "stop the program that uses it or choose another address"
        else:
            advice = "choose an address of this machine that you may use"
        raise SinkError(f"cannot {what} on {address}: {zmq.strerror(error.errno or 0)}; {advice}") from error
    return opened.getsockopt_string(zmq.LAST_ENDPOINT)


def connectable(address: str) -> str:
    """Return an address that something can connect to.

    Raises:
        ConfigError: if it is none.
    """
    if "*" in address or address.endswith(":0"):
        raise ConfigError(f"cannot connect to {address!r}; name the publisher's host and port")
    return check_address(address)


def _is_served(path: str) -> bool:
    """Return whether somebody listens on this socket file; libzmq would quietly take it over."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True

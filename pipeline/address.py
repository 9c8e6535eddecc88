"""Addresses as users write them, checked before anybody binds them.

libzmq takes `tcp://127.0.0.1:99999` for port 34463 and calls a missing port an "invalid argument".
"""

from __future__ import annotations

import re

from pipeline.errors import ConfigError

_TCP = re.compile(r"tcp://[^\s/:]+:(\*|[0-9]{1,5})|tcp://\[[^\s/]+\]:(\*|[0-9]{1,5})")
_IPC = re.compile(r"ipc://[^\s\0*]+")


def check_address(address: str) -> str:
    """Return `address` if it is `tcp://HOST:PORT` or `ipc://PATH`.

    Raises:
        ConfigError: what is wrong and what an address looks like.
    """
    tcp = _TCP.fullmatch(address)
    if tcp is not None:
        port = tcp[1] or tcp[2]
        if port == "*" or int(port) <= 65535:
            return address
    elif _IPC.fullmatch(address):
        return address
    raise ConfigError(
        f"{address!r} is no address; write tcp://HOST:PORT with a port up to 65535, e.g. "
        "tcp://127.0.0.1:5577, or ipc:///PATH, e.g. ipc:///run/sightline/events"
    )


_HOST_PORT = re.compile(r"(?:(?P<host>\[[^\s/\]]+\]|[^\s/:]+):)?(?P<port>[0-9]{1,5})")


def split_host_port(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, or of a port alone, which is this machine's own (127.0.0.1).

    Raises:
        ConfigError: if it is neither.
    """
    match = _HOST_PORT.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(
            f"{address!r} is no address; write HOST:PORT with a port up to 65535, e.g. 127.0.0.1:9464"
        )
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"])

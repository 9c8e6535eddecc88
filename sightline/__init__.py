"""What programs that receive from sightline need.

import sightline

for received in sightline.subscribe("tcp://127.0.0.1:5577"):
    print(received.message.event.kind)

for seq, event in sightline.subscribe("tcp://127.0.0.1:5579", name="billing"):
    store(event)  # not one is missed: acknowledged when the next is asked for
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

from pipeline.client import Numbered, ReliableListener
from pipeline.curve import Credentials
from pipeline.errors import ConfigError, SightlineError
from pipeline.event import Event
from pipeline.listen import Listener, Received

__all__ = [
    "Event",
    "Listener",
    "Numbered",
    "Received",
    "ReliableListener",
    "SightlineError",
    "subscribe",
]


@overload
def subscribe(
    endpoint: str,
    topics: Sequence[str] = ("event/",),
    *,
    name: None = None,
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> Listener: ...


@overload
def subscribe(
    endpoint: str,
    topics: Sequence[str] = (),
    *,
    name: str,
    start: Literal["resume", "oldest"] = "resume",
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> ReliableListener: ...


def subscribe(
    endpoint: str,
    topics: Sequence[str] = (),
    *,
    name: str | None = None,
    start: Literal["resume", "oldest"] = "resume",
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> Listener | ReliableListener:
    """Receive from a running sightline: an iterator, an async iterator, and a context manager.

    Args:
        endpoint: without a name, `bus.events` or `bus.frames` of its configuration; with one, `bus.reliable`.
        topics: without a name, prefixes of `event/STREAM` and `frame/STREAM`; with one, prefixes of the kinds
            that are wanted ("line."), all when empty.
        name: by which the box remembers how far this program is, so that it misses nothing while either is
            away. None: what comes while this program listens, pictures too.
        start: what a name that the box does not know yet gets: what is new, or all that it still has.
        server_key: file of the box's public key, if its bus is encrypted (`sightline keys`).
        key: file of this program's own secret key, if the box admits known programs only.

    Raises:
        ConfigError: if the endpoint is no address, a topic can never match, or a key is none.
    """
    if key is not None and server_key is None:
        raise ConfigError("a key of one's own is of no use without the box's: subscribe(..., server_key=...)")
    credentials = None
    if server_key is not None:
        credentials = Credentials.read(Path(server_key), None if key is None else Path(key))
    if name is None:
        if start != "resume":
            raise ConfigError(
                "only a program with a name can begin with the oldest: subscribe(..., name=...)"
            )
        return Listener([endpoint], topics or ("event/",), credentials)
    return ReliableListener(
        endpoint, name, kinds=topics, from_start=start == "oldest", credentials=credentials
    )

"""What programs that receive from sightline need.

import sightline

for received in sightline.subscribe("tcp://127.0.0.1:5577"):
    print(received.message.event.kind)

for seq, event in sightline.subscribe("tcp://127.0.0.1:5579", name="billing"):
    store(event)  # not one is missed: acknowledged when the next is asked for

for frame in sightline.subscribe_raw("ipc:///run/sightline/raw", "raw/gate"):
    look_at(frame.bgr())  # on the same box, through shared memory
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
from pipeline.raw_client import RawFrame, RawListener

__all__ = [
    "Event",
    "Listener",
    "Numbered",
    "RawFrame",
    "RawListener",
    "Received",
    "ReliableListener",
    "SightlineError",
    "subscribe",
    "subscribe_raw",
]


@overload
def subscribe(
    endpoint: str,
    topics: str | Sequence[str] = ("event/",),
    *,
    name: None = None,
    newest: bool = True,
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> Listener: ...


@overload
def subscribe(
    endpoint: str,
    topics: str | Sequence[str] = (),
    *,
    name: str,
    start: Literal["resume", "oldest"] = "resume",
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> ReliableListener: ...


def subscribe(
    endpoint: str,
    topics: str | Sequence[str] = (),
    *,
    name: str | None = None,
    start: Literal["resume", "oldest"] = "resume",
    newest: bool = True,
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> Listener | ReliableListener:
    """Receive from a running sightline: an iterator, an async iterator, and a context manager.

    Args:
        endpoint: without a name, `bus.events` or `bus.frames` of its configuration; with one, `bus.reliable`.
        topics: one or several: without a name, prefixes of `event/STREAM`, `status/STREAM` and
            `frame/STREAM`; with one, prefixes of the kinds that are wanted ("line."), all when empty.
        name: by which the box remembers how far this program is, so that it misses nothing while either is
            away. None: what comes while this program listens, pictures too.
        start: what a name that the box does not know yet gets: what is new, or all that it still has.
        newest: of frames that pile up while this program works, hand out each stream's newest only; what was
            skipped is counted (`stale`, and `lost` what did not even come). False: all that come, in order.
        server_key: file of the box's public key, if its bus is encrypted (`sightline keys`).
        key: file of this program's own secret key, if the box admits known programs only.

    Raises:
        ConfigError: if the endpoint is no address, a topic can never match, or a key is none.
    """
    wanted = [topics] if isinstance(topics, str) else topics
    credentials = _credentials(server_key, key)
    if any(topic.startswith("raw/") for topic in wanted):
        raise ConfigError("raw pictures are arrays in shared memory: use sightline.subscribe_raw")
    if name is None:
        if start != "resume":
            raise ConfigError(
                "only a program with a name can begin with the oldest: subscribe(..., name=...)"
            )
        return Listener([endpoint], wanted or ("event/",), credentials, newest=newest)
    return ReliableListener(
        endpoint, name, kinds=wanted, from_start=start == "oldest", credentials=credentials
    )


def subscribe_raw(
    endpoint: str,
    topics: str | Sequence[str] = ("raw/",),
    *,
    copy: bool = True,
    server_key: str | Path | None = None,
    key: str | Path | None = None,
) -> RawListener:
    """Receive raw pictures of a sightline on this box as arrays, through shared memory; always the newest.

    Args:
        endpoint: `bus.raw` of its configuration, `ipc:///PATH`.
        topics: one or several prefixes of `raw/STREAM`.
        copy: False for views into the shared memory, which cost nothing but change after a few pictures: ask
            `is_intact()` when done with one.
        server_key: as of `subscribe`.
        key: as of `subscribe`.

    Raises:
        ConfigError: if the endpoint is no address, a topic is not of raw pictures, or a key is none.
    """
    wanted = [topics] if isinstance(topics, str) else topics
    return RawListener(endpoint, wanted, _credentials(server_key, key), copy=copy)


def _credentials(server_key: str | Path | None, key: str | Path | None) -> Credentials | None:
    if server_key is None:
        if key is not None:
            raise ConfigError(
                "a key of one's own is of no use without the box's: subscribe(..., server_key=...)"
            )
        return None
    return Credentials.read(Path(server_key), None if key is None else Path(key))

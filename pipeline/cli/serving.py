"""What `sightline sink` does once its sink is made: it brings what that takes, until it is told to end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pipeline.cli.inlets import SETTINGS, EventInlet, Inlet, MediaInlet, Teller, raise_first
from pipeline.client import ReliableListener
from pipeline.curve import Credentials
from pipeline.errors import ConfigError
from pipeline.feeder import Feeder
from pipeline.listen import Listener
from pipeline.packet_sink import PacketSink
from pipeline.plugin import EventSink, Input, Sink
from pipeline.privacy.options import effective
from pipeline.remote_events import EventCalls
from pipeline.remote_frames import FrameFeed
from pipeline.remote_outbox import RemoteOutbox, prefixes_of
from pipeline.remote_packets import PacketFeeds
from pipeline.unfinished import FILE, Unfinished

logger = logging.getLogger(__name__)

_LOOK_S = 0.5
ORDER: tuple[Input, ...] = ("events", "frames", "packets")
_MOST_SAID = 20
"""Items of a list that a log line shows."""


class Voice(Protocol):
    """Says how it goes: with each inlet, and with all of them."""

    def of(self, kind: Input) -> Teller:
        """Return what says how it goes with one inlet."""

    def progress(self, line: str) -> None:
        """Show how far it is."""

    def end(self, line: str) -> None:
        """Say how it ended."""


@dataclass(frozen=True, slots=True)
class Post:
    """A sink's place in a process of its own.

    Attributes:
        name: of the sink.
        made: the sink.
        addresses: of the box, for each thing that it takes.
        consumer: name under which the box keeps its place; None: as its options say, or sink/NAME.
        credentials: for an encrypted bus.
    """

    name: str
    made: Sink
    addresses: Mapping[Input, str]
    consumer: str | None = None
    credentials: Credentials | None = None


def addresses_of(
    name: str, plugin: type[Sink], options: Any, connect: str | None, named: Mapping[Input, str | None]
) -> dict[Input, str]:
    """Return which address brings a sink what.

    Args:
        name: of the sink.
        plugin: its class.
        options: of it.
        connect: address for the first thing that it takes, in the order events, frames, packets.
        named: addresses that were named for one thing.

    Raises:
        ConfigError: if one is missing or too much, or the sink can do its work only inside a run.
    """
    wanted = plugin.inputs(options)
    takes = [kind for kind in ORDER if kind in wanted]
    if plugin.inside_only or not takes:
        why = plugin.inside_only or "it takes neither events nor frames nor packets"
        raise ConfigError(f"the sink '{name}' has no process of its own: {why}")
    if "packets" in takes and effective(getattr(options, "privacy", None), None) is not None:
        raise ConfigError(
            f"the sink '{name}', set like this, copies the camera's own pictures, in which nothing can be "
            "hidden; if they may leave as they are, add --set privacy=false"
        )
    found: dict[Input, str] = {kind: address for kind, address in named.items() if address is not None}
    if connect is not None:
        if takes[0] in found:
            raise ConfigError(
                f"--connect and --{takes[0]} both say where {takes[0]} come from: leave one out"
            )
        found[takes[0]] = connect
    for kind in found.keys() - set(takes):
        raise ConfigError(f"the sink '{name}', set like this, takes no {kind}: leave out --{kind}")
    if missing := [kind for kind in takes if kind not in found]:
        needs = " and ".join(takes) if len(takes) < 3 else "events, frames and packets"
        lacking = " ".join(
            f"{'--connect' if kind == takes[0] else f'--{kind}'} ADDRESS (the box's {SETTINGS[kind]})"
            for kind in missing
        )
        raise ConfigError(f"the sink '{name}', set like this, takes {needs}: add {lacking}")
    return found


def serve(post: Post, stopping: threading.Event, say: Voice) -> None:
    """Bring a sink what it takes until told to end.

    Raises:
        SightlineError: if the box refuses us, another program takes our name, or the sink fails.
    """
    with ExitStack() as stack:
        inlets = _inlets(post, stack)
        for inlet in inlets.values():
            inlet.start()
        errors: list[Exception] = []
        try:
            while True:
                is_over = stopping.wait(_LOOK_S) or any(inlet.ended.is_set() for inlet in inlets.values())
                for kind, inlet in inlets.items():
                    inlet.look(say.of(kind))
                say.progress("; ".join(inlet.progress for inlet in inlets.values()))
                if is_over:
                    break
        finally:
            for inlet in inlets.values():  # events first: what they ask for is finished with the pictures
                try:
                    inlet.stop()
                except Exception as error:  # the others are stopped, too
                    errors.append(error)
        say.end("; ".join(inlet.summary for inlet in inlets.values()))
        raise_first([inlet.error for inlet in inlets.values() if inlet.error is not None] + errors)


def log_news(
    stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
) -> None:
    """Log what a sink has to say: there is no run whose event it could become."""
    where = f"stream '{stream}': " if stream else ""
    told = {
        **{key: value for key, value in (evidence or {}).items() if not isinstance(value, Mapping)},
        **data,
    }
    said = ", ".join(f"{key} {_short(value)}" for key, value in told.items())
    logger.warning("%s%s: %s", where, kind, said)


def _short(value: Any) -> Any:
    if isinstance(value, list) and len(value) > _MOST_SAID:
        return f"{', '.join(map(str, value[:_MOST_SAID]))} and {len(value) - _MOST_SAID} more"
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _inlets(post: Post, stack: ExitStack) -> dict[Input, Inlet]:
    """Make what brings a sink its things, in the order in which they are to end; the stack closes it."""
    turn = threading.Lock()
    made, addresses = post.made, post.addresses
    found: dict[Input, Inlet] = {}
    expect: Callable[[str], None] = _nobody
    if isinstance(made, PacketSink) and "packets" in addresses:
        listener = _listener(post, "packets")
        feeds = PacketFeeds(post.name, made, listener, turn, opens="frames" not in addresses)
        found["packets"] = MediaInlet("packets", addresses["packets"], listener, feeds)
        expect = feeds.expect
    if "frames" in addresses:
        listener = _listener(post, "frames")
        feed = FrameFeed(post.name, made, listener, turn)
        found["frames"] = MediaInlet("frames", addresses["frames"], listener, feed)
    for inlet in found.values():
        stack.callback(inlet.close)
    if "events" in addresses:
        found["events"] = _event_inlet(post, turn, expect, stack)
        stack.callback(found["events"].close)
    return {kind: found[kind] for kind in ORDER if kind in found}


def _listener(post: Post, kind: Input) -> Listener:
    family = f"{kind.removesuffix('s')}/"
    streams = getattr(post.made.options, "streams", None) or ("",)
    topics = [f"{family}{stream}" for stream in streams]
    return Listener([post.addresses[kind]], topics, post.credentials, newest=False)


def _event_inlet(
    post: Post, turn: threading.Lock, expect: Callable[[str], None], stack: ExitStack
) -> EventInlet:
    name, made, options = post.name, post.made, post.made.options
    is_fed = isinstance(made, EventSink)
    address = post.addresses["events"]
    calls = None if is_fed else EventCalls(made, turn, _notes(made, stack), expect)
    listener = ReliableListener(
        address,
        post.consumer or getattr(options, "consumer", None) or f"sink/{name}",
        kinds=prefixes_of(options.kinds) if is_fed else (),
        from_start=is_fed and options.from_start,
        credentials=post.credentials,
    )
    outbox = RemoteOutbox(listener)
    if calls is not None:
        calls.resume()
        return EventInlet(
            address, listener, outbox, Feeder(name, outbox, calls.deliver, wants=calls.takes), calls.settle
        )
    made = cast("EventSink", made)
    feeder = Feeder(name, outbox, made.deliver, wants=options.takes, batch=made.batch)
    return EventInlet(address, listener, outbox, feeder)


def _notes(made: Sink, stack: ExitStack) -> Unfinished | None:
    """Return the notes of what the sink holds, if it is one that does; they are settled at the end."""
    if type(made).held is Sink.held:
        return None
    notes = Unfinished(made.context.folder / FILE, made.held)
    stack.callback(notes.close)
    stack.callback(notes.settle)
    return notes


def _nobody(stream: str) -> None:
    """Be told in vain."""

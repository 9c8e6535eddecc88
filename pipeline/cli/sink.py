"""`sightline sink`: one sink as a process of its own, here or on another machine."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from pipeline.curve import Credentials
    from pipeline.plugin import EventSink, Sink

_LOOK_S = 0.5
_PATIENCE_S = 5.0
"""How long the box may be silent before that is said."""
_SAY_EVERY_S = 1.0
_LAST_DELIVERY_S = 10.0
"""How long the end waits for what is being delivered; else it comes again."""


def sink(
    name: Annotated[
        str, typer.Argument(help="The sink's name: jsonl, postgres, mqtt, video ...", show_default=False)
    ],
    connect: Annotated[
        str,
        typer.Option(
            "--connect",
            "-c",
            metavar="ADDRESS",
            help="The box's `bus.reliable` for a sink of events, its `bus.frames` for one of pictures.",
            show_default=False,
        ),
    ],
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set one option of the sink; repeat for several."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take the options from the sink's entry in this configuration."),
    ] = None,
    entry: Annotated[
        int | None,
        typer.Option(min=0, help="Which entry of FILE's `sinks`, from 0, where several have the name."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder for the sink's files.", show_default="sink-NAME"),
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The box's public key, if its bus is encrypted.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Our own secret key, if the box admits known programs only."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say errors and warnings only.")] = False,
) -> None:
    """Run one sink as its own process, on this machine or another, until Ctrl-C.

    A sink of events gets each one at least once, out of the box's journal: either side may be killed, cut off
    or started again at any time, and the box remembers how far the sink is, under the option `consumer`
    (sink/NAME if not set). Only what comes after its first start is kept for it, or all that the box still
    has with --set from_start=true. A sink of pictures gets the frames that come while it runs.

    Example: sightline sink jsonl --connect tcp://box:5579 --set path=gate.jsonl --set kinds=[line.crossing]
    """
    from pipeline.blame import blaming
    from pipeline.config.sink import load_sink
    from pipeline.curve import Credentials
    from pipeline.errors import ConfigError, SinkError
    from pipeline.outputs import claimed
    from pipeline.plugin import SinkContext

    if key is not None and server_key is None:
        raise ConfigError("--key is of no use without the box's public key: add --server-key")
    if entry is not None and config is None:
        raise ConfigError("--entry is of no use without a configuration: add --config")
    chosen = load_sink(name, sets=setting or [], file=config, entry=entry)
    takes_frames = _takes_frames(name, chosen.plugin)
    credentials = None if server_key is None else Credentials.read(server_key, key)
    folder = out or Path(f"sink-{name}")
    with claimed(folder):
        with blaming(SinkError, f"sink '{name}' cannot be made"):
            made = chosen.plugin(chosen.options, SinkContext(folder))
        try:
            with _until_signal() as stopping:
                say = _Teller(name, quiet=quiet)
                serve: Callable[..., None] = _serve_frames if takes_frames else _serve_events
                serve(name, made, connect, credentials, stopping, say)
        finally:
            with blaming(SinkError, f"closing sink '{name}' failed"):
                made.close()


def _takes_frames(name: str, plugin: type[Any]) -> bool:
    """Return whether a sink takes frames; False if it takes events reliably.

    Raises:
        ConfigError: if it can do its work only inside a run.
    """
    from pipeline.errors import ConfigError
    from pipeline.plugin import EventSink, Sink

    if issubclass(plugin, EventSink):
        return False
    if plugin.on_frame is not Sink.on_frame and plugin.on_event is Sink.on_event:
        return True
    raise ConfigError(
        f"the sink '{name}' writes the results of one run, in its process; sinks with the journal behind "
        "them (jsonl, sqlite, postgres, webhook, ...) and of pictures (video) can have their own"
    )


def _serve_events(
    name: str,
    made: EventSink,
    address: str,
    credentials: Credentials | None,
    stopping: threading.Event,
    say: _Teller,
) -> None:
    from pipeline.client import ReliableListener
    from pipeline.feeder import Feeder
    from pipeline.remote_outbox import RemoteOutbox, prefixes_of

    options = made.options
    with ReliableListener(
        address,
        options.consumer or f"sink/{name}",
        kinds=prefixes_of(options.kinds),
        from_start=options.from_start,
        credentials=credentials,
    ) as listener:
        outbox = RemoteOutbox(listener)
        feeder = Feeder(name, outbox, made.deliver, wants=options.takes, batch=made.batch)
        feeder.start()
        begun_s = time.monotonic()
        is_over = False
        while not is_over:
            is_over = stopping.wait(_LOOK_S) or outbox.ended.is_set()
            box, status = outbox.status, feeder.status
            if not box.connected and time.monotonic() - begun_s > _PATIENCE_S:
                say.trouble(_absent(address, box.has_answered, box.handshakes_failed, "bus.reliable"))
            elif box.connected and box.has_answered:
                say.well(f"connected to {address}")
            taking = f", takes none: {status.detail}" if status.detail else ""
            say.progress(f"{status.delivered} events delivered, {box.waiting} wait here{taking}")
        feeder.stop(0, _LAST_DELIVERY_S)  # all else waits at the box
        say.end(f"{feeder.status.delivered} events delivered, {feeder.status.refused} refused")
        if outbox.error is not None:
            raise outbox.error


def _serve_frames(
    name: str,
    made: Sink,
    address: str,
    credentials: Credentials | None,
    stopping: threading.Event,
    say: _Teller,
) -> None:
    from pipeline.listen import Listener
    from pipeline.remote_frames import FrameFeed

    topics = [f"frame/{stream}" for stream in made.options.streams or ("",)]
    with Listener([address], topics, credentials, newest=False) as listener:
        feed = FrameFeed(name, made, listener)
        begun_s = time.monotonic()

        def look() -> bool:
            if feed.delivered:
                say.well(f"frames come from {address}")
            elif time.monotonic() - begun_s > _PATIENCE_S:
                say.trouble(
                    f"no frame has come from {address} yet; is sightline running, and this its bus.frames?"
                )
            say.progress(f"{feed.delivered} frames delivered, {feed.lost} lost on the way")
            return stopping.is_set()

        try:
            feed.run(look)
        finally:
            feed.close()
        say.end(
            f"{feed.delivered} frames delivered, {feed.lost} lost on the way, {feed.unreadable} unreadable"
        )


def _absent(address: str, has_answered: bool, handshakes_failed: int, what: str) -> str:
    if handshakes_failed:
        return f"{address} does not let us in: look at --server-key, --key, and the box's bus.curve"
    if has_answered:
        return f"{address} is away; it is tried for ever, and what happens meanwhile waits there"
    return f"no answer from {address} yet; is sightline running, and this its {what}?"


class _Teller:
    """Says on stderr how it goes: each change once, and a running line where somebody looks."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._name = name
        self._quiet = quiet
        self._said = ""
        self._is_watched = not quiet and sys.stderr.isatty()
        self._shown_s = 0.0

    def well(self, line: str) -> None:
        """Say that all is well, if it was not, or not yet."""
        if self._said != line:
            self._said = line
            if not self._quiet:
                self._line(f"{self._name}: {line}")

    def trouble(self, line: str) -> None:
        """Say what is wrong, once."""
        if self._said != line:
            self._said = line
            self._line(f"warning: {self._name}: {line}")

    def progress(self, line: str) -> None:
        """Show how far it is."""
        if self._is_watched and time.monotonic() - self._shown_s >= _SAY_EVERY_S:
            self._shown_s = time.monotonic()
            typer.echo(f"\r\x1b[K{self._name}: {line}"[:160], err=True, nl=False)

    def end(self, line: str) -> None:
        """Say how it ended."""
        if not self._quiet:
            self._line(f"{self._name}: {line}")

    def _line(self, line: str) -> None:
        with suppress(OSError):  # nobody reads stderr any more
            typer.echo(f"\r\x1b[K{line}" if self._is_watched else line, err=True)


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """Have the first Ctrl-C, SIGTERM or SIGHUP set an event; the second one ends the process at once."""
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stopping.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before: dict[signal.Signals, Callable[..., Any] | int | None] = {
        number: signal.signal(number, stop) for number in numbers
    }
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

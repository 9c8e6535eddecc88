"""`sightline sink`: one sink as a process of its own, here or on another machine."""

from __future__ import annotations

import re
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

from pipeline.cli.options import OwnKey, ServerKey, credentials_of

if TYPE_CHECKING:
    from pipeline.plugin import Input

_SAY_EVERY_S = 1.0


def sink(
    name: Annotated[
        str, typer.Argument(help="The sink's name: jsonl, postgres, mqtt, video ...", show_default=False)
    ],
    connect: Annotated[
        str | None,
        typer.Option(
            "--connect",
            "-c",
            metavar="ADDRESS",
            help="Where the box has what the sink takes: its `bus.reliable` for events, else its "
            "`bus.frames` for pictures, else its `bus.packets`.",
            show_default=False,
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The box's `bus.frames`, for a sink that takes pictures beside other things.",
            show_default=False,
        ),
    ] = None,
    packets: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The box's `bus.packets`, for one that takes packets beside others (clips, live).",
            show_default=False,
        ),
    ] = None,
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
    server_key: ServerKey = None,
    key: OwnKey = None,
    consumer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="By which the box knows how far we are; two processes of one sink need different ones.",
            show_default="sink/NAME, or the sink's option `consumer`",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say errors and warnings only.")] = False,
) -> None:
    r"""Run one sink as its own process, on this machine or another, until Ctrl-C.

    A sink of events gets each one at least once, out of the box's journal: either side may be killed, cut off
    or started again at any time, and the box remembers how far the sink is (--consumer). Only what comes
    after its first start is kept for it, or all that the box still has with --set from_start=true. A sink of
    pictures or packets gets those that come while it runs. One that takes several needs an address for each.

    Example: sightline sink jsonl --connect tcp://box:5579 --set path=gate.jsonl --set kinds=\[line.crossing]

    Example: sightline sink clips --connect tcp://box:5579 --packets tcp://box:5580 --set kinds=\[zone.left]
    """
    from pipeline.blame import blaming
    from pipeline.cli.serving import Post, addresses_of, log_news, serve
    from pipeline.config.sink import load_sink
    from pipeline.errors import ConfigError, SinkError
    from pipeline.outputs import claimed
    from pipeline.plugin import SinkContext

    credentials = credentials_of(server_key, key)
    if consumer is not None and not re.fullmatch(r"[A-Za-z0-9_./-]{1,64}", consumer):
        raise ConfigError(f"--consumer {consumer!r} is no name: up to 64 letters, digits and _ . / -")
    if entry is not None and config is None:
        raise ConfigError("--entry is of no use without a configuration: add --config")
    chosen = load_sink(name, sets=setting or [], file=config, entry=entry)
    named: dict[Input, str | None] = {"frames": frames, "packets": packets}
    addresses = addresses_of(name, chosen.plugin, chosen.options, connect, named)
    folder = out or Path(f"sink-{name}")
    with claimed(folder):
        with blaming(SinkError, f"sink '{name}' cannot be made"):
            made = chosen.plugin(chosen.options, SinkContext(folder, log_news))
        try:
            with _until_signal() as stopping:
                serve(Post(name, made, addresses, consumer, credentials), stopping, _Voice(name, quiet=quiet))
        finally:
            with blaming(SinkError, f"closing sink '{name}' failed"):
                made.close()


class _Voice:
    """Says on stderr how it goes: each change once, and a running line where somebody looks."""

    def __init__(self, name: str, *, quiet: bool) -> None:
        self._name = name
        self._is_quiet = quiet
        self._is_watched = not quiet and sys.stderr.isatty()
        self._tellers: dict[Input, _Teller] = {}
        self._shown_s = 0.0

    def of(self, kind: Input) -> _Teller:
        """Return what says how it goes with one thing that it takes."""
        return self._tellers.setdefault(kind, _Teller(self.end, self._warn))

    def progress(self, line: str) -> None:
        """Show how far it is."""
        if self._is_watched and time.monotonic() - self._shown_s >= _SAY_EVERY_S:
            self._shown_s = time.monotonic()
            typer.echo(f"\r\x1b[K{self._name}: {line}"[:160], err=True, nl=False)

    def end(self, line: str) -> None:
        """Say it, if anything is to be said."""
        if not self._is_quiet:
            self._line(f"{self._name}: {line}")

    def _warn(self, line: str) -> None:
        self._line(f"warning: {self._name}: {line}")

    def _line(self, line: str) -> None:
        with suppress(OSError):  # nobody reads stderr any more
            typer.echo(f"\r\x1b[K{line}" if self._is_watched else line, err=True)


class _Teller:
    """Says each change once."""

    def __init__(self, say: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._say = say
        self._warn = warn
        self._said = ""

    def well(self, line: str) -> None:
        """Say that all is well, if it was not, or not yet."""
        self._once(line, self._say)

    def trouble(self, line: str) -> None:
        """Say what is wrong."""
        self._once(line, self._warn)

    def _once(self, line: str, say: Callable[[str], None]) -> None:
        if self._said != line:
            self._said = line
            say(line)


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

"""`sightline hub`: one place where several boxes publish and programs subscribe."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event as Flag
from types import FrameType
from typing import Annotated

import typer

BOXES_PORTS = {"events": 5587, "frames": 5588, "packets": 5590}
PROGRAMS_PORTS = {"events": 5577, "frames": 5578, "packets": 5580}


def hub(
    host: Annotated[
        str, typer.Option("--host", help="Bind the usual ports on this address; '*' is every one.")
    ] = "127.0.0.1",
    events: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="BOXES PROGRAMS", help="Other addresses for events.", show_default=False),
    ] = None,
    frames: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="BOXES PROGRAMS", help="Other addresses for frames.", show_default=False),
    ] = None,
    packets: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="BOXES PROGRAMS", help="Other addresses for packets.", show_default=False),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The hub's own secret key: encrypt.", metavar="FILE", show_default=False),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            "--boxes", help="Public keys of the boxes that may publish.", metavar="DIR", show_default=False
        ),
    ] = None,
    clients: Annotated[
        Path | None,
        typer.Option(
            "--clients",
            help="Public keys of the programs that may subscribe.",
            metavar="DIR",
            show_default=False,
        ),
    ] = None,
    every_s: Annotated[
        float, typer.Option("--every", help="Seconds between two lines about what goes on; 0: none.", min=0)
    ] = 60.0,
) -> None:
    """Publish for several boxes: they connect here, and programs subscribe here, as if it were one box.

    A box connects where its configuration says `bus: {events: {connect: tcp://HUB:5587}}`; frames go to 5588,
    packets to 5590. Programs subscribe at 5577 (events and states), 5578 (frames) and 5580 (packets). A box
    draws and sends only what some program wants. With --events, --frames or --packets only those are served.

    Example: sightline hub --host '*' --key keys/hub.key_secret --boxes boxes --clients clients
    """
    from pydantic import ValidationError

    from pipeline import hub as hubs
    from pipeline.curve import CurveOptions
    from pipeline.errors import ConfigError

    for folder, option in ((boxes, "--boxes"), (clients, "--clients")):
        if folder is not None and key is None:
            raise ConfigError(f"{option} is of no use without the hub's own key: add --key")
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"{folder} is no folder; make it and put the public keys (*.key) there")
    given = {"events": events, "frames": frames, "packets": packets}
    places = {name: hubs.Ends(*ends) for name, ends in given.items() if ends is not None}
    if not places:
        shown = f"[{host}]" if ":" in host else host
        places = {
            name: hubs.Ends(f"tcp://{shown}:{BOXES_PORTS[name]}", f"tcp://{shown}:{PROGRAMS_PORTS[name]}")
            for name in BOXES_PORTS
        }
    try:
        curves = [
            None if key is None else CurveOptions(key=key, clients=folder) for folder in (boxes, clients)
        ]
    except ValidationError as error:
        raise ConfigError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
    with _ended_by_signals() as over, hubs.Hub(places, boxes=curves[0], programs=curves[1]) as running:
        if key is None and not all(map(_is_local, sum(running.endpoints.values(), ()))):
            _say("warning: without --key whoever reaches the hub may publish and subscribe")
        for name, ends in running.endpoints.items():
            _say(f"{name}: boxes connect to {ends.boxes}, programs to {ends.programs}")
        before: dict[str, dict[str, int]] = {}
        while not over.wait(every_s or None):
            now = running.statistics()
            for name, counts in now.items():
                if counts != before.get(name):
                    _say(_line(name, counts))
            before = now


def _say(line: str) -> None:
    with suppress(OSError):  # nobody reads stderr any more; boxes and programs are served all the same
        typer.echo(line, err=True)


def _is_local(endpoint: str) -> bool:
    return endpoint.startswith(("ipc://", "tcp://127.", "tcp://localhost:", "tcp://[::1]:"))


def _line(name: str, counts: dict[str, int]) -> str:
    return (
        f"{name}: {counts['boxes']} boxes, {counts['programs']} programs, "
        f"{counts['subscriptions']} topics wanted, {counts['passed']} messages passed on "
        f"({counts['bytes'] / 1e6:.1f} MB), {counts['refused']} refused, {counts['strangers']} strangers"
    )


@contextmanager
def _ended_by_signals() -> Iterator[Flag]:
    over = Flag()

    def end(_number: int, _frame: FrameType | None) -> None:
        over.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield over
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

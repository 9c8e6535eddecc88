"""`sightline listen`: print what a bus publishes."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.options import OwnKey, ServerKey, credentials_of


def listen(
    endpoint: Annotated[
        list[str],
        typer.Argument(help="Addresses to connect to: tcp://HOST:PORT or ipc:///PATH.", show_default=False),
    ],
    topic: Annotated[
        list[str] | None,
        typer.Option(
            "--topic",
            "-t",
            help="What to listen to, as a prefix: 'event/gate', 'status/', 'frame/gate', 'packet/gate'. "
            "May be repeated.",
            show_default="event/",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after this many messages.")
    ] = None,
    server_key: ServerKey = None,
    key: OwnKey = None,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=0.0,
            metavar="SECONDS",
            help="Stop with exit code 1 when nothing arrives for this long.",
        ),
    ] = None,
) -> None:
    """Print the events and frames that a running sightline publishes.

    Ctrl-C ends it. It may be started before sightline and outlives its restarts. Messages that were lost on
    the way are reported on standard error.

    Example: sightline listen tcp://127.0.0.1:5577 --topic event/gate --json
    """
    from pipeline.listen import Listener
    from pipeline.wire_lines import format_message, json_line

    credentials = credentials_of(server_key, key)
    topics = topic or ["event/"]
    left = count
    shown = json_line if as_json else format_message
    with Listener(endpoint, topics, credentials) as listener:
        typer.echo(f"listening to {', '.join(topics)} on {', '.join(endpoint)}; Ctrl-C ends", err=True)
        try:
            while left is None or left > 0:
                received = listener.receive(timeout_s)
                if received is None:
                    keys = "does it let us in" if server_key else "has it no keys (else --server-key)"
                    where = f"has that socket {' or '.join(topics)}, and {keys}?"
                    said = f"nothing arrived for {timeout_s:g} s; is sightline running? {where}"
                    typer.echo(said, err=True)
                    raise typer.Exit(1)
                if received.lost:
                    typer.echo(f"{received.lost} messages lost on {received.message.topic}", err=True)
                typer.echo(shown(received.message))
                left = None if left is None else left - 1
        except KeyboardInterrupt:
            pass
        finally:
            counts = listener.statistics()
            if counts["lost"]:
                typer.echo(f"{counts['lost']} messages were lost on the way in all", err=True)
            if counts["refused"]:
                typer.echo(f"{counts['refused']} messages broke the protocol and were ignored", err=True)

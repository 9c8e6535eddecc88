"""`sightline consumers`: who takes the events of a run, what waits for them, and who is to be forgotten."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Json

_HEADS = ("consumer", "has all up to", "waiting", "lost to the bounds")


def consumers(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="The output folder of a run, or the file of its journal.", show_default=False
        ),
    ],
    forgotten: Annotated[
        list[str] | None,
        typer.Option(
            "--forget",
            metavar="NAME",
            help="No longer keep events for this one, as it does not come again; repeat for several.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show who takes events out of a run's journal, and how many wait for each; while it runs, too.

    A program or sink that was renamed or taken away is still known: its events wait until the journal's
    bounds remove them, with a warning each time. --forget ends that.

    Example: sightline consumers out --forget old-billing
    """
    from pipeline.errors import ConfigError
    from pipeline.journal_consumers import consumers_in, forget, looking_into

    with looking_into(run) as database:
        known = consumers_in(database)
        for name in forgotten or []:
            if name not in known:
                there = ", ".join(known) or "none"
                raise ConfigError(f"--forget {name}: {run} knows no consumer of this name; there are {there}")
        for name in forgotten or []:
            forget(database, name)
            waited = known.pop(name).waiting
            typer.echo(f"forgotten: {name}, for which {waited} events waited", err=as_json)
    if as_json:
        rows = [{"name": name, **asdict(consumer)} for name, consumer in known.items()]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not known:
        typer.echo("nobody takes events out of this journal")
        return
    table = [_HEADS] + [
        (name, f"{one.acknowledged}", f"{one.waiting}", f"{one.overrun}") for name, one in known.items()
    ]
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    for first, *numbers in table:
        cells = [f"{number:>{width}}" for number, width in zip(numbers, wide[1:], strict=True)]
        typer.echo("  ".join([f"{first:<{wide[0]}}", *cells]))

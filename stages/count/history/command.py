"""`sightline recount`: asks the past about lines and zones that nobody had drawn then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.json_file import json_target
from stages.count.geometry import AnchorName
from stages.count.history.bins import By


def recount(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="The folder of a run's results, or its folder `trajectories`.",
            show_default=False,
        ),
    ],
    line: Annotated[
        list[str] | None,
        typer.Option(
            "--line",
            "-l",
            metavar='"[NAME=]x,y x,y ..."',
            help="A line through these points, as fractions of the picture (0..1) or in px; may be repeated.",
        ),
    ] = None,
    zone: Annotated[
        list[str] | None,
        typer.Option(
            "--zone",
            "-z",
            metavar='"[NAME=]x,y x,y x,y ..."',
            help="A polygon, likewise: visits, dwell times.",
        ),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option(
            "--route", metavar='"[NAME=]GATE,GATE ..."', help="From which of these lines and zones to which."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            help="Ask what its stage `count` asks: lines, zones with their situations, routes, speeds.",
        ),
    ] = None,
    stream: Annotated[
        list[str] | None,
        typer.Option("--stream", "-s", metavar="NAME", help="Only this one; may be repeated."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From then on, e.g. 2026-03-01 or 2026-03-01T08:00."),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to then; a day ends where it begins.")
    ] = None,
    by: Annotated[By | None, typer.Option(help="Tell intervals apart.", show_default=False)] = None,
    time_zone: Annotated[
        str, typer.Option(metavar="NAME", help="Whose days and hours, e.g. Europe/Berlin.")
    ] = "UTC",
    anchor: Annotated[
        AnchorName,
        typer.Option(help="With --line and --zone: the point of the box that must cross, or be within."),
    ] = "bottom_center",
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="With --line and --zone: only these; may be repeated."),
    ] = None,
    band: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="X",
            help="With --line: hysteresis, a share of the diagonal, or px where the line is in px.",
            show_default="1 % of the diagonal",
        ),
    ] = None,
    hold_s: Annotated[
        float, typer.Option(min=0.0, metavar="X", help="With --line: seconds to stay beyond the band.")
    ] = 0.15,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write what happened in zones and on routes, event by event (JSON Lines)."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers for machines.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Count lines, zones, routes and speeds over the trajectories that a run has kept, without a picture.

    The run's stage `count` must have had `trajectories: {}`. A line that was counted live gives the numbers
    of that time again; how many trajectories a new one cannot be sure of is told below the table.

    Example: sightline recount out --line "gate=0.1,0.5 0.9,0.5" --from 2026-03-01 --by hour
    --time-zone Europe/Berlin
    """
    from pipeline.errors import ConfigError
    from stages.count.history import answers
    from stages.count.history.archive import Span, archives_in
    from stages.count.history.bins import Bins, moment_ns, zone_named
    from stages.count.history.happened import Summary, events_target, summed_up
    from stages.count.history.options import require
    from stages.count.history.questions import (
        asked,
        count_settings,
        lines_drawn,
        routes_drawn,
        zones_drawn,
    )
    from stages.count.history.recount import Recount
    from stages.count.history.recount import recount as count_again
    from stages.count.history.replay import replay

    place = zone_named(time_zone)
    bins = Bins(by, place)
    span = Span(moment_ns(begin, place) if begin else None, moment_ns(end, place) if end else None)
    if span.from_ns is not None and span.to_ns is not None and span.from_ns >= span.to_ns:
        raise ConfigError(f"--from {begin} must be before --to {end}")
    common: dict[str, Any] = {"anchor": anchor} | ({"labels": label} if label else {})
    settings = {"hold_s": hold_s, **common} | ({"band": band} if band is not None else {})
    drawn = {
        "lines": lines_drawn(line or (), settings),
        "zones": zones_drawn(zone or (), common),
        "routes": routes_drawn(route or ()),
    }
    if config is None and not drawn["lines"] and not drawn["zones"]:
        raise ConfigError('nothing is asked; draw a line: --line "0.1,0.5 0.9,0.5", or name a --config')
    require("duckdb", "pyarrow")
    document: dict[str, Any] = {
        "line": line or [],
        "zone": zone or [],
        "route": route or [],
        "config": None if config is None else str(config),
        "from": begin,
        "to": end,
        "by": by,
        "time_zone": time_zone,
    }
    found: dict[str, Recount] = {}
    happened: dict[str, Summary] = {}
    with json_target(json_file) as write, events_target(events) as note, _progress() as progress:
        for archive in archives_in(folder, stream or ()):
            written = {} if config is None else count_settings(config, archive.stream)
            both = {name: {**(written.get(name) or {}), **those} for name, those in drawn.items()}
            options = asked(str(config or "command line"), {**written, **both})
            if options.lines:
                found[archive.stream] = count_again(archive, options.lines, span, bins, progress)
            if options.zones or options.routes or options.ground is not None:
                past = replay(archive, options, span, progress)
                happened[archive.stream] = summed_up(map(note, past), bins)
        write(answers.as_document(found, happened, bins, document))
    typer.echo(answers.text(found, happened, bins, csv=csv), nl=False)


@contextmanager
def _progress() -> Iterator[Callable[[float], None] | None]:
    """Show on a terminal's stderr how far it is; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Progress(BarColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)

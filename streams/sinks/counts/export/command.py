"""`sightline export`: the command."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_DAY = ["%Y-%m-%d"]
_LONG_BYTES = 20_000_000
"""Tables of this size take about two seconds."""


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The output folder of a run.", show_default=False)
    ],
    bin_min: Annotated[
        float | None,
        typer.Option(
            "--bin", metavar="MINUTES", help="Length of the intervals.", show_default="the shortest there is"
        ),
    ] = None,
    day: Annotated[
        datetime | None, typer.Option(formats=_DAY, metavar="DATE", help="One local date, 2026-11-24.")
    ] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_DAY, metavar="DATE", help="First local date.")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_DAY, metavar="DATE", help="Last local date, included.")
    ] = None,
    stream: Annotated[str | None, typer.Option(metavar="NAME", help="Only this stream.")] = None,
    lines: Annotated[
        bool, typer.Option("--lines", help="Lines and directions, also where there are turning movements.")
    ] = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the sheet as CSV, with classes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")] = False,
) -> None:
    """Make a sheet of counts: a row for each interval, a column for each turning movement or line.

    It is made of the tables of the sink counts, also while a run goes on; shorter intervals are added up.
    Below it stand the busiest hour with its peak hour factor, and how much was not watched.

    Example: sightline export out --day 2026-11-24 --bin 15 --csv tuesday.csv
    """
    import json
    import shutil

    from pipeline.errors import ConfigError, SourceError
    from streams.sinks.counts.export import show
    from streams.sinks.counts.export.read import Wanted, read_entries, tables_in
    from streams.sinks.counts.export.sheet import sheets
    from streams.sinks.textfile import writing

    if day is not None and (first is not None or last is not None):
        raise ConfigError("--day is one date, --from and --to are several: give one or the other")
    wanted = Wanted(
        first=None if (begin := day or first) is None else begin.date(),
        last=None if (end := day or last) is None else end.date(),
        stream=stream,
    )
    if wanted.first and wanted.last and wanted.last < wanted.first:
        raise ConfigError(f"--to {wanted.last} lies before --from {wanted.first}")
    bin_s = None if bin_min is None else round(bin_min * 60)
    if bin_s is not None:
        _check(bin_s)
    tables = tables_in(run)
    if csv_file is not None and any(_same(csv_file, path) for path in tables):
        raise ConfigError(f"{csv_file} is a table that is read; write the sheet elsewhere")
    made = sheets(read_entries(_shown(tables), wanted), bin_s, movements=False if lines else None)
    if not made:
        raise SourceError(f"{run}: nothing was counted that fits; {_what_there_is(tables)}")
    if csv_file is not None:
        with writing(csv_file):
            csv_file.write_text(show.csv_text(made), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(show.document(made), ensure_ascii=False))
        return
    width = max(shutil.get_terminal_size().columns, 80)
    for sheet in made:
        typer.echo(show.text(sheet, width))


def _shown(tables: list[Path]) -> Iterator[Path]:
    """Yield the tables, on a terminal with a bar."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    is_worth_it = console.is_terminal and sum(path.stat().st_size for path in tables) > _LONG_BYTES
    yield from track(tables, "reading", console=console, transient=True) if is_worth_it else tables


def _check(bin_s: int) -> None:
    from pipeline.errors import ConfigError
    from streams.sinks.counts.calendar import checked_length

    try:
        checked_length(bin_s)
    except ValueError as error:
        raise ConfigError(f"--bin {bin_s / 60:g}: {error}") from error


def _what_there_is(tables: list[Path]) -> str:
    """Say which streams and dates the tables have."""
    from streams.sinks.counts.export.read import Wanted, read_entries

    streams: dict[str, tuple[str, str]] = {}
    for entry in read_entries(tables, Wanted()):
        day = entry.start.date().isoformat()
        first, last = streams.get(entry.stream, (day, day))
        streams[entry.stream] = min(first, day), max(last, day)
    if not streams:
        return "the tables are empty"
    return "there are " + ", ".join(f"'{name}' {first} to {last}" for name, (first, last) in streams.items())


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()

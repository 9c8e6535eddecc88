"""`sightline evaluate counts`: how right the counts of a run are."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from pipeline.json_file import json_target


def counts(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CONFIG",
            help="The folder of a run's results, or a configuration to run now.",
            show_default=False,
        ),
    ],
    truth: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The true crossings: CSV, JSON Lines, or a MOTChallenge SEQUENCE or its gt.txt.",
            show_default=False,
        ),
    ],
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which stream of the run.", show_default="the only one")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0.0, max=60.0, metavar="S", help="How far apart in time two crossings may be one."),
    ] = 1.0,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=CLASS", help="What the run's label is called in the truth; may be repeated."
        ),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="[NAME=]URL", help="With CONFIG: read this; may be repeated."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With CONFIG: a setting; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With CONFIG: keep the run's events and report here."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures, misses and digests.")
    ] = None,
) -> None:
    """Compare the crossings that a run counted with those that happened: error, precision, recall and GEH.

    A count may be right by luck, when a miss and an extra cancel out; so crossings are paired one by one.

    Example: sightline evaluate counts out --truth monday.csv

    Example: sightline evaluate counts traffic --source road=video.mp4 --truth video.csv --json counts.json

    A truth file is a table such as

        # duration_s: 30.16
        pts_s,line,direction,label
        5.60,gate,up,car

    with pts_s in seconds of the clip, or a column time (2024-05-01T08:00:00+02:00) instead. The lines and
    directions are those of the configuration; label may be left out.
    """
    from pipeline.errors import ConfigError
    from stages.count.evaluate import report
    from stages.count.evaluate.compare import compare, read_any_truth, renamed
    from stages.count.evaluate.run_folder import read_run
    from stages.count.evaluate.run_here import run_here

    folder = Path(run)
    is_run = folder.is_dir()
    if is_run and (source or settings or out):
        raise ConfigError(f"{run} is a run that was made: leave out --source, --set and --out")
    if json_file is not None and json_file.resolve() in (
        truth.resolve(),
        (folder / "events.jsonl").resolve(),
    ):
        raise ConfigError(f"{json_file} is read; results would overwrite it")
    names = _pairs(name or [])
    true = read_any_truth(truth, stream)
    with ExitStack() as stack:
        write_json = stack.enter_context(json_target(json_file))
        if not is_run:
            folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-")))
            code = run_here(run, folder, source or [], settings or [])
            if code:
                raise typer.Exit(code)
        found = renamed(read_run(folder, stream), names)
        comparison = compare(true, found, tolerance)
        asked = {"run": run, "source": source or [], "set": settings or [], "names": names}
        write_json(
            report.document(comparison.truth, found, comparison.scores, tolerance, asked, comparison.notes)
        )
        typer.echo(report.table(comparison.scores), nl=False)
        beside = report.notes(comparison.truth, found, comparison.scores, tolerance, comparison.seconds)
        for note in (*beside, *comparison.notes):
            typer.echo(f"- {note}")


def _pairs(texts: list[str]) -> dict[str, str]:
    from pipeline.errors import ConfigError

    pairs = {}
    for text in texts:
        label, equals, name = text.partition("=")
        if not (label and equals and name):
            raise ConfigError(f"--name {text}: wanted LABEL=CLASS")
        pairs[label] = name
    return pairs

"""`sightline events`: which kinds of events are there, and who makes them?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline.cli.options import Json, Sets


def events(
    setting: Sets,
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG]",
            help="A YAML file, or the name of a shipped one: only what its run can emit.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the kinds of events: what `kinds` of a sink may name, who emits them, and when.

    Example: sightline events my.yaml
    """
    from pipeline.cli.doubts import warn_of_doubts
    from pipeline.config.catalogue import INSTALLED
    from pipeline.config.kinds import Glossary, emitted_by
    from pipeline.config.load import load_config

    glossary = Glossary.of(INSTALLED)
    shown = list(glossary.known.values())
    if config is not None:
        checked = load_config(config, sets=setting)
        warn_of_doubts(checked)
        emitted = emitted_by(checked)
        if emitted is None:
            typer.echo("warning: a part of it does not say what it emits; these are all kinds", err=True)
        else:
            shown = [known for known in shown if known.kind in emitted]
    if as_json:
        rows = [{"kind": known.kind, "of": known.of, "when": known.when} for known in shown]
        typer.echo(json.dumps(rows, indent=2))
        return
    kinds, makers = [known.kind for known in shown], [", ".join(known.of) for known in shown]
    wide = [max(map(len, column), default=0) for column in (kinds, makers)]
    for known, maker in zip(shown, makers, strict=True):
        typer.echo(f"{known.kind:<{wide[0]}}  {maker:<{wide[1]}}  {known.when}")
    if glossary.silent:
        typer.echo(f"not known: what {', '.join(glossary.silent)} emit")

"""`sightline explain`: why objects near the lines of a run were or were not counted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def explain(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run's results.", show_default=False)
    ],
    line: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only at this line.", show_default=False)
    ] = None,
    track: Annotated[
        int | None, typer.Option(metavar="ID", help="Only this object.", show_default=False)
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only of this stream.", show_default=False)
    ] = None,
    missed: Annotated[bool, typer.Option("--missed", help="Only what was not counted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Say of each object that came near a line why it was or was not counted.

    The run must have been told to write it down: set `explain: true` in the stage `count`.

    Example: sightline run traffic.yaml --set stages.count.explain=true --out out
    and then: sightline explain out --line gate --missed
    """
    import json

    from stages.count.lines.read import read_stories

    for story in read_stories(run, line=line, track=track, stream=stream):
        if missed and story["counted"]:
            continue
        if as_json:
            typer.echo(json.dumps(story, ensure_ascii=False))
        else:
            typer.echo(
                f"{story['stream']}  {story['pts_s']:8.2f} s  {story['line']}  #{story['track_id']} "
                f"{story['label']}: {story['why']}"
            )

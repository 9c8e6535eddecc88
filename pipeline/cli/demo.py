"""`sightline demo`: the whole way of a frame on a synthetic street, with counted against true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from pipeline.cli.options import Out, Quiet, Sets


def demo(
    setting: Sets,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Count cars and people on a synthetic street whose truth is known; needs no camera, weights or network.

    Example: sightline demo --out demo

    Writes the annotated video, events, counts, a chart and a report with counted against true.
    """
    from pipeline.cli.session import finish, run_to_report
    from pipeline.cli.truth import compare
    from pipeline.config.load import load_config

    config = load_config("demo", sets=setting, out=out or Path("demo"))
    report = config.out / "report.json"
    summary, code = run_to_report(config, report, quiet=quiet)
    rows = []
    if code == 0:  # half a street cannot be compared with the whole truth
        rows = [row for stream in config.streams for row in compare(stream, config.out / "events.jsonl")]
    summary["demo"] = {"counted_against_true": [row.to_dict() for row in rows]}
    try:
        if rows:
            from pipeline.cli.chart import draw_chart

            draw_chart(rows, config.out / "chart.png")
    finally:
        finish(summary, report, lambda: _show(rows, summary, config.out), quiet=quiet)
    raise typer.Exit(code)


def _show(rows: list[Any], summary: dict[str, Any], folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="counted against true", title_justify="left", box=None, pad_edge=False)
    for heading in ("line", "direction", "counted", "true", "right", "missed", "extra"):
        table.add_column(heading, justify="left" if heading in ("line", "direction") else "right")
    for row in rows:
        table.add_row(
            row.line,
            row.direction,
            *(str(n) for n in (row.counted, row.true, row.right, row.missed, row.extra)),
        )
    if rows:
        console = Console(markup=False, emoji=False)
        with console.capture() as captured:  # rich would end the process where nobody reads it
            console.print(table)
        typer.echo(captured.get(), nl=False)
    for stream in summary["streams"].values():
        typer.echo(
            f"{stream['media_seconds']:.0f} s of video in {stream['seconds']:.1f} s "
            f"({stream['fps']:.0f} frames/s)"
        )
    typer.echo(f"results in {folder}:")
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path)):
        typer.echo(f"  {path}{_content(path) if path.is_dir() else ''}")
    typer.echo("next: sightline run traffic --source YOUR_VIDEO.mp4")


def _content(folder: Path) -> str:
    files = sum(path.is_file() for path in folder.rglob("*"))
    return f"/ ({files} files: what each count is based on; 'sightline audit {folder.parent}' shows them)"

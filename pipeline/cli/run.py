"""`sightline run`: process every stream of a configuration."""

from __future__ import annotations

import typer

from pipeline.cli.options import ConfigPath, Out, Quiet, Report, Sets, Sources


def run(
    config: ConfigPath,
    source: Sources,
    setting: Sets,
    out: Out = None,
    report: Report = None,
    quiet: Quiet = False,
) -> None:
    """Run every stream of CONFIG until its source ends, or until Ctrl-C.

    Example: sightline run traffic --source road=video.mp4 --out results

    The report says for each stream what was captured, finished, dropped and counted.
    """
    from pipeline.cli.display import counts_text
    from pipeline.cli.doubts import warn_of_doubts
    from pipeline.cli.session import finish, run_to_report
    from pipeline.config.load import load_config

    checked = load_config(config, sources=source, sets=setting, out=out)
    if not quiet:
        warn_of_doubts(checked)
    path = report or checked.out / "report.json"
    summary, code = run_to_report(checked, path, quiet=quiet)

    def say() -> None:
        for name, stream in summary["streams"].items():
            frames = stream["frames"]
            typer.echo(
                f"{name}: {stream['state']}, {frames['finished']} of {frames['captured']} frames, "
                f"{stream['media_seconds']:.1f} s of video in {stream['seconds']:.1f} s "
                f"({stream['fps']:.0f} frames/s)" + _indented(counts_text(stream["counts"]))
            )
        typer.echo(f"results in {checked.out}, report in {path}")

    finish(summary, path, say, quiet=quiet)
    raise typer.Exit(code)


def _indented(text: str) -> str:
    return f"\n  {text}" if text else ""

"""`sightline check`: is this configuration right?"""

from __future__ import annotations

import typer

from pipeline.cli.options import ConfigPath, Sets, Sources


def check(config: ConfigPath, source: Sources, setting: Sets) -> None:
    """Check CONFIG without running it; every problem is listed with its line, key and what is allowed.

    Sources, weights and network addresses are not opened: only a run does that.

    Example: sightline check my.yaml --set stages.motion.width=480
    """
    from pipeline.cli.doubts import warn_of_doubts
    from pipeline.config.load import load_config
    from pipeline.outputs import refuse_overwriting

    checked = load_config(config, sources=source, sets=setting)
    refuse_overwriting(checked, checked.out / "report.json")
    warn_of_doubts(checked)
    for stream in checked.streams:
        stages = " > ".join(stage.name for stage in stream.stages) or "no stages"
        typer.echo(f"{stream.name}: {stream.url} > {stages}")
    sinks = ", ".join(sink.name for sink in checked.sinks) or "none"
    typer.echo(f"sinks: {sinks}; results in {checked.out}")
    typer.echo("not looked at: what only a run opens (sources, weights, the network)")
    typer.echo(f"{checked.path}: ok")

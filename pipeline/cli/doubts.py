"""What in a configuration is right, but perhaps not meant."""

from __future__ import annotations

from contextlib import suppress

import typer

from pipeline.config.schema import Config


def warn_of_doubts(config: Config) -> None:
    """Say it on stderr, a line each."""
    for doubt in config.doubts:
        with suppress(OSError):  # nobody reads stderr any more
            typer.echo(f"warning: {doubt}", err=True)

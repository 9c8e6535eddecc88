"""The command `sightline`: the subcommands, and what every error looks like to a person."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from pipeline.cli.check import check
from pipeline.cli.demo import demo
from pipeline.cli.doctor import doctor
from pipeline.cli.listen import listen
from pipeline.cli.probe import probe
from pipeline.cli.run import run
from pipeline.errors import ConfigError, SightlineError

EPILOG = "Exit codes: 0 done, 1 failed while running, 2 wrong configuration or usage."

app = typer.Typer(
    name="sightline",
    help="Real-time video analytics: cameras in; counts, events and annotated pictures out.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, run, check, probe, listen, doctor):
    app.command(epilog=EPILOG)(command)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show internal log lines and tracebacks on stderr.")
    ] = False,
) -> None:
    """Real-time video analytics: cameras in; counts, events and annotated pictures out."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(version_of("sightline"))
        raise typer.Exit
    if debug:
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(levelname)s %(message)s")
        logging.getLogger("matplotlib").setLevel(logging.WARNING)


def main() -> None:
    """Run the command line; every error is one plain line on stderr and an exit code."""
    try:
        app()
    except SightlineError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)  # noqa: T201 - the command's own voice
        _show_trace(error)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:
        # The reader (`| head`) has gone: nothing left to say, and Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        print(  # noqa: T201
            f"error: unexpected {type(error).__name__}: {error} (a defect of sightline; "
            "`sightline --debug ...` shows the traceback to report)",
            file=sys.stderr,
        )
        _show_trace(error)
        sys.exit(1)


def _show_trace(error: Exception) -> None:
    logging.getLogger(__name__).debug("traceback", exc_info=error)

"""The command `sightline`: the subcommands, and what every error looks like to a person."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from pipeline.cli.check import check
from pipeline.cli.consumers import consumers
from pipeline.cli.demo import demo
from pipeline.cli.doctor import doctor
from pipeline.cli.events import events
from pipeline.cli.extensions import ExtensibleGroup
from pipeline.cli.hub import hub
from pipeline.cli.keys import keys
from pipeline.cli.listen import listen
from pipeline.cli.probe import probe
from pipeline.cli.run import run
from pipeline.cli.sink import sink
from pipeline.errors import SightlineError

EPILOG = "Exit codes: 0 done, 1 failed while running, 2 wrong configuration or usage."
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What writing may fail with: a full disk, a terminal that has gone. Files' errors have been put in words."""

app = typer.Typer(
    name="sightline",
    cls=ExtensibleGroup,
    help="Real-time video analytics: cameras in; counts, events and annotated pictures out.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, run, check, events, probe, listen, hub, sink, consumers, keys, doctor):
    app.command(epilog=EPILOG)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("sightline"))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show internal log lines and tracebacks on stderr.")
    ] = False,
) -> None:
    """Real-time video analytics: cameras in; counts, events and annotated pictures out."""
    if debug:
        log = logging.StreamHandler()
        log.setFormatter(_WithoutCredentials("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logging.basicConfig(level=logging.DEBUG, handlers=[log])
        logging.getLogger("matplotlib").setLevel(logging.WARNING)


def main() -> None:
    """Run the command line; every error is one plain line on stderr and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a file's name may be in any encoding
    if logging.lastResort:  # Python's own: warnings and worse, to whatever stderr is at that moment
        logging.lastResort.setFormatter(_WithoutCredentials("warning: %(message)s"))
    try:
        app()
    except Exception as error:
        _let_go_of_stdout()
        if isinstance(error, SightlineError):
            for line in str(error).splitlines():
                _complain(line)
        elif isinstance(error, OSError) and error.filename is None and error.errno in _REFUSALS:
            _complain(f"standard output: {error.strerror}")
        else:
            what = " ".join(f"unexpected {type(error).__name__}: {error}".split())
            _complain(f"{what} (a defect; `sightline --debug ...` shows the traceback to report)")
        _show_trace(error)
        sys.exit(error.exit_code if isinstance(error, SightlineError) else 1)


def _let_go_of_stdout() -> None:
    """Have Python not complain at exit of what stdout still refuses to take."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _WithoutCredentials(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from pipeline.secret import without_credentials

        return without_credentials(super().format(record))


def _complain(line: str) -> None:
    from pipeline.secret import without_credentials

    with suppress(OSError):  # a terminal that has gone
        print(f"error: {without_credentials(line)}", file=sys.stderr)  # noqa: T201 - the command's own voice


def _show_trace(error: Exception) -> None:
    logging.getLogger(__name__).debug("traceback", exc_info=error)

"""Where the command `sightline` begins: importing the rest takes a moment, and Ctrl-C may come in it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C at any moment ends it without a traceback."""
    try:
        from pipeline.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells have it

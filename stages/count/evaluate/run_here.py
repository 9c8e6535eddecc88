"""A run made on the spot, as `sightline run` makes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_MAIN = "from pipeline.cli.entry import main; main()"


def run_here(config: str, out: Path, sources: Sequence[str], sets: Sequence[str]) -> int:
    """Run a configuration in a process of its own, with its events as the only results; return its exit code.

    A process, as stages do not know the engine: what is judged is then exactly what `sightline run` does.
    Errors and progress go to this process's stderr.
    """
    words = ["run", config, "--out", str(out)]
    for source in sources:
        words += ["--source", source]
    for setting in (*sets, "sinks=[events]", "bus=null", "metrics=null"):
        words += ["--set", setting]
    return subprocess.run(  # noqa: S603 - this very command, with the user's own words
        [sys.executable, "-c", _MAIN, *words], stdout=subprocess.DEVNULL, check=False
    ).returncode

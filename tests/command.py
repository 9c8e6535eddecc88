"""Running the command line in this process, as a user's shell would see it."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass

import pytest

from pipeline.cli.app import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines on stderr that begin with `error:`, without that word."""
        return [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error:")]


class Sightline:
    """Call it with the words of a command line: `sightline("run", config, "--out", folder)`."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, *words: object) -> Outcome:
        """Run a command to its end."""
        self._capture.readouterr()
        self._patch.setattr(sys, "argv", ["sightline", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        said = self._capture.readouterr()
        code = caught.value.code
        assert "Traceback" not in said.err
        assert "Traceback" not in said.out
        return Outcome(code if isinstance(code, int) else 0 if code is None else 1, said.out, said.err)


def as_from_a_terminal() -> None:
    """Give a new process the signals it has there (`preexec_fn`): jobs in the background ignore some."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)

"""`sightline events`, and what `check` and `run` say of kinds that nothing emits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.config.catalogue import INSTALLED
from pipeline.config.kinds import Glossary
from tests.command import Sightline


def config(folder: Path, kind: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(
        "streams: {street: {source: 'synthetic://street?seed=1&duration_s=0.2'}}\n"
        "stages:\n  - motion\n  - track\n"
        "  - count: {lines: {road: {start: [0.7, 0.8], end: [0.7, 0.4]}}}\n"
        f"sinks:\n  - jsonl: {{kinds: [line.crossing, {kind}]}}\n"
    )
    return path


def test_each_kind_has_a_line(sightline: Sightline) -> None:
    lines = sightline("events").out.splitlines()
    assert [line.split()[0] for line in lines] == list(Glossary.of(INSTALLED).known)
    (crossing,) = [line for line in lines if line.startswith("line.crossing ")]
    assert crossing.split(maxsplit=3)[1:] == ["stage", "count", "an object was counted"]


def test_of_a_configuration_only_what_its_run_can_emit(sightline: Sightline) -> None:
    rows = json.loads(sightline("events", "demo", "--json").out)
    assert rows == [
        {"kind": "line.crossing", "of": ["stage count"], "when": "an object was counted"},
        {"kind": "stream.gap", "of": ["engine"], "when": "media is missing before this frame"},
    ]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_misspelt_kind_is_an_error_in_one_line(command: str, tmp_path: Path, sightline: Sightline) -> None:
    ran = sightline(command, config(tmp_path, "line.crosing"))
    assert ran.code == 2
    assert ran.errors == [
        f"{tmp_path}/x.yaml:7: sinks[0].jsonl.kinds[1]: nothing emits 'line.crosing'; "
        "did you mean 'line.crossing' (stage count)?"
    ]


@pytest.mark.parametrize("command", [("check",), ("run", "--out")])
def test_a_kind_of_elsewhere_is_a_warning_in_one_line(
    command: tuple[str, ...], tmp_path: Path, sightline: Sightline
) -> None:
    path = config(tmp_path, "zone.dwell")
    words = [*command, tmp_path / "out"] if len(command) > 1 else command
    ran = sightline(words[0], path, *words[1:])
    assert ran.code == 0
    warnings = [line for line in ran.err.splitlines() if line.startswith("warning:")]
    assert warnings == [
        f"warning: {path}:7: sinks[0].jsonl.kinds[1]: nothing in this run emits 'zone.dwell'; it comes from "
        "stage count: an object stays long in a zone; it goes on; it ended"
    ]


def test_a_quiet_run_does_not_say_it(tmp_path: Path, sightline: Sightline) -> None:
    ran = sightline("run", config(tmp_path, "zone.dwell"), "--out", tmp_path / "out", "--quiet")
    assert (ran.code, ran.err) == (0, "")

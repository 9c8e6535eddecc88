"""Whole runs: two cameras on one street, the second one 20 s later."""

import json
from pathlib import Path

import pytest

from pipeline.config import load_config
from tests.command import Sightline

CONFIG = """\
streams:
  north:
    source: {url: "synthetic://street?seed=5&duration_s=30&rate_hz=12.5", start_time: 2024-05-01T08:00:00Z}
  south:
    source: {url: "synthetic://street?seed=5&duration_s=30&rate_hz=12.5", start_time: 2024-05-01T08:00:20Z}
stages:
  - motion
  - track: {appearance: builtin}
  - count: {lines: {gate: {start: [0.5, 0], end: [0.5, 1]}}}
  - identify:
      gates: {there: {stream: north, line: gate}, here: {stream: south, line: gate}}
      links: {way: {start: there, end: here, travel_s: 20, spread: 1.1, share: 0.9}}
      min_score: 0.3
sinks: [events]
"""


def run(folder: Path, sightline: Sightline) -> tuple[list[str], dict]:
    (folder / "c.yaml").write_text(CONFIG)
    said = sightline("run", folder / "c.yaml", "--out", folder / "out", "--quiet")
    assert said.code == 0, said.err
    report = json.loads((folder / "out/report.json").read_text())
    return sorted((folder / "out/events.jsonl").read_text().splitlines()), report


@pytest.mark.slow
def test_matches_are_right_and_the_same_at_each_run(tmp_path: Path, sightline: Sightline) -> None:
    """What crosses in the south is what crossed 20 s before in the north, as it is the same film."""
    events, report = run(tmp_path, sightline)
    assert run(tmp_path, sightline)[0] == events
    told = [json.loads(line) for line in events]
    crossings = [each for each in told if each["kind"] == "line.crossing" and each["stream"] == "south"]
    matches = [each for each in told if each["kind"] == "identity.match"]
    assert len(crossings) >= 4
    assert len(matches) >= 0.7 * len(crossings)
    right = [each["data"]["from"]["track_id"] == each["track_id"] for each in matches]
    assert sum(right) >= 0.9 * len(right)
    statistics = report["streams"]["south"]["stages"]["identify"]
    assert statistics["links"]["way"]["matches"] == len(matches)
    assert statistics["links"]["way"]["remembered"] == 0
    assert "not_waited_for" not in statistics


def test_a_wrong_gate_is_said_at_check(tmp_path: Path, sightline: Sightline) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("start: there", "start: ther"))
    said = sightline("check", path)
    assert said.code == 2
    assert "no gate 'ther', did you mean 'there'?" in said.err


def test_the_example_in_the_documentation_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/identities.md").read_text(encoding="utf-8")
    path = tmp_path / "c.yaml"
    path.write_text(page.partition("```yaml\n")[2].partition("```")[0])
    north, south = load_config(path, env={}).streams
    assert [stage.name for stage in north.stages] == ["onnx", "track", "count", "identify"]
    assert north.stages[-1].options == south.stages[-1].options

"""Every event is of a kind that its emitter declares, and docs/protocol.md lists just these."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

import sightline
from pipeline.config import load_config
from pipeline.config.catalogue import INSTALLED
from pipeline.config.kinds import Glossary, emitted_by
from pipeline.config.schema import Config
from pipeline.engine import Engine
from pipeline.kinds import ENGINE
from tests.media import write_crossing_video

PAGE = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text("utf-8")
ALL = """\
streams: {{one: {{source: "{source}"}}}}
stages:
  - health: {{after_s: 0, dark: 254, suspend: []}}
  - flow: {{report_s: 1, zones: {{all: {{polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]}}}}}}
  - background: {{after_s: 1, learn_s: 1, ignore_labels: []}}
  - motion: {{width: 160}}
  - track: {{appearance: none}}
  - count:
      lines:
        upper: {{start: [0, 0.4], end: [1, 0.4], anchor: center}}
        lower: {{start: [0, 0.7], end: [1, 0.7], anchor: center}}
      routes: {{ways: {{gates: [upper, lower]}}}}
      ground:
        points:
          - {{at: [0, 0], metres: [0, 0]}}
          - {{at: [1, 0], metres: [100, 0]}}
          - {{at: [1, 1], metres: [100, 100]}}
          - {{at: [0, 1], metres: [0, 100]}}
        limit_kmh: 0.1
        max_error_kmh: 1000
        max_error_share: 1
      zones:
        all:
          polygon: [[0, 0], [1, 0], [1, 1], [0, 1]]
          anchor: center
          occupancy: {{steady_s: 0}}
          dwell: {{after_s: 0.2}}
          queue: {{length: 1, joined_s: 0.1, steady_s: 0}}
          loitering: {{after_s: 0.2}}
          wrong_way: {{way: [[0.5, 0.9], [0.5, 0.1]]}}
          stopped: {{after_s: 0.1}}
          tailgating: {{}}
          crowd: {{per_percent: 0.0001, steady_s: 0}}
          still: 2
  - identify:
      gates: {{upper: {{stream: one, line: upper}}, lower: {{stream: one, line: lower}}}}
      links: {{way: {{start: upper, end: lower, travel_s: 1}}}}
      min_score: 0.01
      look_s: 0
sinks:
  - events
  - record: {{free_gb: 0}}
  - clips: {{kinds: [line.crossing], free_gb: 0, fsync: false}}
"""


def told(config: Config) -> dict[str, set[str]]:
    """Run a configuration; return the kinds of its events by who made them, after they were looked at."""
    with Engine(config) as engine:
        engine.run()
    assert engine.exit_code() == 0, engine.report()
    made: dict[str, set[str]] = defaultdict(set)
    for line in (config.out / "events.jsonl").read_text("utf-8").splitlines():
        event = json.loads(line)
        made[event["producer"]["stage"]].add(event["kind"])
    emitted = emitted_by(config)
    assert emitted is not None
    by_name = {stage.name: stage for stream in config.streams for stage in stream.stages}
    of_sinks = {kind for sink in config.sinks for kind in sink.plugin.emits}
    for who, kinds in made.items():
        declared = ENGINE.keys() | of_sinks if who == "engine" else by_name[who].plugin.emits.keys()
        assert kinds <= declared, who
        assert kinds <= emitted, who
    return made


def test_of_a_run_with_everything_each_event_was_declared_by_its_emitter(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(ALL.format(source=write_crossing_video(tmp_path / "clip.mp4")), encoding="utf-8")
    made = told(load_config(path, env={}, out=tmp_path / "out"))
    assert made["engine"] == {"clip.saved"}
    assert made["flow"] == {"zone.motion"}
    assert made["health"] == {"camera.health"}
    assert made["count"] >= {"line.crossing", "zone.dwell", "zone.left", "route.completed", "object.speeding"}


@pytest.mark.parametrize(
    "name",
    ["demo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("camera", "traffic", "webcam"))],
)
def test_so_it_was_in_runs_of_shipped_configurations(name: str, tmp_path: Path) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4")
    middle = "stages.count.lines.gate={start: [0, 0.5], end: [1, 0.5], anchor: center}"
    config = load_config(name, env={}, sources=[str(clip)], sets=[middle], out=tmp_path / "out")
    assert told(config)["count"] == {"line.crossing"}


def test_a_program_that_asks_for_another_kind_is_told_by_the_box(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bus = "bus={reliable: 'tcp://127.0.0.1:*'}"
    with Engine(load_config("demo", env={}, sets=[bus], out=tmp_path)) as engine:
        assert engine._outbox
        assert engine._outbox.server
        endpoint = engine._outbox.server.endpoint
        with sightline.subscribe(endpoint, ["line.", "zone."], name="shop") as listener:
            while not listener.box:
                assert listener.receive(0.02) is None
            (doubt,) = listener.doubts
    assert doubt == "nothing in the box's run emits events whose kind begins with 'zone.'"
    assert f"{endpoint}: {doubt}" in caplog.messages


def test_each_plugin_declares_what_it_emits_and_the_protocols_table_has_it() -> None:
    glossary = Glossary.of(INSTALLED)
    assert glossary.silent == ()
    (table,) = re.findall(r"^### Kinds of events\n\n(.*?)\n\n", PAGE, re.MULTILINE | re.DOTALL)
    listed = {
        kind: makers.split(", ")
        for kinds, makers, *_ in (line.strip("| ").split(" | ") for line in table.splitlines()[2:])
        for kind in re.findall(r"`([^`]+)`", kinds)
    }
    assert listed == {known.kind: known.of for known in glossary.known.values()}

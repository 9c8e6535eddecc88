"""A camera's counts survive a restart of sightline: one row for each interval, totals that go on."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.frame import Frame
from tests.pipeline.messages import wait_until
from tests.servers.rtsp import RtspServer, pattern
from tests.test_live import COUNT, PATIENCE_S, configured, running


@pytest.mark.slow
def test_two_runs_into_one_folder_are_one_count(tmp_path: Path) -> None:
    with RtspServer({"/cam": pattern(320, 240, 25, key_every=5)}) as server:
        text = (
            f"streams: {{gate: {{source: '{server.url('/cam')}'}}}}\nstages: [motion, track, {COUNT}]\n"
            "sinks: [{counts: {bin_s: [3600, 86400], time_zone: Asia/Kathmandu}}]\n"
        )
        for _ in range(2):
            frames: list[Frame] = []
            with running(configured(tmp_path, text, frames.append)):
                wait_until(lambda found=frames: len(found) >= 40, PATIENCE_S)  # type: ignore[misc]
    rows: list[dict[str, str]] = []
    for table in (tmp_path / "out/counts/gate").glob("*.csv"):
        with table.open(newline="") as file:
            rows += csv.DictReader(file)
    times = Counter((row["bin_s"], row["start_utc"], row["direction"], row["class"]) for row in rows)
    assert set(times.values()) == {1}, "one row for each interval, direction and class"
    days_s = {row["start_utc"]: float(row["observed_s"]) for row in rows if row["bin_s"] == "86400"}
    assert sum(days_s.values()) > 2.5, "what both runs saw is added up"  # two days if it was midnight there
    kept = json.loads((tmp_path / "out/kept/gate.lines.json").read_text())
    assert list(kept["entries"]) == ["middle"]

"""A whole run on a disk that others fill: it is told, the run goes on, and later recording does, too."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.command import as_from_a_terminal
from tests.disks import Disks, fill
from tests.packets import hashes_in
from tests.servers.footprint import until
from tests.servers.rtsp import RtspServer, looped, require_rtsp_server
from tests.shared_data import shared
from tests.streams.sinks.record.feeding import segments


@pytest.fixture
def disk(small_disk: Disks) -> Path:
    """A disk of three megabytes."""
    return small_disk("3m")


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*/*.mp4"))


def told(out: Path) -> list[dict[str, Any]]:
    """Return the particulars of the stream's alarms so far; the index may have one of its own, of `_box`."""
    lines = (out / "events.jsonl").read_text().split("\n")[:-1]  # the last may be half written
    events = [json.loads(line) for line in lines]
    return [
        event["data"] for event in events if (event["stream"], event["kind"]) == ("gate", "recording.alarm")
    ]


def alarms(out: Path) -> list[str]:
    return [data["state"] for data in told(out)]


@pytest.mark.slow
def test_a_run_on_a_disk_that_others_fill(tmp_path: Path, disk: Path) -> None:
    require_rtsp_server()
    out = tmp_path / "out"
    config = tmp_path / "camera.yaml"
    filler = disk / "filler"
    with RtspServer({"/gate": looped(shared("video/traffic_a.mp4"), tmp_path)}) as server:
        config.write_text(
            f"streams:\n  gate:\n    source: {server.url('/gate')}\n    stages: []\n"
            f"sinks:\n  - events\n  - record: {{folder: {disk}, segment_s: 2, free_gb: 0.001}}\n"
        )
        words = ["-c", "from pipeline.cli.entry import main; main()", "run", config, "--out", out, "-q"]
        with subprocess.Popen([sys.executable, *words], preexec_fn=as_from_a_terminal) as process:
            try:
                until(lambda: files(disk), 30, "a recording")
                first = files(disk)[0]
                until(lambda: not first.exists(), 60, lambda: files(disk))  # at 1.3 Mbit/s, after some 12 s
                assert files(disk)
                assert alarms(out) == []
                fill(filler)
                until(lambda: alarms(out) == ["begin"], 20, lambda: alarms(out))
                filler.unlink()
                until(lambda: alarms(out) == ["begin", "end"], 40, lambda: alarms(out))
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(30)
    frames = json.loads((out / "report.json").read_text())["streams"]["gate"]["frames"]
    assert frames["dropped"] == {}
    assert frames["finished"] > 150
    begin, end = told(out)
    assert begin["reason"] == "disk full"
    assert end["lost_s"] > 0
    found = segments(disk)
    assert found
    assert all(later.start_ns > earlier.start_ns for earlier, later in pairwise(found))
    for segment in found:
        # A demuxer also gives the picture that is torn.
        assert segment.packets <= len(hashes_in(disk / segment.path)) <= segment.packets + 1
        assert segment.packets > 0

"""Whole runs whose output folder lies on a disk that fills: a camera goes on, a recording ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import pytest

from tests.command import as_from_a_terminal
from tests.disks import Disks, fill
from tests.servers.footprint import until
from tests.servers.rtsp import RtspServer, looped, require_rtsp_server
from tests.shared_data import shared

STAGES = """
stages:
  - motion: {width: 320, min_area: 0.003}
  - track: {appearance: none, n_init: 3}
  - count:
      lines: {gate: {start: [0, 0.5], end: [1, 0.5], anchor: center}}
      explain: true
      maps: {}
  - draw
"""
COMMAND = [sys.executable, "-c", "from pipeline.cli.entry import main; main()", "run"]


@contextmanager
def running(config: Path, out: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run, ended as by Ctrl-C."""
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [*COMMAND, config, "--out", out, "-q"], stderr=file, preexec_fn=as_from_a_terminal
        ) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


def events(path: Path) -> list[dict[str, Any]]:
    """The events in a file; the last line may be half written while the run goes on."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def told(path: Path, sink: str) -> list[dict[str, Any]]:
    every = (event["data"] for event in events(path) if event["kind"] == "sink.state")
    return [data for data in every if data["sink"] == sink]


def pictures(path: Path) -> list[float]:
    with av.open(path) as container:
        return [picture.time or 0.0 for picture in container.decode(video=0)]


@pytest.mark.slow
def test_a_camera_goes_on(small_disk: Disks, tmp_path: Path) -> None:
    require_rtsp_server()
    out = small_disk("12m") / "out"
    filler, told_to = out.parent / "filler", out / "events.jsonl"
    config, log = tmp_path / "camera.yaml", tmp_path / "log"

    def said() -> str:
        return log.read_text()

    with RtspServer({"/gate": looped(shared("video/traffic_a.mp4"), tmp_path)}) as server:
        config.write_text(
            f"streams:\n  gate: {{source: '{server.url('/gate')}'}}\n{STAGES}"
            "sinks: [events, {counts: {bin_s: 1}}, {video: {keyframe_s: 1}}, jsonl]\n"
        )
        with running(config, out, log) as process:
            until(lambda: (out / "gate.mp4").exists() and len(pictures_of(out)) > 20, 40, "a video")
            fill(filler)
            for sink in ("events", "video", "counts"):
                words = f"sink '{sink}' fails, and is tried again"
                until(lambda words=words: words in said() or process.poll(), 40, said)
            assert process.poll() is None
            filler.unlink()
            for sink in ("events", "video", "counts"):
                until(
                    lambda sink=sink: told(told_to, sink) and told(told_to, sink)[-1]["state"] == "working",
                    40,
                    lambda sink=sink: (sink, told(told_to, sink), process.poll()),
                )
            until(lambda: (out / "gate.2.mp4").exists() and len(pictures_of(out, 2)) > 20, 40, "more video")
    assert process.returncode == 0, said()
    for sink in ("events", "video", "counts"):
        assert said().count(f"sink '{sink}' fails, and is tried again") == 1
        assert said().count(f"sink '{sink}' writes again; lost: ") == 1
        assert [data["state"] for data in told(told_to, sink)] == ["failed", "working"]
    report = json.loads((out / "report.json").read_text())["streams"]["gate"]
    assert (report["state"], report["error"]) == ("stopped", None)
    assert set(report["frames"]["dropped"]) <= {"capture"}  # a slow box may drop what is old there
    files = report["files"]
    assert [files[sink]["error"] for sink in files] == [None] * 3
    assert files["events"]["lost"] == {"events": 0}
    assert files["counts"]["lost"] == {"rows": 0}
    first, second = pictures(out / "gate.mp4"), pictures(out / "gate.2.mp4")
    assert first[-1] < second[0]
    assert files["video"]["lost"] == {"pictures": report["frames"]["finished"] - len(first) - len(second)}
    assert told_to.read_bytes().endswith(b"\n")
    found = [event["id"] for event in events(told_to)]
    assert len(found) == report["events"]
    rotated = [event["id"] for path in sorted((out / "log").iterdir()) for event in events(path)]
    assert found == rotated
    counted = sum(event["kind"] == "line.crossing" for event in events(told_to))
    rows = [row for path in (out / "counts/gate").glob("*.csv") for row in path.read_text().splitlines()[1:]]
    assert sum(int(row.split(",")[8]) for row in rows) == counted > 0


def pictures_of(out: Path, number: int = 1) -> list[float]:
    """Pictures of a video that is still written; none while its first fragment is."""
    try:
        return pictures(out / ("gate.mp4" if number == 1 else f"gate.{number}.mp4"))
    except av.FFmpegError:
        return []


@pytest.mark.slow
def test_a_recording_ends_with_one_line_and_what_is_there_is_whole(small_disk: Disks, tmp_path: Path) -> None:
    out = small_disk("2m") / "out"
    config = tmp_path / "road.yaml"
    video = shared("video/traffic_a.mp4")
    config.write_text(f"streams:\n  road: {{source: '{video}'}}\n{STAGES}sinks: [events, video]\n")
    done = subprocess.run([*COMMAND, config, "--out", out, "-q"], capture_output=True, text=True)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors[0].startswith("error: stream 'road': cannot write ")
    assert "No space left on device; free space there or choose another" in errors[0]
    assert "Traceback" not in done.stderr
    assert len(pictures(out / "road.mp4")) > 20
    assert (out / "events.jsonl").read_bytes().endswith(b"\n")

"""Clips through all of sightline: a file, a camera that is gone within its post-roll, a killed daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import load_config
from pipeline.engine import Engine
from tests.command import Sightline, as_from_a_terminal
from tests.media import write_crossing_video
from tests.packets import hashes_in
from tests.pipeline.messages import wait_until
from tests.servers.footprint import until
from tests.servers.rtsp import RtspServer, pattern
from tests.shared_data import shared
from tests.streams.sinks.clips.driving import times_in

ROOT = Path(__file__).parents[4]
PATIENCE_S = 30.0
COUNTING = """
stages:
  - motion: {width: 320, min_area: 0.003}
  - track: {appearance: none}
  - count: {lines: {gate: {start: [0, 0.5], end: [1, 0.5]}}}
"""


def config_of(folder: Path, source: str | Path, clips: str, rest: str = COUNTING) -> Path:
    path = folder / "run.yaml"
    path.write_text(
        f"streams: {{gate: {{source: '{source}'}}}}\n{rest}\nsinks:\n  - events\n  - clips: {clips}\n"
    )
    return path


def events_in(out: Path) -> list[dict[str, Any]]:
    path = out / "events.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def saved_in(out: Path) -> list[dict[str, Any]]:
    return [event for event in events_in(out) if event["kind"] == "clip.saved"]


def test_a_file(tmp_path: Path) -> None:
    check_runs_of_a_file(tmp_path, 1)


@pytest.mark.slow
def test_a_file_has_the_same_clips_at_each_run(tmp_path: Path) -> None:
    check_runs_of_a_file(tmp_path, 4)


def check_runs_of_a_file(tmp_path: Path, runs: int) -> None:
    source = write_crossing_video(tmp_path / "clip.mp4")
    clips = "{kinds: [line.crossing], pre_s: 1, post_s: 1, free_gb: 0}"
    made = []
    for number in range(runs):
        out = tmp_path / f"out{number}"
        with Engine(load_config(config_of(tmp_path, source, clips), out=out)) as engine:
            engine.run()
        crossings = {event["id"]: event for event in events_in(out) if event["kind"] == "line.crossing"}
        (saved,) = saved_in(out)
        data = saved["data"]
        assert set(data["events"]) == set(crossings)
        at_s = crossings[data["events"][0]]["pts_s"]
        assert data["from_s"] <= at_s - 1 < at_s + 1 <= data["to_s"] + 0.11
        path = out / saved["evidence"]["clip"]["path"]
        assert len(times_in(path)) == data["pictures"]
        made.append((path.name, hashes_in(path)))
    assert all(one == made[0] for one in made)
    assert set(made[0][1]) <= set(hashes_in(source))


@pytest.mark.slow
def test_real_traffic(tmp_path: Path) -> None:
    source = shared("video/car-detection.mp4")
    clips = "{kinds: [line.crossing], pre_s: 2, post_s: 2, free_gb: 0}"
    with Engine(load_config(config_of(tmp_path, source, clips), out=tmp_path / "out")) as engine:
        engine.run()
    crossings = [event["id"] for event in events_in(tmp_path / "out") if event["kind"] == "line.crossing"]
    saved = saved_in(tmp_path / "out")
    assert sorted(crossings) == sorted(one for event in saved for one in event["data"]["events"])
    for event in saved:
        path = tmp_path / "out" / event["data"]["path"]
        assert len(times_in(path)) == event["data"]["pictures"]
        assert event["data"]["missing_s"] == 0


@pytest.mark.slow
def test_what_a_stolen_camera_saw_last(tmp_path: Path) -> None:
    clips = "{kinds: [source.state], where: {state: [stalled, lost]}, pre_s: 2, post_s: 20, free_gb: 0}"
    out = tmp_path / "out"
    with RtspServer({"/cam": pattern(320, 240, 25, key_every=10)}) as server:
        config = load_config(config_of(tmp_path, server.url("/cam"), clips, ""), out=out)
        with Engine(config) as engine:
            thread = threading.Thread(target=engine.run)
            thread.start()
            stream = engine.streams[0]
            wait_until(lambda: (stream.media_span_s or (0, 0))[1] > 5, PATIENCE_S)
            server.kill()
            wait_until(lambda: bool(saved_in(out)), PATIENCE_S)
            engine.stop()
            thread.join(PATIENCE_S)
    saved = saved_in(out)[0]["data"]
    assert saved["to_s"] - saved["from_s"] >= 1.9  # the post-roll has nothing, and is not waited for
    assert len(times_in(out / saved["path"])) == saved["pictures"]


@pytest.mark.slow
def test_a_daemon_that_is_killed_leaves_its_clip(tmp_path: Path) -> None:
    clips = "{kinds: [source.state], where: {state: [playing]}, pre_s: 0, post_s: 600, free_gb: 0}"
    out = tmp_path / "out"
    with RtspServer({"/cam": pattern(320, 240, 25, key_every=10)}) as server:
        path = config_of(tmp_path, server.url("/cam"), clips, "")
        words = ["-c", "from pipeline.cli.entry import main; main()", "run", path, "--out", out, "-q"]
        with subprocess.Popen([sys.executable, *words], preexec_fn=as_from_a_terminal, cwd=ROOT) as process:
            try:
                until(lambda: size_of(out, "*.part") > 200_000, 40, lambda: size_of(out, "*.part"))
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait(20)
        had = size_of(out, "*.part")
        with subprocess.Popen([sys.executable, *words], preexec_fn=as_from_a_terminal, cwd=ROOT) as process:
            try:
                until(lambda: bool(saved_in(out)), 40, lambda: events_in(out))
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)
    first = saved_in(out)[0]
    assert first["data"]["interrupted"]
    clip = out / first["data"]["path"]
    assert clip.stat().st_size == had
    assert len(times_in(clip)) > 25


def size_of(out: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in out.glob(f"clips/*/*/{pattern}"))


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ("clips", "kinds: missing; it must be given"),
        (
            "clips: {kinds: ['*'], film: {gate: yrad}}",
            "film: there is no stream 'yrad'; did you mean 'yard'?",
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_place(
    sightline: Sightline, tmp_path: Path, sink: str, said: str
) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(f"streams: {{gate: {{source: a.mp4}}, yard: {{source: b.mp4}}}}\nsinks:\n  - {sink}\n")
    done = sightline("check", path)
    assert done.code == 2
    assert f"3: sinks[0].clips.{said}" in done.err

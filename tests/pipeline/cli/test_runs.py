"""What a run does when the world around it does not play along: signals, closed pipes, odd names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.cli.display import Display
from pipeline.config.load import load_config
from pipeline.engine import Engine
from tests.command import Sightline
from tests.media import write_crossing_video

STREET = "synthetic://street?width=160&height=120&duration_s="
PATIENCE_S = 60.0


def start(*words: object, **pipes: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from pipeline.cli.app import main; main()", *map(str, words)]
    return subprocess.Popen(command, text=True, **pipes)


def status(report: Path) -> str | None:
    return json.loads(report.read_text())["status"] if report.exists() else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_source_and_leaves_a_whole_report(number: int, tmp_path: Path) -> None:
    source = f"street={STREET}3600"
    run = start(
        "run", "traffic", "--set", "stages=[]", "--source", source, "--out", tmp_path, stderr=subprocess.PIPE
    )
    try:
        while not (tmp_path / "events.jsonl").exists():
            assert run.poll() is None
            time.sleep(0.02)
        assert status(tmp_path / "report.json") == "running"
        run.send_signal(number)
        said = run.communicate(timeout=PATIENCE_S)[1]
    finally:
        run.kill()
    assert run.returncode == 1
    assert said.startswith("stopping")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["status"] == "stopped"
    frames = report["streams"]["street"]["frames"]
    assert frames["captured"] == frames["finished"]


def test_a_run_whose_progress_nobody_reads_goes_on(tmp_path: Path) -> None:
    """As in `sightline run ... 2>&1 | head`: the counts matter more than the reader."""
    reader, writer = os.pipe()
    os.close(reader)
    env = os.environ | {"FORCE_COLOR": "1", "TERM": "xterm"}  # the live table, which writes at once
    run = start(
        *("run", "traffic", "--set", "sinks=[]", "--source", f"street={STREET}1", "--out", tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env=env,
    )
    os.close(writer)
    assert run.wait(PATIENCE_S) == 0
    assert status(tmp_path / "report.json") == "done"


@pytest.mark.parametrize("report", ["", "/", "FOLDER", "FOLDER/file/report.json"])
def test_a_report_that_cannot_be_written_is_refused_before_the_work(
    report: str, tmp_path: Path, sightline: Sightline
) -> None:
    (tmp_path / "file").touch()
    path = report.replace("FOLDER", str(tmp_path))
    ran = sightline("run", "traffic", "--source", f"a={STREET}2", "--out", tmp_path / "out", "--report", path)
    assert ran.code == 1
    assert len(ran.errors) == 1
    assert "cannot write the report" in ran.errors[0]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_name_that_is_no_utf8(tmp_path: Path, sightline: Sightline) -> None:
    clip = tmp_path / b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    write_crossing_video(tmp_path / "clip.mp4", frames=10).rename(clip)
    ran = sightline("run", "traffic", "--source", f"road={clip}", "--out", tmp_path / "out")
    assert (ran.code, ran.errors) == (0, [])
    assert status(tmp_path / "out/report.json") == "done"
    assert "caf\\udce9.mp4" in sightline("probe", clip).out


CONFIG = f"""
streams: {{gate: {{source: "{STREET}1"}}}}
stages: [motion, track, {{count: {{lines: {{NAME: {{start: [0.5, 0], end: [0.5, 1]}}}}}}}}]
"""


@pytest.mark.parametrize(
    ("name", "terminal", "width"),
    [("[/bold]", True, 200), ("[red]", True, 200), (":car:", False, 80), ("Straße", True, 20)],
)
def test_the_display_shows_any_name_on_any_terminal(
    name: str, terminal: bool, width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG.replace("NAME", f'"{name}"'), encoding="utf-8")
    console = Console(stderr=True, force_terminal=terminal, width=width, color_system=None)
    hours = iter(range(0, 10**9, 3600))
    with (
        Engine(load_config(config, out=tmp_path)) as engine,
        Display(engine, console=console, clock=lambda: next(hours)) as display,
    ):
        engine.run(display.refresh)
    said = capsys.readouterr().err
    if width > 20:  # where there is no room, being cut short is enough
        assert f"{name}: to_right 0, to_left 0" in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("syntetic://street", "no source reads 'syntetic://'; did you mean 'synthetic'? known: "),
        ("foo://admin:secret@camera/1", "no source reads 'foo://'; known: "),
        ("", "empty"),
    ],
)
def test_probe_knows_what_it_can_read(url: str, says: str, sightline: Sightline) -> None:
    probed = sightline("probe", url)
    assert probed.code == 2
    assert len(probed.errors) == 1
    assert says in probed.errors[0]
    assert "secret" not in probed.err


def test_a_path_that_cannot_be_one(sightline: Sightline) -> None:
    probed = sightline("probe", "x" * 300)
    assert probed.code == 1
    assert len(probed.errors) == 1
    assert "File name too long" in probed.errors[0]


def test_the_debug_log_has_the_trace_and_no_password(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pipeline.cli import app, probe\n"
        "def reach(url): raise ValueError(f'cannot reach {url}')\n"
        "probe._reader_of = reach\n"
        "sys.argv = ['sightline', '--debug', 'probe', 'rtsp://admin:secret@camera/1']\n"
        "app.main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert "rtsp://***@camera/1" in ran.stderr
    assert "secret" not in ran.stderr


def test_a_demo_that_ends_early_is_not_compared_with_the_whole_truth(
    tmp_path: Path, sightline: Sightline
) -> None:
    (tmp_path / "street.mp4").mkdir()  # where the video is to be written
    ran = sightline("demo", "--out", tmp_path, "--set", f"streams.street.source={STREET}6")
    assert ran.code == 1
    assert len(ran.errors) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["status"] == "failed"
    assert report["demo"] == {"counted_against_true": []}


def test_doctor_survives_what_it_is_asked_about(
    sightline: Sightline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setenv("PATH", "")
    ran = sightline("doctor", "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["inference"]["yolo"].startswith(("broken: ModuleNotFoundError", "not installed"))
    assert found["inference"]["onnx"].startswith("broken: ModuleNotFoundError")
    assert "none found" in found["box"]["gpu"]

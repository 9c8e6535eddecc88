"""What a run does when the world around it does not play along: signals, closed pipes, odd names."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from pipeline.cli.display import Display, error_line
from pipeline.cli.session import finish, run_to_report
from pipeline.config.load import load_config
from pipeline.engine import Engine
from pipeline.errors import SinkError
from pipeline.stream import State
from tests.command import Sightline, as_from_a_terminal
from tests.media import write_crossing_video

STREET = "synthetic://street?width=160&height=120&duration_s="
PATIENCE_S = 200.0


def start(*words: object, **pipes: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from pipeline.cli.entry import main; main()", *map(str, words)]
    return subprocess.Popen(command, text=True, **({"preexec_fn": as_from_a_terminal} | pipes))


def status(report: Path) -> str | None:
    return json.loads(report.read_text())["status"] if report.exists() else None


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP))],
)
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
        if number is signal.SIGHUP:
            run.send_signal(number)  # a shell and the system each send one when a terminal closes
        said = run.communicate(timeout=PATIENCE_S)[1]
    finally:
        run.kill()
    assert run.returncode == 1
    assert said.startswith("stopping")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["status"] == "stopped"
    frames = report["streams"]["street"]["frames"]
    assert frames["captured"] == frames["finished"]


@pytest.mark.slow
def test_a_run_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    source = f"street={STREET}3600"
    run = start(
        *("run", "traffic", "--set", "stages=[]", "--source", source, "--out", tmp_path),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    try:
        while not (tmp_path / "events.jsonl").exists():
            assert run.poll() is None
            time.sleep(0.02)
        run.send_signal(signal.SIGHUP)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
    assert run.returncode == 1  # of SIGTERM; SIGHUP, had it been taken, would have left SIGTERM to kill it
    assert status(tmp_path / "report.json") == "stopped"


def test_ctrl_c_during_the_imports_leaves_no_trace() -> None:
    program = (
        "import os, signal, sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "from pipeline.cli.entry import main\n"
        "main()\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")


def test_the_help_waits_for_no_heavy_import() -> None:
    program = "import sys, pipeline.cli.app; print(*{'cv2', 'zmq', 'numpy', 'pydantic'} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S)
    assert ran.stdout.split() == []
    assert ran.returncode == 0


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("words", [["check", "traffic"], ["--help"]])
def test_a_full_disk_behind_stdout_is_one_plain_line(words: list[str], buffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        ran = start(
            *words, stdout=full, stderr=subprocess.PIPE, env=os.environ | {"PYTHONUNBUFFERED": buffered}
        )
        said = ran.communicate(timeout=PATIENCE_S)[1]
    assert (ran.returncode, said) == (1, "error: standard output: No space left on device\n")


@pytest.mark.slow
def test_a_run_whose_summary_nobody_reads_is_done_all_the_same(tmp_path: Path) -> None:
    """As in `sightline run ... | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    words = ("run", "traffic", "--set", "stages=[]", "--set", "sinks=[]", "--source", f"street={STREET}1")
    run = start(*words, "--out", tmp_path, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    said = run.communicate(timeout=PATIENCE_S)[1]
    assert (run.returncode, said) == (0, "")
    assert status(tmp_path / "report.json") == "done"


def test_where_the_disk_is_full_everything_is_said_before_the_report_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, part = tmp_path / "report.json", tmp_path / "report.json.part"
    config = load_config("traffic", sets=["stages=[]"], sources=[f"{tmp_path}/nowhere.mp4"], out=tmp_path)
    report, code = run_to_report(config, path, quiet=False)
    report["error"] = "closing sink 'counts' failed"
    part.symlink_to("/dev/full")
    with pytest.raises(SinkError, match="cannot write the report: No space left on device"):
        finish(report, path, lambda: typer.echo("summary"), quiet=False)
    assert code == 1
    said = capsys.readouterr()
    assert said.out == "summary\n"
    assert [line.split(":")[0:2] for line in said.err.splitlines()] == [
        ["error", " stream 'road'"],
        ["error", " closing sink 'counts' failed"],
    ]
    assert not part.is_symlink()
    assert status(path) == "running"  # the one from the start, whole


def test_the_report_is_written_where_stdout_takes_no_summary(tmp_path: Path) -> None:
    words = ("run", "traffic", "--set", "stages=[]", "--set", "sinks=[]", "--source", f"street={STREET}1")
    with Path("/dev/full").open("w") as full:
        run = start(*words, "--out", tmp_path, stdout=full, stderr=subprocess.PIPE)
        said = run.communicate(timeout=PATIENCE_S)[1]
    assert (run.returncode, said) == (1, "error: standard output: No space left on device\n")
    assert status(tmp_path / "report.json") == "done"


@pytest.mark.parametrize("terminal", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("quiet", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_why_a_stream_failed_is_said_at_once_and_once(terminal: bool, quiet: bool, tmp_path: Path) -> None:
    sources = [f"bad={tmp_path}/nowhere.mp4", f"good={STREET}3600"]
    config = load_config("traffic", sets=["stages=[]", "sinks=[]"], sources=sources, out=tmp_path)
    said = io.StringIO()
    console = Console(file=said, force_terminal=terminal, width=200, color_system=None)
    with Engine(config) as engine, Display(engine, quiet=quiet, console=console) as display:
        good = engine.streams[1]

        def tick() -> None:
            display.refresh()
            if "nowhere.mp4" in said.getvalue():
                engine.stop()

        engine.run(tick)
        display.tell_errors()
    assert good.state is State.STOPPED
    assert said.getvalue().count("error: stream 'bad': ") == 1
    assert said.getvalue().count("nowhere.mp4") == 1


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("a.mp4: no such file", "error: stream 'gate': a.mp4: no such file"),
        ("stream 'gate': stage 'x' failed", "error: stream 'gate': stage 'x' failed"),
        ("stream 'gate', picture 3: odd", "error: stream 'gate', picture 3: odd"),
        ("stream 'gate2': odd", "error: stream 'gate': stream 'gate2': odd"),
        ("rtsp://u:secret@h: gone", "error: stream 'gate': rtsp://***@h: gone"),
    ],
)
def test_an_error_names_its_stream_once(message: str, line: str) -> None:
    assert error_line("gate", message) == line


@pytest.mark.parametrize(("width", "table"), [(79, False), (80, True)])
def test_a_stream_that_has_ended_is_done(width: int, table: bool, tmp_path: Path) -> None:
    """Its last picture is shown before its declared end."""
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=10)
    config = load_config(
        "traffic", sets=["stages=[]", "sinks=[]"], sources=[f"road={clip}"], out=tmp_path / "out"
    )
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=width, color_system=None)
    hours = iter(range(0, 10**9, 3600))
    with (
        Engine(config) as engine,
        Display(engine, console=console, clock=lambda: next(hours)) as display,
    ):
        engine.run(display.refresh)
    *_, last = (line for line in said.getvalue().splitlines() if "road" in line)
    assert last.split()[:4] == (
        ["road", "ended", "100%", "10"] if table else ["road:", "ended,", "100%,", "10"]
    )


def test_run_says_how_a_file_with_an_equals_sign_is_given(tmp_path: Path, sightline: Sightline) -> None:
    assert "./x=1.mp4" in sightline("run", "--help").out
    write_crossing_video(tmp_path / "x=1.mp4", frames=10)
    with chdir(tmp_path):
        ran = sightline("run", "traffic", "--set", "stages=[]", "--set", "sinks=[]", "--source", "./x=1.mp4")
    assert (ran.code, ran.errors) == (0, [])
    assert "10 of 10 frames" in ran.out


@pytest.mark.slow
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
    assert f"{name}: to_right 0, to_left 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("syntetic://street", "no source reads 'syntetic://'; did you mean 'synthetic'? known: "),
        ("rtps://admin:secret@camera/1", "no source reads 'rtps://'; did you mean 'rtsp'? known: "),
        ("hls://admin:secret@camera/1", "no source reads 'hls://'; did you mean 'http'? known: "),
        ("camera://0", "no source reads 'camera://'; did you mean 'webcam'? known: "),
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
    assert found["runtimes"]["onnxruntime"].startswith("broken: ModuleNotFoundError")
    assert "none found" in found["box"]["gpu"]

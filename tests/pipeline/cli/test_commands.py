"""The contract of the command line that scripts rely on."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.command import Sightline
from tests.media import HEIGHT, RATE_HZ, WIDTH, write_crossing_video

COMMANDS = ("demo", "run", "check", "events", "probe", "listen", "hub", "sink", "consumers", "keys", "doctor")


def test_help_lists_every_command_and_the_exit_codes(sightline: Sightline) -> None:
    said = sightline("--help")
    assert said.code == 0
    for word in (*COMMANDS, "Exit codes"):
        assert word in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_teaches_by_an_example(command: str, sightline: Sightline) -> None:
    said = sightline(command, "--help")
    assert said.code == 0
    assert f"Example: sightline {command}" in " ".join(said.out.split())
    assert "<class" not in said.out


def test_help_says_where_the_report_goes(sightline: Sightline) -> None:
    assert "DIR/report.json" in sightline("run", "--help").out


@pytest.mark.parametrize(
    "words", [["nonsense"], ["run"], ["run", "demo", "--nonsense"], ["probe"], ["--debug"]]
)
def test_wrong_usage_is_exit_code_2(words: list[str], sightline: Sightline) -> None:
    said = sightline(*words)
    assert said.code == 2
    assert said.err


def test_version(sightline: Sightline) -> None:
    said = sightline("--version")
    assert (said.code, said.out) == (0, "0.1.0\n")


def test_run_counts_and_leaves_its_results(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4")
    report_path = tmp_path / "elsewhere.json"
    ran = sightline(
        "run", "traffic", "--source", f"road={clip}", "--out", tmp_path / "out", "--report", report_path
    )
    assert ran.code == 0
    assert ran.errors == []
    assert "80 of 80 frames" in ran.out
    stream = json.loads(report_path.read_text())["streams"]["road"]
    assert stream["counts"] == {"gate": {"down": {"moving": 1}, "up": {}}}
    events = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    assert [event["data"]["direction"] for event in events] == ["down"]
    with (tmp_path / "out/counts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["count"]) for row in rows) == 1
    assert {row["direction"] for row in rows} == {"up", "down"}
    with av.open(str(tmp_path / "out/road.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 80


def test_probe_tells_what_is_in_a_file(tmp_path: Path, sightline: Sightline) -> None:
    clip = write_crossing_video(tmp_path / "clip.mp4", frames=40)
    facts = json.loads(sightline("probe", clip, "--json").out)
    assert (facts["codec"], facts["width"], facts["height"]) == ("h264", WIDTH, HEIGHT)
    assert facts["rate_hz"] == pytest.approx(RATE_HZ)
    assert facts["duration_s"] == pytest.approx(2.0, abs=0.1)
    text = sightline("probe", clip).out
    for word in ("h264", f"{WIDTH} x {HEIGHT} px", "frames/s"):
        assert word in text


@pytest.mark.parametrize("name", ["demo", "traffic", "people"])
def test_check_accepts_what_is_shipped(name: str, sightline: Sightline) -> None:
    said = sightline("check", name)
    assert said.code == 0
    assert said.out.endswith(": ok\n")


def test_doctor_shows_the_box_and_every_plugin(sightline: Sightline) -> None:
    facts = json.loads(sightline("doctor", "--json").out)
    assert {
        "box",
        "versions",
        "decoding",
        "live sources",
        "inference",
        "runtimes",
        "plug-ins",
    } == facts.keys()
    assert "broken" not in str(facts["plug-ins"])
    assert facts["inference"]["onnx"] == "the runtimes below"
    detectors = facts["inference"]["OpenCV on the CPU"].split(", ")
    assert set(detectors) < set(facts["plug-ins"]["stages"].split(", "))
    assert facts["inference"]["tracker kernels"].startswith(("compiled", "numpy"))
    text = sightline("doctor").out
    for word in ("ONNX Runtime", "ffmpeg", "cores"):
        assert word in text


def test_demo_compares_with_the_truth_and_writes_everything(tmp_path: Path, sightline: Sightline) -> None:
    folder = tmp_path / "demo"
    short = "streams.street.source=synthetic://street?seed=1&duration_s=6"
    ran = sightline("demo", "--out", folder, "--set", short)
    assert ran.code == 0, ran.err
    assert "counted against true" in ran.out
    names = {path.name for path in folder.iterdir()}
    assert names == {"street.mp4", "events.jsonl", "counts.csv", "chart.png", "report.json", "evidence"}
    rows = json.loads((folder / "report.json").read_text())["demo"]["counted_against_true"]
    assert len(rows) >= 2
    for row in rows:
        assert row["counted"] == len(row["counted_s"])
        assert row["true"] == len(row["true_s"])
        assert row["right"] <= min(row["counted"], row["true"])
    assert (folder / "chart.png").stat().st_size > 10_000


def test_a_line_that_counts_what_the_detector_does_not_know_is_refused(tmp_path: Path) -> None:
    """In a process of its own: pytest takes log lines for itself."""
    clip = write_crossing_video(tmp_path / "clip.mp4")
    command = [str(Path(sys.executable).with_name("sightline")), "run", "traffic", "--source", str(clip)]
    only = ["--set", "stages.count.lines.gate.labels=[car]", "--out", str(tmp_path / "out")]
    ran = subprocess.run([*command, *only], capture_output=True, text=True, timeout=200, check=False)
    assert ran.returncode == 2
    assert ran.stderr.endswith("the detector gives no objects of class 'car'; there are moving\n")
    assert not (tmp_path / "out").exists()

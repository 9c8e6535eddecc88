"""Accuracy is a regression test: counts on real footage with counted truth, and on a street with known truth.

Truth of the clips: counted by eye, see the shared data. A stored figure may only change together with its
reason in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.cli.truth import matched
from tests.command import Sightline
from tests.shared_data import shared

TOLERANCE_S = 0.35

TRAFFIC_A_TRUE_FRAMES = (8, 26, 37, 54, 80, 104, 122, 147, 166, 191, 222, 226)
TRAFFIC_A = """
streams: {road: {source: SOURCE}}
stages:
  - DETECTOR
  - track
  - count:
      lines:
        gate: {start: [80, 250], end: [440, 250], units: px, directions: {to_right: down, to_left: up}}
sinks: [events]
"""


def crossings(folder: Path) -> dict[str, list[float]]:
    """Media times by direction."""
    times: dict[str, list[float]] = {"up": [], "down": []}
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        times[event["data"]["direction"]].append(event["pts_s"])
    return times


@pytest.mark.parametrize("method", ["mog2", pytest.param("knn", marks=pytest.mark.slow)])
def test_cars_that_make_the_exposure_jump(method: str, tmp_path: Path, sightline: Sightline) -> None:
    """Two up (frames 70 and 205 of 12.5 a second), two down (207 and 335), and nothing else."""
    clip = shared("video/car-detection.mp4")
    choice = ("--set", f"stages.motion.method={method}", "--set", "sinks=[events]")
    ran = sightline("run", "traffic", "--source", f"road={clip}", "--out", tmp_path, "--quiet", *choice)
    assert ran.code == 0
    found = crossings(tmp_path)
    assert (len(found["up"]), len(found["down"])) == (2, 2)
    assert matched(found["up"], [70 / 12.5, 205 / 12.5], 1.0) == 2
    assert matched(found["down"], [207 / 12.5, 335 / 12.5], 1.0) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("detector", "right", "down", "up"),
    [
        ("onnx: {model: WEIGHTS, labels: [car, truck, bus, motorcycle]}", 12, 12, 0),
        ("motion", 9, 11, 2),
    ],
)
def test_dense_traffic(
    detector: str, right: int, down: int, up: int, tmp_path: Path, sightline: Sightline
) -> None:
    """Twelve vehicles down, none up. A network tells them all apart; moving blobs that touch it does not."""
    clip, weights = shared("video/traffic_a.mp4"), shared("weights/yolox_nano.onnx")
    config = tmp_path / "c.yaml"
    filled = TRAFFIC_A.replace("DETECTOR", detector).replace("WEIGHTS", str(weights))
    config.write_text(filled.replace("SOURCE", str(clip)))
    ran = sightline("run", config, "--out", tmp_path, "--quiet")
    assert ran.code == 0
    found = crossings(tmp_path)
    true_s = [frame / 30 for frame in TRAFFIC_A_TRUE_FRAMES]
    assert matched(found["down"], true_s, TOLERANCE_S) >= right
    assert len(found["down"]) <= down
    assert len(found["up"]) <= up


@pytest.mark.slow
@pytest.mark.parametrize(("traffic", "recall", "precision"), [(0.5, 0.88, 0.88), (1, 0.8, 0.8)])
def test_the_synthetic_street(
    traffic: float, recall: float, precision: float, tmp_path: Path, sightline: Sightline
) -> None:
    """The demo on seeds that nothing was tuned on: share of the true, and of the counted, that is right."""
    right = true = counted = 0
    for seed in (21, 22):
        street = f"streams.street.source=synthetic://street?seed={seed}&traffic={traffic}"
        choice = ("--set", street, "--set", "sinks=[events]")
        assert sightline("demo", "--out", tmp_path, "--quiet", *choice).code == 0
        for row in json.loads((tmp_path / "report.json").read_text())["demo"]["counted_against_true"]:
            right, true, counted = right + row["right"], true + row["true"], counted + row["counted"]
    assert true >= 30
    assert right / true >= recall, f"{right} right of {true} true, {counted} counted"
    assert right / counted >= precision, f"{right} right of {counted} counted"

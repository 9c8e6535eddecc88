"""Speeds against true ones: over a drawn street, and of a real detector's boxes."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speeds import speeds
from benchmarks.speeds_mot import compare
from stages.track.evaluate.motchallenge import read_sequences
from streams.sources.synthetic.source import SyntheticSource
from tests.command import Sightline
from tests.shared_data import shared


def test_of_boxes_that_tremble_the_error_bars_hold_the_truth() -> None:
    rows = list(speeds(3, 12.0, "boxes"))
    label, (kmh, error, true) = [row[0] for row in rows], np.array([row[1:] for row in rows]).T
    assert len(rows) > 300
    assert {"car", "person"} <= set(label)
    assert np.mean(np.abs(kmh - true) <= error) >= 0.93
    moving = true > 10
    assert moving.sum() > 30
    assert np.median(np.abs(kmh - true)[moving] / true[moving]) < 0.05
    assert np.median(error[moving] / true[moving]) < 0.15


def test_of_a_real_detector_s_boxes_too() -> None:
    (sequence,) = read_sequences([shared("mot15/TUD-Stadtmitte")])
    kmh, error, true = compare(sequence).T
    assert len(kmh) > 300
    assert np.mean(np.abs(kmh - true) <= error) >= 0.93
    assert np.median(error) < 5


@pytest.mark.slow
def test_of_moving_blobs_they_nearly_do() -> None:
    rows = [row for row in speeds(2, 40.0, "motion") if row[3] > 1]
    kmh, error, true = np.array([row[1:] for row in rows]).T
    assert np.mean(np.abs(kmh - true) <= error) >= 0.9


@pytest.mark.slow
def test_the_shipped_configuration_tells_the_speeds_of_crossings_and_who_is_too_fast(
    sightline: Sightline, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert sightline("run", "speed", "--out", out, "--set", "sinks=[events]").code == 0
    events = [json.loads(line) for line in (out / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    crossings = [event for event in events if event["kind"] == "line.crossing"]
    known = [event for event in crossings if "speed_kmh" in event["data"]]
    assert len(known) >= 0.7 * len(crossings) > 5
    url = "synthetic://street?seed=2"
    source = SyntheticSource(url, SyntheticSource.Options(), "road")
    bodies, crossed = source._street.bodies, source.truth.crossings((0.55, 0.8), (0.55, 0.44), "center")
    right = 0
    for event in known:
        now_s = event["pts_s"]
        true = [each for each in crossed if abs(each.t_s - now_s) < 0.5]
        speeds_kmh = []
        for each in true:
            path = bodies[each.id].path
            x, z = (np.interp([now_s - 1, now_s], path.t, way) for way in (path.x, path.z))
            speeds_kmh.append(float(np.hypot(x[1] - x[0], z[1] - z[0])) * 3.6)
        data = event["data"]
        right += any(abs(kmh - data["speed_kmh"]) <= data["speed_error_kmh"] + 1 for kmh in speeds_kmh)
    assert right >= 0.8 * len(known)
    speeding = [event for event in events if event["kind"] == "object.speeding"]
    assert {event["data"]["state"] for event in speeding} == {"begin", "end"}
    begins = {event["id"] for event in speeding if event["data"]["state"] == "begin"}
    assert {event["data"]["began"] for event in speeding if event["data"]["state"] == "end"} == begins

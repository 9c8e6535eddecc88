"""Real footage, a real network: what is counted and tracked when the detector looks less."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipeline.frame import Frame
from pipeline.plugin import StreamInfo
from stages.count.stage import CountOptions, CountStage
from stages.detect.onnx import OnnxDetector, OnnxOptions
from stages.track.stage import TrackOptions, TrackStage
from tests.shared_data import shared
from tests.stages.detect.footage import CONTEXT, frames

LINES: dict[str, dict[str, Any]] = {
    "car-detection": {"start": (0, 0.5), "end": (1, 0.5), "anchor": "center"},
    "traffic_a": {"start": (80, 250), "end": (440, 250), "units": "px"},
}
VEHICLES = {"labels": ("car", "truck", "bus"), "confidence": 0.3}


def count(clip: str, spend: Any, **options: Any) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Return each crossing (direction, frame at which it was known), and the detector's statistics."""
    model = shared("weights/yolox_nano.onnx")
    detector = OnnxDetector(OnnxOptions(model=model, spend=spend, **options), CONTEXT)
    stages = [
        detector,
        TrackStage(TrackOptions(), CONTEXT),
        CountStage(CountOptions(lines={"line": LINES[clip]}), CONTEXT),
    ]
    crossings: list[tuple[str, int]] = []
    for seen in frames(shared(f"video/{clip}.mp4")):
        if seen.sequence == 0:
            info = StreamInfo("test", clip, "run", seen.picture.width, seen.picture.height)
            for stage in stages:
                stage.open(info)
        for stage in stages:
            stage.process_batch([seen])
        crossings += [(event.data["direction"], seen.sequence) for event in seen.events]
    crossings += [(event.data["direction"], -1) for event in stages[-1].finish()]
    statistics = dict(detector.statistics())
    for stage in stages:
        stage.close()
    return crossings, statistics


def directions(crossings: Sequence[tuple[str, int]]) -> list[str]:
    return [direction for direction, _ in crossings]


@pytest.mark.slow
def test_cars_are_counted_with_a_look_at_every_fifth_picture_that_moves() -> None:
    crossings, statistics = count("car-detection", {"every": 5})
    # By eye: white up at about 70, red up at 205, silver down at 207, white down at 335.
    assert sorted(directions(crossings)) == ["to_left", "to_left", "to_right", "to_right"]
    assert statistics["looked"] < 377 / 7
    assert statistics["looked"] + statistics["carried"] + statistics["unchanged"] == 377


@pytest.mark.slow
def test_the_gate_changes_no_crossing() -> None:
    every_picture, _ = count("car-detection", False)
    gated, statistics = count("car-detection", {"every": 1})
    assert gated == every_picture
    assert statistics["unchanged"] > 150


@pytest.mark.slow
@pytest.mark.parametrize(
    "spend", [{"every": 5}, {"every": 10}, {"regions": True}, {"budget": {"looks_hz": 5}}]
)
def test_dense_traffic_is_counted_right_with_fewer_looks(spend: dict[str, Any]) -> None:
    crossings, _ = count("traffic_a", spend, **VEHICLES)
    assert directions(crossings) == ["to_right"] * 12


@pytest.mark.slow
def test_a_recording_gives_the_same_whatever_a_look_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's third rule: no clock decides what a file's events are."""
    clip = [seen for seen, _ in zip(frames(shared("video/traffic_a.mp4")), range(24), strict=False)]

    def play(cost_s: float) -> list[Frame]:
        clock = iter(np.arange(10_000) * cost_s)
        monkeypatch.setattr("stages.detect.base.time.perf_counter", lambda: float(next(clock)))
        spend = {"budget": {"cpu": 0.1, "looks_hz": 10}}
        options = OnnxOptions(model=shared("weights/yolox_nano.onnx"), spend=spend, **VEHICLES)
        detector = OnnxDetector(options, CONTEXT)
        detector.open(StreamInfo("test", "clip", "run", 640, 360))
        again = [Frame("test", "run", seen.sequence, seen.moment, seen.picture) for seen in clip]
        for seen in again:
            detector.process_batch([seen])
        detector.close()
        return again

    for quick, slow in zip(play(0.001), play(3.0), strict=True):
        assert quick.detections is not None
        assert slow.detections is not None
        assert quick.carried_s == slow.carried_s
        assert np.array_equal(quick.detections.xyxy, slow.detections.xyxy)


@pytest.mark.slow
def test_every_fifth_look_costs_less_than_one_point_of_hota_on_people() -> None:
    """docs/spending.md has the whole table: 0.4 points as a mean of all first looks, 1.7 for the worst."""
    pytest.importorskip("trackeval")
    from benchmarks.spending import people_of, score_of
    from stages.track.evaluate.motchallenge import read_sequences

    (sequence,) = read_sequences([shared("mot15")], names=["TUD-Stadtmitte"])
    assert sequence.pictures is not None
    pictures = list(sequence.pictures.read(sequence.frames))
    found = people_of(shared("weights/yolox_nano.onnx"), pictures)
    every = score_of(sequence, pictures, found.__getitem__, False)
    fifth = [score_of(sequence, pictures, found.__getitem__, {"every": 5}, first) for first in range(5)]
    assert np.mean(fifth) > every - 1.0

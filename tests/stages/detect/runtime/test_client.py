"""Stages of several streams have one network; what it loses, the streams account for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.schema import Config, PluginConfig
from pipeline.engine import Engine
from pipeline.errors import FrameLost, FramesLost, ModelError
from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import Stage, StageContext
from pipeline.shared import Shared
from pipeline.stream import State
from stages.detect.runtime import client as client_module
from stages.detect.runtime.base import Inputs, Outputs, Runtime
from stages.detect.runtime.client import InferenceClient, lease_inference
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.options import RuntimeOptions
from tests.pipeline.parts import ListSink, stream_config
from tests.stages.detect.runtime import networks

SHAPE = (1, 3, 8, 8)


class DetectorOptions(RuntimeOptions):
    """As of a detector, with an option of its own."""

    model: str = ""
    confidence: float = 0.25


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return networks.convolution(tmp_path / "a.onnx")


def lease(path: Path, context: StageContext, **options: Any) -> InferenceClient:
    made = DetectorOptions(**{"runtime": "onnxruntime", **options})
    return lease_inference(path, "c0ffee", read_graph(path), [SHAPE], made, context)


def test_streams_with_the_same_options_share_one_network(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Runtime] = []
    real = client_module.open_runtime

    def counting(*arguments: Any) -> Runtime:
        opened.append(real(*arguments))
        return opened[-1]

    monkeypatch.setattr(client_module, "open_runtime", counting)
    shared = Shared()
    threads = threading.active_count()
    a = lease(path, StageContext("a", shared=shared))
    b = lease(path, StageContext("b", shared=shared), confidence=0.5)
    assert len(opened) == 1
    c = lease(path, StageContext("c", shared=shared), threads=2)
    alone = lease(path, StageContext("a"))
    assert len(opened) == 3
    x = np.ones(SHAPE, np.float32)
    results = [client.run(x)[0] for client in (a, b, c, alone)]
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)
    a.close()
    a.close()
    np.testing.assert_array_equal(b.run([x])[0], results[1])
    for client in (b, c, alone):
        client.close()
    assert threading.active_count() <= threads  # others may end meanwhile


def test_what_a_stage_may_know(path: Path) -> None:
    client = lease(path, StageContext("a"), parallel=3)
    assert (client.name, client.device, client.precision, client.batch) == ("onnxruntime", "cpu", "f32", 3)
    pictures = np.random.default_rng(0).random((5, *SHAPE), np.float32)
    many = client.run_many([pictures[0], [pictures[1]], *pictures[2:]])
    for one, picture in zip(many, pictures, strict=True):
        assert not isinstance(one, FrameLost)
        np.testing.assert_array_equal(one[0], client.run(picture)[0])
    client.close()


def test_a_bad_output_is_raised_by_run_and_returned_by_run_many(tmp_path: Path) -> None:
    path = networks.divided(tmp_path / "a.onnx")
    client = lease_inference(
        path, "c0ffee", read_graph(path), [(1, 2)], RuntimeOptions(runtime="onnxruntime"), StageContext("a")
    )
    good, bad = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
    with pytest.raises(FrameLost) as raised:
        client.run(bad)
    assert raised.value.cause == "bad network output"
    one, other = client.run_many([bad, good])
    assert isinstance(one, FrameLost)
    assert not isinstance(other, FrameLost)
    client.close()


def test_options_that_cannot_be_had_are_refused_before_anything_runs(path: Path) -> None:
    shared = Shared()
    with pytest.raises(ModelError, match="needs a network that is quantised"):
        lease(path, StageContext("a", shared=shared), precision="int8")
    lease(path, StageContext("a", shared=shared)).close()


class ReciprocalStage(Stage):
    """Asks a network for 1 / (number of the frame), of a whole batch at once."""

    Options = DetectorOptions

    def __init__(self, options: DetectorOptions, context: StageContext) -> None:
        super().__init__(options, context)
        path = Path(options.model)
        self.client = lease_inference(path, "c0ffee", read_graph(path), [(1, 2)], options, context)
        self.batch = self.client.batch
        self.seen: dict[int, float] = {}

    def process_batch(self, frames: Sequence[Frame]) -> None:
        inputs = [np.full((1, 2), frame.sequence, np.float32) for frame in frames]
        losses = {}
        for place, result in enumerate(self.client.run_many(inputs)):
            if isinstance(result, FrameLost):
                losses[place] = result
            else:
                self.seen[frames[place].sequence] = float(result[0][0, 0])
        if losses:
            raise FramesLost(losses)

    def close(self) -> None:
        self.client.close()


def test_a_run_of_several_streams_shares_a_network_and_leaves_nothing(tmp_path: Path) -> None:
    """Over the real engine: every frame is looked at, the one without an answer is a gap, all threads end."""
    options = DetectorOptions(model=str(networks.divided(tmp_path / "a.onnx")), runtime="onnxruntime")
    step = PluginConfig("stage", "one-over", ReciprocalStage, options)
    streams = [replace(stream_config(name=f"s{n}"), stages=(step,)) for n in range(3)]
    sink = ListSink()
    threads = threading.active_count()
    config = Config(tuple(streams), (), None, tmp_path / "out", "feed", tmp_path / "c.yaml")
    with Engine(config) as engine:
        for stream in engine.streams:
            stream._output._sinks = [("list", sink)]
        stages = [stage for stream in engine.streams for _, stage in stream._stages]
        assert len(engine._shared._entries) == 1
        engine.run()
    for stream, stage in zip(engine.streams, stages, strict=True):
        assert stream.state is State.ENDED
        assert isinstance(stage, ReciprocalStage)
        assert stage.seen == {n: pytest.approx(1 / n) for n in range(1, 10)}
        entry = stream.ledger.entry()
        assert (entry.finished, entry.dropped) == (9, {"one-over": {"bad network output": 1}})
        assert sink.kinds(stream.config.name) == ["stream.gap"]
    assert threading.active_count() <= threads  # others may end meanwhile


def test_a_run_that_never_begins_frees_the_network(tmp_path: Path) -> None:
    options = DetectorOptions(model=str(networks.divided(tmp_path / "a.onnx")), runtime="onnxruntime")
    step = PluginConfig("stage", "one-over", ReciprocalStage, options)
    stream = replace(stream_config(), stages=(step,))
    before = set(threading.enumerate())
    with Engine(Config((stream,), (), None, tmp_path / "out", "feed", tmp_path / "c.yaml")):
        begun = set(threading.enumerate()) - before  # others may end meanwhile
        assert begun
    assert not [thread for thread in begun if thread.is_alive()]


class Hanging:
    """Runs a network, and hangs at one value until it is let go."""

    def __init__(self, inner: Runtime, at: float, let_go: threading.Event) -> None:
        self.name, self.device, self.precision = inner.name, inner.device, inner.precision
        self.max_batch, self.parallel = inner.max_batch, 1
        self._inner, self._at, self._let_go = inner, at, let_go
        self.closed = threading.Event()

    def run(self, inputs: Inputs) -> Outputs:
        if inputs[0][0, 0] == self._at:
            assert self._let_go.wait(30)
        return self._inner.run(inputs)

    def close(self) -> None:
        self._inner.close()
        self.closed.set()


def test_a_network_that_hangs_in_a_run_costs_one_frame_and_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    opened: list[Hanging] = []
    real = client_module.open_runtime

    def hanging(*arguments: Any) -> Hanging:
        opened.append(Hanging(real(*arguments), at=4, let_go=let_go))
        return opened[-1]

    monkeypatch.setattr(client_module, "open_runtime", hanging)
    options = DetectorOptions(
        model=str(networks.divided(tmp_path / "a.onnx")), runtime="onnxruntime", timeout_s=1.0
    )
    step = PluginConfig("stage", "one-over", ReciprocalStage, options)
    stream = replace(stream_config(), stages=(step,))
    sink = ListSink()
    try:
        with Engine(Config((stream,), (), None, tmp_path / "out", "feed", tmp_path / "c.yaml")) as engine:
            engine.streams[0]._output._sinks = [("list", sink)]
            engine.run()
        assert engine.exit_code() == 0
        assert sink.frames() == [1, 2, 3, 5, 6, 7, 8, 9]
        assert engine.streams[0].ledger.entry().dropped == {
            "one-over": {"bad network output": 1, "model hung": 1}
        }
        gaps = [item for item in sink.got["gate"] if isinstance(item, Event)]
        assert [(gap.data["cause"], gap.data["seconds"]) for gap in gaps] == [
            ("bad network output", pytest.approx(0.1)),
            ("model hung", pytest.approx(0.1)),
        ]
        assert len(opened) == 2
        assert opened[1].closed.is_set()
        assert not opened[0].closed.is_set()
    finally:
        let_go.set()
    assert opened[0].closed.wait(30)

"""The runtime's own work, with a network that any box computes; a real GPU's part is in test_gpu."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ModelError
from stages.detect.runtime.base import OutOfMemoryError, Parts
from stages.detect.yolo import exported, torch_runtime
from stages.detect.yolo.torch_runtime import TorchRuntime, batch_sizes

torch = pytest.importorskip("torch", reason="needs torch")

SHAPE = (1, 3, 4, 6)


class Sums:
    """Stands for weights: a network that adds up each picture."""

    stream = None

    def view(self) -> Callable[[Any], Any]:
        return lambda pictures: pictures.sum(dim=(2, 3))


class Replayed:
    """Stands for a CUDA graph: computes again, into the same memory."""

    pool = "pool"

    def __init__(self, function: Callable[[], Sequence[Any]], device: Any, pool: Any = None) -> None:
        self._function = function
        self.outputs = tuple(output.clone() for output in function())

    def replay(self) -> None:
        for kept, output in zip(self.outputs, self._function(), strict=True):
            kept.copy_(output)


def recorded(monkeypatch: pytest.MonkeyPatch, max_batch: int, make: Any = Replayed) -> TorchRuntime:
    """A runtime that records, as it does on a GPU, but on the CPU."""
    monkeypatch.setattr(torch_runtime, "Recorded", make)
    runtime = TorchRuntime(
        Sums(),  # type: ignore[arg-type]
        torch.device("cpu"),
        precision="f32",
        max_batch=max_batch,
        callers=1,
        threads=1,
    )
    runtime.max_batch = max_batch
    monkeypatch.setattr(torch_runtime, "remembered", lambda _: [])
    runtime._record(SHAPE)
    return runtime


def noise(pictures: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (pictures, *SHAPE[1:]), np.uint8)


def sums(pictures: np.ndarray) -> Any:
    return pytest.approx(pictures.astype(float).sum(axis=(2, 3)) / 255, rel=1e-5)


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8]), (33, [1, 2, 4, 8, 16, 32, 33])],
)
def test_batches_are_recorded_by_powers_of_two(most: int, sizes: list[int]) -> None:
    assert batch_sizes(most) == sizes


@pytest.mark.parametrize("pictures", range(1, 7))
def test_a_batch_takes_the_next_larger_recording(monkeypatch: pytest.MonkeyPatch, pictures: int) -> None:
    runtime = recorded(monkeypatch, 6)
    for seed in range(3):  # what an earlier, larger batch has left in the input does not show
        runtime.run([noise(6, seed=9)])
        shown = noise(pictures, seed)
        (found,) = runtime.run([shown])
        assert found == sums(shown)


def test_pictures_that_were_made_on_the_device_are_joined_there(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = noise(3)
    parts: Any = Parts(torch.from_numpy(shown[place : place + 1]) for place in range(3))
    runtime = recorded(monkeypatch, 4)
    assert runtime.run([parts])[0] == sums(shown)
    runtime._recorded.clear()
    assert runtime.run([parts])[0] == sums(shown), "without a recording, too"


def test_another_shape_is_launched_kernel_by_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = recorded(monkeypatch, 2)
    other = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8), np.uint8)
    assert runtime.run([other])[0] == sums(other)


def test_what_cannot_be_recorded_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*_: Any) -> Replayed:
        raise RuntimeError("operation not permitted when stream is capturing")

    with caplog.at_level(logging.INFO):
        runtime = recorded(monkeypatch, 4, refuses)
    assert "launched kernel by kernel on cpu (operation not permitted" in caplog.text
    shown = noise(3)
    assert runtime.run([shown])[0] == sums(shown)


class Full:
    """A GPU that has room for batches of so many."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, function: Callable[[], Sequence[Any]], device: Any, pool: Any = None) -> Replayed:
        made = Replayed(function, device, pool)
        if len(made.outputs[0]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return made


def test_batches_are_no_larger_than_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        runtime = recorded(monkeypatch, 32, Full(4))
    assert runtime.max_batch == 4
    assert "device 'cpu' has no room for 8 pictures at once; at most 4" in caplog.text
    assert runtime.run([noise(4)])[0].shape == (4, 3)


def test_no_room_for_one_picture_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutOfMemoryError, match="no room for one picture; end what else uses it"):
        recorded(monkeypatch, 8, Full(0))


def test_a_network_without_a_stream_of_its_own_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine works on the default stream of a GPU, and moves its outputs."""
    runtime = recorded(monkeypatch, 2)
    runtime._recorded.clear()
    monkeypatch.setattr(runtime, "run", lambda _: [])
    monkeypatch.setattr(runtime, "_device", SimpleNamespace(type="cuda"))
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(runtime, "_record", asked.append)
    runtime.warm_up(SHAPE)
    assert not asked
    monkeypatch.setattr(runtime, "_stream", "a stream")
    runtime.warm_up(SHAPE)
    assert asked == [SHAPE]


@pytest.mark.parametrize(("name", "stream"), [("a.engine", None), ("a.torchscript", "its own")])
def test_an_engine_has_no_stream_of_its_own(
    monkeypatch: pytest.MonkeyPatch, name: str, stream: str | None
) -> None:
    monkeypatch.setattr(exported, "own_stream", lambda _: "its own")
    assert exported.stream_of(Path(name), torch.device("cpu")) == stream


def test_a_closed_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = recorded(monkeypatch, 2)
    runtime.close()
    with pytest.raises(ModelError, match="is closed"):
        runtime.run([noise(1)])


@pytest.mark.slow
def test_threads_with_different_shapes_do_not_share_a_grid(tmp_path: Any) -> None:
    """A head keeps the grid of the latest shape; each runtime has a head of its own."""
    pytest.importorskip("ultralytics", reason="needs the extra 'yolo'")
    from stages.detect.yolo.weights import Weights
    from tests.stages.detect.yolo.networks import save_random

    device = torch.device("cpu")
    weights = Weights(save_random("yolo11n.yaml", tmp_path / "random.pt"), device)
    shapes = [(1, 3, 64, 96), (1, 3, 96, 64)]

    def runtime() -> TorchRuntime:
        return TorchRuntime(weights, device, precision="f32", max_batch=1, callers=1, threads=1)

    shown = [np.full(shape, 90, np.uint8) for shape in shapes]
    wanted = [runtime().run([picture])[0] for picture in shown]
    failures: list[str] = []

    def work(place: int, own: TorchRuntime) -> None:
        for _ in range(30):
            try:
                (found,) = own.run([shown[place]])
            except ModelError as error:
                failures.append(str(error))
            else:
                if not np.allclose(found, wanted[place], atol=1e-3):
                    failures.append("boxes of the other shape's grid")

    threads = [threading.Thread(target=work, args=(place % 2, runtime())) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    first, second = runtime()._module, runtime()._module
    assert first.model[-1] is not second.model[-1]
    assert next(first.parameters()) is next(second.parameters()), "the weights are there once"


@pytest.mark.slow
def test_an_export_that_is_fixed_to_one_picture_gets_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ultralytics", reason="needs the extra 'yolo'")
    from ultralytics import YOLO

    from pipeline.plugin import StageContext
    from stages.detect.yolo import stage as yolo_stage
    from tests.stages.detect.yolo.networks import save_random

    asked: list[int] = []

    class Runtime(TorchRuntime):
        def __init__(self, *args: Any, max_batch: int, **kwargs: Any) -> None:
            asked.append(max_batch)
            super().__init__(*args, max_batch=max_batch, **kwargs)

    monkeypatch.setattr(yolo_stage, "TorchRuntime", Runtime)
    path = YOLO(save_random("yolo11n.yaml", tmp_path / "random.pt")).export(
        format="torchscript", imgsz=64, verbose=False
    )
    options = yolo_stage.YoloOptions(model=str(path), device="cpu", max_batch=8)
    stage = yolo_stage.YoloDetector(options, StageContext("test"))
    stage._prepare(64, 64)
    stage.close()
    assert set(asked) == {1}

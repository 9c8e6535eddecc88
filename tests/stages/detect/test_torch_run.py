"""Batches that shrink when the GPU's memory does not suffice, said aloud; devices that are not there."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Sequence

import pytest

from pipeline.errors import ModelError
from stages.detect.torch_run import Batches, device_of, is_half, need

pytestmark = [
    pytest.mark.slow,  # torch takes seconds to import
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch"),
]


class Gpu:
    """Has room for so many pictures at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.calls: list[int] = []

    def run(self, items: Sequence[int]) -> list[int]:
        import torch

        self.calls.append(len(items))
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return [10 * item for item in items]


def test_a_batch_that_does_not_fit_is_halved_and_stays_so(caplog: pytest.LogCaptureFixture) -> None:
    gpu = Gpu(3)
    batches = Batches(gpu.run, 8, "yolo11n.pt")
    with caplog.at_level(logging.WARNING):
        assert batches(range(8)) == [10 * item for item in range(8)]
    assert gpu.calls == [8, 4, 2, 2, 2, 2]
    assert [record.message for record in caplog.records] == [
        "yolo11n.pt: the GPU's memory does not suffice for 8 pictures at once; from now on 4",
        "yolo11n.pt: the GPU's memory does not suffice for 4 pictures at once; from now on 2",
    ]
    gpu.calls.clear()
    assert batches(range(3)) == [0, 10, 20]
    assert gpu.calls == [2, 1]


def test_a_single_picture_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"does not suffice for 'big\.pt' with one picture; set a smaller"):
        Batches(Gpu(0).run, 4, "big.pt")(range(4))


def test_nothing_is_nothing() -> None:
    gpu = Gpu(1)
    assert Batches(gpu.run, 4, "x")([]) == []
    assert gpu.calls == []


@pytest.mark.parametrize("name", ["cuda:99", "abacus", "cuda:-1", ""])
def test_devices_that_are_not_there_are_named(name: str) -> None:
    with pytest.raises(ModelError, match=f"device '{name}': torch .* sees . CUDA GPUs"):
        device_of(name)


def test_half_is_for_gpus_unless_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    import torch

    cpu, cuda = torch.device("cpu"), torch.device("cuda:0")
    assert [is_half("auto", cpu), is_half("auto", cuda)] == [False, True]
    assert "is calculated in f16 on cuda:0" in caplog.text
    caplog.clear()
    assert [is_half(True, cpu), is_half(False, cuda)] == [True, False]
    assert not caplog.text, "what was asked for needs no word"
    assert device_of("cpu") == cpu


def test_what_is_missing_can_be_installed() -> None:
    with pytest.raises(
        ModelError, match=r'needs no_such_package; install it: pip install "sightline\[yolo\]"'
    ):
        need("no_such_package", "yolo", "yolo")
    need("numpy", "yolo", "yolo")

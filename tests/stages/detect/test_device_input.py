"""Input made on a device is that made on the CPU, to the rounding of levels, with a GPU and without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.picture import BgrPicture, Picture, YuvPicture
from stages.detect import device_input
from stages.detect.device_input import DeviceTensors
from stages.detect.layouts.spec import InputSpec, Tensors

torch = pytest.importorskip("torch", reason="needs torch")

DEVICES = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]
SPECS = {
    "rgb, centred": InputSpec(64, 48, dtype="uint8"),
    "bgr, top left": InputSpec(64, 48, dtype="uint8", colour="bgr", place="top_left"),
    "stretched": InputSpec(40, 56, dtype="uint8", place="stretch"),
}


def yuv(width: int, height: int, *, full_range: bool = False) -> Picture:
    """A smooth picture: what filters make of noise is a matter of taste."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    luma = (60 + 120 * np.sin(x / 37) ** 2 * np.cos(y / 29) ** 2).astype(np.uint8)
    half = np.s_[::2, ::2]
    u = (128 + 60 * np.sin(x / 50)).astype(np.uint8)[half]
    v = (128 + 60 * np.cos(y / 40)).astype(np.uint8)[half]
    return YuvPicture(luma, u.copy(), v.copy(), matrix="bt709", full_range=full_range)


PICTURES = {
    "limited range": yuv(320, 180),
    "full range": yuv(162, 202, full_range=True),
    "bgr": BgrPicture(yuv(160, 120).bgr().copy()),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("spec", SPECS)
def test_it_is_what_the_cpu_makes(spec: str, picture: str, device: str) -> None:
    made, place = DeviceTensors(SPECS[spec], torch.device(device)).fill(PICTURES[picture])
    wanted, expected = Tensors(SPECS[spec]).fill(PICTURES[picture])
    assert (made.shape, made.dtype, place) == (wanted.shape, torch.uint8, expected)
    levels = np.abs(made.cpu().numpy().astype(int) - wanted)
    assert levels.max() <= 4
    assert levels.mean() < 1


@pytest.mark.parametrize("device", DEVICES)
def test_each_of_several_tensors_keeps_its_picture(device: str) -> None:
    spec = SPECS["rgb, centred"]
    tensors = DeviceTensors(spec, torch.device(device), count=3)
    shown = [yuv(320, 180), yuv(320, 180, full_range=True), yuv(162, 202)]
    # More than once: on a GPU the first pictures are not yet replayed from a recording.
    for _ in range(3):
        made = [tensors.fill(picture, index)[0] for index, picture in enumerate(shown)]
    for tensor, picture in zip(made, shown, strict=True):
        wanted, _ = Tensors(spec).fill(picture)
        assert np.abs(tensor.cpu().numpy().astype(int) - wanted).max() <= 4


@pytest.mark.parametrize("device", DEVICES)
def test_whoever_still_reads_a_forgotten_tensor_keeps_it(device: str) -> None:
    tensors = DeviceTensors(SPECS["rgb, centred"], torch.device(device))
    given, _ = tensors.fill(PICTURES["limited range"])
    kept = given.clone()
    tensors.forget()
    tensors.fill(yuv(320, 180, full_range=True))
    assert torch.equal(given, kept)


def refuses(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")


def test_a_device_without_room_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_input, "_scaled", refuses)
    tensors = DeviceTensors(SPECS["stretched"], torch.device("cpu"))
    with pytest.raises(ModelError, match=r"cannot scale a picture of 320 x 180 px \(CUDA out of memory"):
        tensors.fill(PICTURES["limited range"])


def test_what_cannot_be_recorded_is_made_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(**_: Any) -> SimpleNamespace:
        return SimpleNamespace(record=lambda: None, synchronize=lambda: None)

    monkeypatch.setattr(device_input, "Recorded", refuses)
    monkeypatch.setattr(torch.cuda, "Event", event)
    tensors = DeviceTensors(SPECS["stretched"], torch.device("cpu"))
    wanted = tensors.fill(PICTURES["full range"])[0].clone()
    lane: Any = tensors._lane
    lane._on_gpu = True
    for _ in range(3):
        assert torch.equal(tensors.fill(PICTURES["full range"])[0], wanted)


@pytest.mark.parametrize("spec", [InputSpec(None, None, dtype="uint8"), InputSpec(64, 48)])
def test_what_cannot_be_made_there_is_refused(spec: InputSpec) -> None:
    with pytest.raises(ValueError, match="needs a size"):
        DeviceTensors(spec, torch.device("cpu"))

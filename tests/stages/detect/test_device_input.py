"""Input made on a device is that made on the CPU, to the rounding of levels."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.picture import BgrPicture, Picture, YuvPicture
from stages.detect.layouts.spec import RGB_MEAN, InputSpec, Tensors

torch = pytest.importorskip("torch", reason="needs torch")

DEVICES = ["cpu", *(["cuda:0"] if torch.cuda.is_available() else [])]
SPECS = {
    "rgb, centred": InputSpec(64, 48),
    "bgr, top left": InputSpec(64, 48, colour="bgr", place="top_left", scale=(1.0, 1.0, 1.0)),
    "means, stretched": InputSpec(40, 56, place="stretch", mean=RGB_MEAN, scale=(0.02, 0.017, 0.019)),
}


def yuv(width: int, height: int, *, full_range: bool = False) -> Picture:
    """A smooth picture: what filters make of noise is a matter of taste."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    luma = (60 + 120 * np.sin(x / 37) ** 2 * np.cos(y / 29) ** 2).astype(np.uint8)
    half = np.s_[::2, ::2]
    u = (128 + 60 * np.sin(x / 50)).astype(np.uint8)[half]
    v = (128 + 60 * np.cos(y / 40)).astype(np.uint8)[half]
    return YuvPicture(luma, u.copy(), v.copy(), matrix="bt709", full_range=full_range)


def bgr(width: int, height: int) -> Picture:
    return BgrPicture(yuv(width, height).bgr().copy())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("spec", SPECS)
def test_it_is_what_the_cpu_makes(spec: str, device: str) -> None:
    from stages.detect.device_input import DeviceTensors

    pictures = [yuv(320, 180), yuv(162, 202, full_range=True), bgr(160, 120)]
    tensor, places = DeviceTensors(SPECS[spec], torch.device(device)).fill(pictures)
    assert tensor.shape == (3, *SPECS[spec].shape[1:])
    assert tensor.dtype == torch.float32
    by_cpu = Tensors(SPECS[spec])
    for row, picture, place in zip(tensor.cpu().numpy(), pictures, places, strict=True):
        wanted, expected = by_cpu.fill(picture)
        assert place == expected
        levels = np.abs(row - wanted[0]) / max(SPECS[spec].scale)
        assert levels.max() < 4
        assert levels.mean() < 1


@pytest.mark.parametrize("device", DEVICES)
def test_half_the_bits(device: str) -> None:
    from stages.detect.device_input import DeviceTensors

    whole, _ = DeviceTensors(SPECS["rgb, centred"], torch.device(device)).fill([yuv(320, 180)])
    half, _ = DeviceTensors(SPECS["rgb, centred"], torch.device(device), half=True).fill([yuv(320, 180)])
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), whole, atol=1e-3)


def test_buffers_are_used_again_and_do_not_leak_into_results() -> None:
    from stages.detect.device_input import DeviceTensors

    tensors = DeviceTensors(SPECS["rgb, centred"], torch.device("cpu"))
    first, _ = tensors.fill([yuv(320, 180)])
    kept = first.clone()
    tensors.fill([yuv(320, 180, full_range=True)])
    assert torch.equal(first, kept)


def test_an_open_size_is_refused() -> None:
    from stages.detect.device_input import DeviceTensors

    with pytest.raises(ValueError, match="needs a size"):
        DeviceTensors(InputSpec(None, None), torch.device("cpu"))

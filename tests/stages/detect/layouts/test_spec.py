"""The input: its size, what lies where in it, and which numbers it holds."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.picture import BgrPicture, YuvPicture
from stages.detect.layouts.spec import InputSpec, Tensors
from stages.detect.letterbox import Letterbox

OPEN = InputSpec(None, None)


@pytest.mark.parametrize(
    ("picture", "image_size", "wanted"),
    [
        ((1920, 1080), 640, (640, 384)),
        ((1280, 720), 640, (640, 384)),
        ((768, 432), 640, (640, 384)),
        ((640, 480), 640, (640, 480)),
        ((1080, 1920), 640, (384, 640)),
        ((1920, 1080), 320, (320, 192)),
        ((1920, 1080), 333, (352, 224)),
        ((1920, 1080), None, (640, 384)),
        ((4000, 20), 640, (640, 32)),
    ],
)
def test_an_open_size_follows_the_shape_of_the_pictures(
    picture: tuple[int, int], image_size: int | None, wanted: tuple[int, int]
) -> None:
    spec = OPEN.sized(*picture, image_size)
    assert (spec.width, spec.height) == wanted
    assert spec.shape == (1, 3, wanted[1], wanted[0])


def test_a_network_that_stretches_gets_a_square() -> None:
    spec = InputSpec(None, None, place="stretch").sized(1920, 1080, 320)
    assert (spec.width, spec.height) == (320, 320)


def test_a_fixed_size_stays_and_another_one_is_refused() -> None:
    fixed = InputSpec(416, 320)
    assert fixed.sized(1920, 1080) is fixed
    assert fixed.sized(1920, 1080, 416) is fixed
    with pytest.raises(ConfigError, match=r"image_size: 640 is not to be had.* 416 x 320"):
        fixed.sized(1920, 1080, 640)
    with pytest.raises(ValueError, match="open"):
        _ = OPEN.shape


def test_one_side_may_be_fixed_alone() -> None:
    spec = InputSpec(None, 256).sized(1920, 1080, 640)
    assert (spec.width, spec.height) == (640, 256)


@pytest.mark.parametrize("place", ["top_left", "centre", "stretch"])
@pytest.mark.parametrize("axes", ["nchw", "nhwc", "chw"])
@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_a_tensor_holds_the_scaled_picture_and_grey(place: str, axes: str, colour: str, dtype: str) -> None:
    random = np.random.default_rng(3)
    picture = BgrPicture(random.integers(0, 256, (45, 80, 3), np.uint8))
    plain = dtype == "uint8"
    mean, scale = ((0.0,) * 3, (1.0,) * 3) if plain else ((10.0, 20.0, 30.0), (0.5, 0.25, 0.125))
    spec = InputSpec(64, 64, colour=colour, mean=mean, scale=scale, place=place, axes=axes, dtype=dtype)
    tensor, box = Tensors(spec).fill(picture)
    assert tensor.shape == spec.shape
    assert tensor.dtype == dtype
    canvas = np.full((64, 64, 3), spec.grey, np.float64)
    inner = cv2.resize(picture.bgr(), (box.width, box.height), interpolation=cv2.INTER_LINEAR)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = inner
    if colour == "rgb":
        canvas = canvas[..., ::-1]
    wanted = (canvas - mean) * scale
    axis = {"nchw": wanted.transpose(2, 0, 1)[None], "nhwc": wanted[None], "chw": wanted.transpose(2, 0, 1)}
    assert np.allclose(tensor, axis[axes], atol=0.05 if dtype == "float16" else 1e-4)
    assert (box.top > 0) == (place == "centre")


def test_a_picture_of_another_shape_leaves_nothing_of_the_one_before() -> None:
    tensors = Tensors(InputSpec(64, 64))
    wide, tall = (BgrPicture(np.full(shape, 255, np.uint8)) for shape in ((20, 80, 3), (80, 20, 3)))
    tensors.fill(wide)
    again, _ = tensors.fill(tall)
    fresh, _ = Tensors(InputSpec(64, 64)).fill(tall)
    assert np.array_equal(again, fresh)


def test_tensors_are_used_again_until_they_are_forgotten() -> None:
    tensors = Tensors(InputSpec(64, 64), 2)
    picture = BgrPicture(np.full((45, 80, 3), 9, np.uint8))
    first, _ = tensors.fill(picture, 0)
    second, _ = tensors.fill(picture, 1)
    assert not np.shares_memory(first, second)
    assert tensors.fill(picture, 0)[0] is first
    tensors.forget()
    fresh, _ = tensors.fill(picture, 0)
    assert not np.shares_memory(first, fresh)
    assert np.array_equal(first, fresh)


def test_no_full_size_picture_is_made() -> None:
    planes = (np.full((720, 1280), 90, np.uint8), *np.full((2, 360, 640), 128, np.uint8))
    picture = YuvPicture(*planes)
    Tensors(InputSpec(640, 384)).fill(picture)
    assert picture._bgr is None


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.sampled_from([(416, 416), (640, 384), (320, 352)]),
    st.sampled_from(["top_left", "centre", "stretch"]),
)
def test_letterbox_there_and_back(width: int, height: int, size: tuple[int, int], place: str) -> None:
    box = Letterbox.of(width, height, *size, place)
    inner = np.array([[box.left, box.top, box.left + box.width, box.top + box.height]], np.float32)
    assert np.allclose(box.boxes_to_picture(inner), [[0, 0, width, height]], atol=1e-2)
    assert (inner >= 0).all()
    assert (inner[:, 2:] <= size).all()
    assert box.width == size[0] or box.height == size[1]
    if place == "centre":
        assert abs(2 * box.left + box.width - size[0]) <= 1
        assert abs(2 * box.top + box.height - size[1]) <= 1

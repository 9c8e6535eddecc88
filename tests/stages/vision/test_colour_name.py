"""Names of colours: what a person would say."""

import numpy as np
import pytest

from pipeline.picture import BgrPicture, YuvPicture
from stages.vision.colour_name import COLOUR_NAMES, colour_name, sampled

RGB = {
    (200, 20, 30): "red",
    (120, 10, 15): "red",
    (255, 140, 0): "orange",
    (240, 210, 40): "yellow",
    (30, 140, 50): "green",
    (120, 190, 60): "green",
    (30, 60, 170): "blue",
    (90, 170, 230): "blue",
    (110, 40, 150): "purple",
    (230, 100, 170): "pink",
    (255, 180, 190): "pink",
    (110, 65, 30): "brown",
    (20, 20, 22): "black",
    (235, 235, 238): "white",
    (128, 130, 127): "grey",
    (170, 172, 168): "grey",
}


@pytest.mark.parametrize(("rgb", "name"), RGB.items())
def test_names(rgb, name):
    noise = np.random.default_rng(1).integers(-6, 7, (400, 3))
    pixels = (np.array(rgb[::-1]) + noise).clip(0, 255).astype(np.uint8)
    assert colour_name(pixels) == name
    assert name in COLOUR_NAMES


def test_a_red_car_with_windows_and_shadows_is_red():
    pixels = np.array([[30, 20, 200]] * 30 + [[40, 40, 40]] * 50 + [[180, 180, 180]] * 20, np.uint8)
    assert colour_name(pixels) == "red"


def test_a_white_car_with_windows_is_white():
    pixels = np.array([[230, 230, 230]] * 55 + [[30, 30, 30]] * 45, np.uint8)
    assert colour_name(pixels) == "white"


def test_without_pixels_there_is_no_colour():
    assert colour_name(np.empty((0, 3), np.uint8)) is None


def test_the_middle_of_the_box_is_looked_at():
    canvas = np.full((100, 200, 3), 255, np.uint8)
    canvas[40:61, 90:111] = (30, 20, 200)
    picture = BgrPicture(canvas)
    assert colour_name(sampled(picture, (80, 30, 120, 70), 0.5)) == "red"
    assert colour_name(sampled(picture, (0, 0, 60, 60), 0.5)) == "white"
    assert len(sampled(picture, (300, 300, 400, 400), 0.5)) == 0
    assert len(sampled(picture, (-500, 10, -400, 20), 0.5)) == 0


def test_planes_give_the_same_pixels_as_the_picture():
    random = np.random.default_rng(2)
    y = np.repeat(np.repeat(random.integers(30, 220, (24, 32)), 2, 0), 2, 1).astype(np.uint8)
    u, v = (random.integers(90, 160, (24, 32)).astype(np.uint8) for _ in range(2))
    picture = YuvPicture(y, u, v)
    got = sampled(picture, (10, 8, 40, 40), 0.8).astype(int)
    wanted = sampled(BgrPicture(np.ascontiguousarray(picture.bgr())), (10, 8, 40, 40), 0.8).astype(int)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() < 40  # chroma is smoothed where the whole picture is converted
    assert np.abs(got - wanted).mean() < 8

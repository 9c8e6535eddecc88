"""What is wrong with a zone is said in one line, when the configuration is checked or the stream opens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.plugin import StreamInfo
from stages.count.geometry import Point
from stages.count.options import CountOptions
from stages.count.zones.masks import Masks
from stages.count.zones.options import MaskOptions, ZoneOptions
from stages.count.zones.zone import keyhole
from stages.vision.polygon import inside
from tests.stages.count.zones.scenes import INFO, SQUARE

UNIT = [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]
HOLE = [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"polygon": [[0.1, 0.1], [0.9, 0.9]]}, "at least 3 items"),
        (
            {"polygon": [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]},
            "sides of the polygon cross each other",
        ),
        ({"polygon": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.1]]}, "sides of the polygon cross each other"),
        ({"polygon": [[0.1, 0.1], [0.9, 0.1], [0.1, 0.1]]}, "three different corners, got 2"),
        (
            {"polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.1], [0.5, 0.5]]},
            "has the corner (0.9, 0.1) twice in a row",
        ),
        (
            {"polygon": [[0.1, 0.1], [1.9, 0.1], [0.5, 0.5]]},
            "corner of the polygon (1.9, 0.1) must lie within 0..1",
        ),
        ({"polygon": [[0.1, 0.1], [float("nan"), 0.1], [0.5, 0.5]]}, "finite number"),
        ({"polygon": [[i / 200, i * i / 1e5] for i in range(150)]}, "at most 101 items"),
        ({"polygon": UNIT, "holes": [[[0.4, 0.4], [0.9, 0.4], [0.4, 0.6]]]}, "hole 1 crosses the polygon"),
        (
            {"polygon": UNIT, "holes": [[[0.9, 0.9], [0.95, 0.9], [0.95, 0.95]]]},
            "hole 1 lies outside the polygon",
        ),
        ({"polygon": UNIT, "holes": [HOLE, [[0.5, 0.5], [0.7, 0.5], [0.7, 0.7]]]}, "hole 1 crosses hole 2"),
        ({"polygon": UNIT, "band": 2}, "band 2 must be below 1"),
        ({"polygon": UNIT, "hold_s": -1}, "greater than or equal to 0"),
        ({"polygon": UNIT, "queu": {}}, "Extra inputs are not permitted"),
        ({"polygon": UNIT, "crowd": {}}, "either as per_m2 (needs ground) or as per_percent"),
        ({"polygon": UNIT, "crowd": {"per_m2": 1, "per_percent": 1}}, "not both"),
        ({"polygon": UNIT, "wrong_way": {"way": [[0.1, 0.1]]}}, "at least 2 items"),
        ({"polygon": UNIT, "wrong_way": {"way": [[0.1, 0.1], [0.1, 0.1]]}}, "same point twice in a row"),
        ({"polygon": UNIT, "wrong_way": {"way": [[0.1, 0.1], [3, 0.1]]}}, "point of wrong_way.way (3, 0.1)"),
        ({"polygon": UNIT, "tailgating": {"under_s": 0}}, "greater than 0"),
    ],
)
def test_refused(options: dict, message: str):
    with pytest.raises(ValidationError) as caught:
        ZoneOptions.model_validate(options)
    assert message in str(caught.value)


def test_a_polygon_may_be_closed_by_its_first_corner():
    assert ZoneOptions.model_validate({"polygon": [*UNIT, UNIT[0]]}).polygon == tuple(map(tuple, UNIT))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"polygon": [[0, 0], [700, 0], [700, 300]], "units": "px"},
            r"zone 'till': corner \(700, 0\) px lies outside the picture of 640 x 360 px",
        ),
        (
            {"polygon": UNIT, "units": "px"},
            r"zone 'till': it covers only 0.36 px² of .*for fractions set units: fraction",
        ),
        ({"polygon": [[0.1, 0.1], [0.105, 0.1], [0.105, 0.105]]}, "draw it larger"),
    ],
)
def test_refused_where_the_picture_is_known(options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        ZoneOptions.model_validate(options).laid("zone 'till'", INFO)


def test_nothing_to_count_is_an_error():
    with pytest.raises(ValidationError, match="nothing to count"):
        CountOptions.model_validate({"masks": {"window": {"polygon": UNIT}}})


def test_fractions_and_px_are_the_same_zone():
    px = ZoneOptions.model_validate({"polygon": SQUARE, "units": "px"})
    fraction = ZoneOptions.model_validate({"polygon": [[x / 640, y / 360] for x, y in SQUARE]})
    one, other = (options.laid("zone", INFO) for options in (px, fraction))
    assert np.allclose(one.outer, other.outer)
    wide = StreamInfo("cam", "file:cam", "run", 1280, 720)
    assert fraction.laid("zone", wide).area_px2 == pytest.approx(4 * one.area_px2)


def test_a_hole_takes_its_area():
    region = ZoneOptions.model_validate({"polygon": UNIT, "holes": [HOLE]}).laid("zone", INFO)
    assert region.area_px2 == pytest.approx((0.36 - 0.04) * 640 * 360)
    assert region.inside(np.array([[0.3, 0.3], [0.5, 0.5], [0.1, 0.1]]) * [640, 360]).tolist() == [
        True,
        False,
        False,
    ]


@given(st.lists(st.tuples(st.floats(0.35, 0.65), st.floats(0.35, 0.65)), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_a_zone_with_holes_is_drawn_as_one_line(points: list[Point]):
    holes = ([(0.4, 0.4), (0.45, 0.4), (0.45, 0.45)], [(0.5, 0.5), (0.6, 0.5), (0.55, 0.6)])
    options = ZoneOptions.model_validate({"polygon": UNIT, "holes": holes})
    drawn = keyhole(options.polygon, options.holes)
    region = options.laid("zone", INFO)
    where = np.array(points) * [640, 360]
    sure = region.distances_px(where) > 1e-6
    whole = inside(where, [(x * 640, y * 360) for x, y in drawn])
    assert (whole == region.inside(where))[sure].all()


def test_masks_hide_what_stands_in_them():
    masks = Masks({"window": MaskOptions.model_validate({"polygon": SQUARE, "units": "px"})})
    masks.open(INFO)
    boxes = np.array([[290, 170, 310, 200], [290, 20, 310, 50], [590, 170, 610, 200]], float)
    assert masks.hide(boxes).tolist() == [True, False, False]
    assert masks.hide(np.empty((0, 4))).tolist() == []
    with pytest.raises(ConfigError, match="mask 'window': corner"):
        masks.open(StreamInfo("cam", "file:cam", "run", 100, 100))

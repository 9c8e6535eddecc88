import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.motion import MotionField
from stages.motion.zones import ZoneMotion

SQUARE = ((0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0))


def _field(*rows: tuple[float, float, float, float], dt_s: float = 0.1) -> MotionField:
    table = np.array(rows, np.float32).reshape(-1, 4)
    return MotionField(table[:, :2], table[:, 2:], dt_s, 10.0)


def test_shares_speed_and_direction_of_what_is_inside() -> None:
    zone = ZoneMotion(SQUARE, 5.0)
    zone.add(_field((10, 10, 30, 0), (20, 20, 0, 10), (30, 30, 0, 4), (50, 50, 0, 0), (200, 50, 99, 99)), 5)
    data = zone.report()
    assert data["moving_share"] == 0.5
    assert data["seen_share"] == 0.8
    assert data["speed_px_s"] == 20.0
    assert data["direction_deg"] == pytest.approx(math.degrees(math.atan2(10, 30)), abs=0.1)
    assert data["agreement"] == pytest.approx(math.hypot(30, 10) / 40, abs=1e-4)
    assert data["towards"] == {"right": 0.5, "down": 0.5, "left": 0.0, "up": 0.0}


def test_nothing_that_moves_has_no_direction() -> None:
    zone = ZoneMotion(SQUARE, 5.0)
    zone.add(_field((10, 10, 1, 1)), 1)
    data = zone.report()
    assert (data["moving_share"], data["speed_px_s"], data["direction_deg"], data["agreement"]) == (
        0,
        None,
        None,
        None,
    )
    assert sum(data["towards"].values()) == 0


def test_nothing_that_can_be_followed_is_not_nothing_that_moves() -> None:
    zone = ZoneMotion(SQUARE, 5.0)
    zone.add(_field(), 12)
    assert (zone.seconds, zone.report()["moving_share"]) == (pytest.approx(0.1), None)
    zone.add(_field(), 0)
    assert zone.report()["seen_share"] == 0


def test_two_ways_at_once_agree_on_nothing() -> None:
    zone = ZoneMotion(SQUARE, 5.0)
    zone.add(_field((10, 10, 30, 0), (20, 20, -30, 0)), 2)
    data = zone.report()
    assert data["agreement"] == 0
    assert data["towards"] == {"right": 0.5, "down": 0.0, "left": 0.5, "up": 0.0}


def test_a_report_begins_anew() -> None:
    zone = ZoneMotion(SQUARE, 5.0)
    zone.add(_field((10, 10, 30, 0)), 1)
    first = zone.report()
    zone.add(_field((10, 10, 30, 0)), 1)
    assert zone.report() == first


@settings(derandomize=True, deadline=None)
@given(st.floats(0, 359.9), st.lists(st.floats(0.01, 0.5), min_size=1, max_size=6))
def test_the_same_motion_in_other_steps_is_the_same_report(degrees: float, steps: list[float]) -> None:
    x, y = 40 * math.cos(math.radians(degrees)), 40 * math.sin(math.radians(degrees))
    whole, parts = ZoneMotion(SQUARE, 5.0), ZoneMotion(SQUARE, 5.0)
    whole.add(_field((10, 10, x, y), (50, 50, 0, 0), dt_s=sum(steps)), 2)
    for step in steps:
        parts.add(_field((10, 10, x, y), (50, 50, 0, 0), dt_s=step), 2)
    one, other = whole.report(), parts.report()
    assert one["towards"] == other["towards"]
    for name in ("moving_share", "seen_share", "speed_px_s", "agreement", "seconds"):
        assert one[name] == pytest.approx(other[name], abs=0.011)
    apart = abs(one["direction_deg"] - degrees)
    assert min(apart, 360 - apart) < 0.11

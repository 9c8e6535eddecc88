import numpy as np
import pytest

from pipeline.motion import MotionField
from tests.stages.draw.test_stage import changed, frame

AREAS = {"entrance": ((400.0, 200.0), (600.0, 200.0), (600.0, 340.0), (400.0, 340.0))}


def field(*rows: tuple[float, float, float, float]) -> MotionField:
    """Vectors from (x, y, px/s to the right, px/s down)."""
    table = np.array(rows, np.float32).reshape(-1, 4)
    return MotionField(table[:, :2], table[:, 2:], 0.04, 10.0)


def test_a_stroke_leads_to_where_a_point_is_now() -> None:
    mask = changed(frame(motion=field((200, 100, 150, 0))))
    y, x = np.nonzero(mask)
    assert x.min() == pytest.approx(170, abs=4)
    assert x.max() == pytest.approx(200, abs=5)
    assert y.mean() == pytest.approx(100, abs=1)


def test_what_stands_has_no_stroke() -> None:
    assert not changed(frame(motion=field((200, 100, 3, 3), (300, 100, 0, 0)))).any()
    assert not changed(frame(motion=field())).any()


def test_what_there_is_to_say_of_an_area_is_written_below_its_name() -> None:
    plain, noted = (
        changed(frame(areas=AREAS, notes=notes)) for notes in (None, {"entrance": "3 waiting, 41 s"})
    )
    assert noted.sum() > plain.sum()
    assert not (plain & ~noted).any()
    assert (changed(frame(areas=AREAS, notes={"elsewhere": "unknown"})) == plain).all()


def test_areas_are_outlined_and_named() -> None:
    mask = changed(frame(areas=AREAS))
    assert mask[338:342, 400:600].any(axis=0).mean() > 0.9
    assert mask[230:320, 598:602].any(axis=1).mean() > 0.9
    assert mask[180:199, 400:440].any()
    assert not mask[:150].any()


def test_both_can_be_switched_off() -> None:
    passing = frame(areas=AREAS, motion=field((200, 100, 150, 0)))
    assert not changed(passing, motion=False, areas=False).any()


def test_far_outside_does_no_harm() -> None:
    changed(frame(motion=field((-1e6, 1e6, 1e9, 1e9)), areas={"x": ((-1e7, 0.0), (1e7, 5.0), (3.0, 1e7))}))

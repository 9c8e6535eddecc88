import numpy as np
import pytest

from stages.motion.resting import MAX_THINGS, Resting
from stages.vision.long_term import LongTermBackground
from tests.stages.vision.pictures import luma, texture

GROUND = texture(seed=4)
NOBODY = np.zeros((0, 4), np.float32)


def _rested(later: np.ndarray, before: np.ndarray = GROUND) -> LongTermBackground:
    """A background that has learned one picture, and then seen another for long."""
    background = LongTermBackground(learn_s=2.0, after_s=3.0, history_s=100.0)
    for index in range(60):
        background.update(luma(before if index < 16 else later, seed=index), index * 0.2, 0.2)
    return background


def _painted(*boxes: tuple[int, int, int, int], level: float = 235.0) -> np.ndarray:
    picture = GROUND.copy()
    for left, top, right, bottom in boxes:
        picture[top:bottom, left:right] = level
    return picture


@pytest.mark.parametrize("level", [25.0, 235.0])
def test_whether_a_thing_was_left_or_taken_away(level: float) -> None:
    with_thing = _painted((100, 60, 130, 80), level=level)
    (left,) = Resting(0.001, 100.0).look(_rested(with_thing), 12.0, 0.2, NOBODY)
    (taken,) = Resting(0.001, 100.0).look(_rested(GROUND, with_thing), 12.0, 0.2, NOBODY)
    assert (left.thing.kind, taken.thing.kind) == ("left", "removed")
    assert left.thing.xyxy == pytest.approx(np.array([100, 60, 130, 80]), abs=2)
    assert taken.thing.xyxy == pytest.approx(np.array([100, 60, 130, 80]), abs=2)
    assert left.thing.since_s == pytest.approx(3.2, abs=0.8)


def test_things_have_numbers_and_are_told_once() -> None:
    resting, background = Resting(0.001, 100.0), _rested(_painted((20, 20, 50, 50), (200, 100, 230, 130)))
    assert [change.thing.number for change in resting.look(background, 12.0, 0.2, NOBODY)] == [1, 2]
    assert resting.look(background, 12.2, 0.2, NOBODY) == []
    assert [change.reason for change in resting.end("scene")] == ["scene", "scene"]
    assert resting.things == []


def test_what_is_too_small_becomes_background() -> None:
    background = _rested(_painted((100, 60, 106, 66)))
    assert Resting(0.001, 100.0).look(background, 12.0, 0.2, NOBODY) == []
    assert background.back[63, 103] > 200


def test_the_same_ground_in_another_light_becomes_background() -> None:
    lit = GROUND.copy()
    lit[60:110, 100:160] = np.clip(lit[60:110, 100:160] * 1.25, 0, 234)
    background = _rested(lit)
    assert Resting(0.001, 100.0).look(background, 12.0, 0.2, NOBODY) == []
    assert background.back[60:110, 100:160].mean() > 1.15 * GROUND[60:110, 100:160].mean()


def test_too_much_at_once_is_a_camera_that_was_moved() -> None:
    boxes = [(x, y, x + 12, y + 12) for x in range(10, 300, 30) for y in range(10, 160, 30)]
    resting, background = Resting(0.0005, 100.0), _rested(_painted(*boxes))
    assert len(boxes) > MAX_THINGS - 5
    assert resting.look(background, 12.0, 0.2, NOBODY) == []
    assert resting.things == []
    assert not background.ready


def test_the_number_of_things_is_bounded() -> None:
    resting, background = Resting(0.001, 100.0), _rested(_painted((100, 60, 130, 80)))
    (change,) = resting.look(background, 12.0, 0.2, NOBODY)
    resting.things = [change.thing] * MAX_THINGS
    assert resting.look(_rested(_painted((100, 60, 130, 80), (200, 100, 230, 130))), 12.2, 0.2, NOBODY) == []

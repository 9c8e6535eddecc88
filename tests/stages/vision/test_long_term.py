import numpy as np
import pytest

from stages.vision.long_term import LongTermBackground, different
from tests.stages.vision.pictures import luma, texture

GROUND = texture()
STEP_S = 0.2


def _shown(
    background: LongTermBackground, pictures: list[np.ndarray], start_s: float = 0.0
) -> list[bool | None]:
    return [background.update(each, start_s + i * STEP_S, STEP_S) for i, each in enumerate(pictures)]


def _still(count: int, picture: np.ndarray = GROUND, seed: int = 0) -> list[np.ndarray]:
    return [luma(picture, seed=seed + i) for i in range(count)]


def _with_box(level: float = 230.0) -> np.ndarray:
    picture = GROUND.copy()
    picture[60:90, 100:140] = level
    return picture


def _learned() -> LongTermBackground:
    background = LongTermBackground(learn_s=3.0, after_s=4.0, history_s=100.0)
    _shown(background, _still(20))
    assert background.ready
    return background


def test_the_first_background_is_without_what_passes() -> None:
    background = LongTermBackground(learn_s=3.0, after_s=4.0, history_s=100.0)
    pictures = []
    for index in range(20):
        picture = GROUND.copy()
        picture[60:120, 14 * index : 14 * index + 40] = 250
        pictures.append(luma(picture, seed=index))
    known = _shown(background, pictures)
    assert known[0] is False
    assert known[-1] is True
    assert np.abs(background.back.astype(float) - GROUND).mean() < 2


def test_what_rests_is_told_after_its_time_and_what_passes_is_not() -> None:
    background = _learned()
    pictures = _still(30, _with_box())
    rests = []
    for index, picture in enumerate(pictures):
        background.update(picture, 4.0 + index * STEP_S, STEP_S)
        rests.append((background.resting() > 0)[65:85, 105:135].mean())
    assert max(rests[:19]) == 0
    assert rests[-1] > 0.95
    assert (background.resting() > 0)[:50].mean() < 0.005
    assert np.median(background.since_s[65:85, 105:135]) == pytest.approx(4.0, abs=0.4)


def test_the_slow_background_leaves_out_what_differs_and_follows_the_light() -> None:
    background = _learned()
    _shown(background, _still(60, _with_box()), 4.0)
    assert np.abs(background.back[65:85, 105:135].astype(float) - GROUND[65:85, 105:135]).mean() < 3
    light = np.ones((1, GROUND.shape[1]), np.float32)
    for index in range(300):
        light[:, 240:] = 1 + index / 1500  # the sun comes round; all of the picture would be the exposure
        background.update(luma(GROUND * light, seed=index), 16.0 + index, 1.0)
    assert background.back[:, 245:].mean() > 1.08 * GROUND[:, 245:].mean()
    assert background.back[:, :235].mean() == pytest.approx(GROUND[:, :235].mean(), rel=0.05)
    assert (background.resting() > 0).mean() < 0.005


def test_accepting_and_giving_up() -> None:
    background = _learned()
    _shown(background, _still(40, _with_box()), 4.0)
    where = background.resting() > 0
    background.accept(where)
    assert not (background.resting() > 0)[where].any()
    assert background.back[75, 120] > 200
    other = _learned()
    _shown(other, _still(40, _with_box()), 4.0)
    other.give_up(other.resting() > 0)
    assert not (other.resting() > 0).any()
    assert np.abs(other.held[65:85, 105:135].astype(float) - GROUND[65:85, 105:135]).mean() < 3


def test_another_scene_is_told_once_and_learned() -> None:
    background = _learned()
    known = _shown(background, _still(40, texture(seed=8)), 4.0)
    assert known.count(None) == 1
    assert known[:9] == [False] * 9
    assert known[-1] is True
    assert np.abs(background.back.astype(float) - texture(seed=8)).mean() < 2


def test_what_comes_bit_by_bit_is_waited_for() -> None:
    background = _learned()
    pictures = []
    for index in range(34):
        picture = GROUND.copy()
        picture[:, : min(10 * index, 280)] = 60
        pictures.append(luma(picture, seed=index))
    known = _shown(background, pictures, 4.0)
    assert None not in known


@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (64, 4), (37, 65)])
def test_pictures_of_any_size_are_taken(shape: tuple[int, int]) -> None:
    background, rng = LongTermBackground(1.0, 1.0, 10.0), np.random.default_rng(1)
    for index in range(40):
        if background.update(rng.integers(100, 110, shape, dtype=np.uint8), index * 0.2, 0.2):
            assert background.resting().shape == shape


def test_a_pixel_s_shake_is_no_difference() -> None:
    ground = luma(GROUND, noise=0)
    assert not different(np.roll(ground, 1, axis=1), ground)[5:-5, 5:-5].any()
    assert different(luma(_with_box(), noise=0), ground)[65:85, 105:135].mean() > 240

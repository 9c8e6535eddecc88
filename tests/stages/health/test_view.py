"""A view that is learned, and recognised in other lights."""

import numpy as np
import pytest

from stages.health.view import MOST_LOOKS, SAMPLES, Known, Learner, View
from stages.vision.same_view import SceneView
from tests.stages.vision.pictures import luma, shifted, texture

PLACE = texture(180, 320, 1)


def in_light(number: int, picture: np.ndarray = PLACE, noise_seed: int = 1) -> SceneView:
    """The place with strong shadows of its own for each light, 0 for none."""
    shadows = 0 if number == 0 else 2.0 * (texture(180, 320, 20 + number) - 125)
    return SceneView(luma(picture + shadows, 1.0, noise_seed))


def lived(
    view: View, lights: list[int], looks: int = 80, sharpness: float | None = 0.6
) -> list[float | None]:
    """Show each light for so many seconds; return the shifts that were found, None where it was not."""
    found, time_s = [], 0.0
    for light in lights:
        for seed in range(looks):
            picture = in_light(light, noise_seed=seed)
            sight = view.look(picture, time_s)
            view.learn(sight, picture, sharpness, time_s)
            found.append(None if sight.shift is None else sight.shift.share)
            time_s += 1.0
    return found


def known(sharpness: float | None = 0.6) -> Known:
    return Known(luma(PLACE, 0.5), sharpness)


@pytest.mark.slow
def test_other_lights_of_a_view_are_remembered_but_no_more_than_three() -> None:
    view = View([known()])
    shares = lived(view, [0])
    assert len(view.known) == 1
    assert max(shares) == 0
    shares = lived(view, [1])
    assert all(share is not None and share < 0.01 for share in shares)
    assert len(view.known) == 2
    assert view.changed
    lived(view, [2, 3])
    assert len(view.known) == MOST_LOOKS
    assert (view.known[0].luma == luma(PLACE, 0.5)).all()  # the reference itself is never exchanged
    # In the light that is remembered the view is recognised at the first look.
    assert view.look(in_light(3, noise_seed=99), 1e4).agreement.same > 0.8


def test_a_light_in_which_the_picture_is_less_sharp_would_hide_a_loss_of_focus() -> None:
    view = View([known()])
    lived(view, [1], sharpness=0.3)
    assert len(view.known) == 1


def test_a_slow_drift_is_not_hidden_by_lights_that_drift_along() -> None:
    view = View([known()])
    picture = shifted(PLACE, 2, 0)
    for second in range(80):
        seen = in_light(1, picture, second)
        sight = view.look(seen, float(second))
        view.learn(sight, seen, 0.6, float(second))
    assert len(view.known) == 2
    sight = view.look(in_light(1, picture, 99), 100.0)
    assert sight.agreement.same > 0.8
    assert sight.shift is not None
    assert sight.shift.share == pytest.approx(2 / np.hypot(320, 180), abs=0.003)


def test_a_reference_is_the_median_of_what_stands() -> None:
    learner, learned = Learner(16.0), []
    for second in range(18):
        picture = PLACE.copy()
        picture[60:120, 15 * second : 15 * second + 40] = 250  # passes
        learned.append(learner.update(SceneView(luma(picture, 1.0, second)), 0.5, float(second)))
    assert [second for second, view in enumerate(learned) if view is not None] == [2 * (SAMPLES - 1)]
    found = learned[2 * (SAMPLES - 1)]
    assert found is not None
    assert found.sharpness == 0.5
    assert np.abs(found.luma.astype(float) - PLACE).max() < 8


@pytest.mark.parametrize("plain", [True, False])
def test_nothing_is_learned_of_a_plain_picture_or_of_a_camera_that_turns(plain: bool) -> None:
    learner = Learner(8.0)
    wide = texture(180, 1600, 8)
    for second in range(40):
        picture = np.full((180, 320), 90.0) if plain else wide[:, 30 * second : 30 * second + 320]
        assert learner.update(SceneView(luma(picture, 1.0, second)), 0.5, float(second)) is None

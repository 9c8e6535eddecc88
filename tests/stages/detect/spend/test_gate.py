import cv2
import numpy as np
import pytest

from stages.detect.spend.gate import GATE_PX, MotionGate
from stages.vision.halving import halved_luma
from tests.shared_data import shared
from tests.stages.detect.footage import frames
from tests.stages.detect.scenes import Scene, crossing


def changed(scene: Scene, seconds: float) -> list[bool]:
    """Whether each picture differs from the first."""
    gate, answers = MotionGate(), []
    for index, (_, luma, _) in enumerate(scene.frames(seconds)):
        small, _ = halved_luma(luma, GATE_PX)
        if index == 0:
            gate.learn(small)
        answers.append(gate.changes(small) is not None)
    return answers


@pytest.mark.parametrize(
    ("name", "scene"),
    [
        ("noise", Scene(noise=4.0)),
        ("the exposure jumps", Scene(light=lambda t: 1.0 if t < 1 else 1.35)),
        ("dusk", Scene(light=lambda t: 1.0 - 0.1 * t)),
    ],
)
def test_it_stays_shut_while_nothing_moves(name: str, scene: Scene) -> None:
    assert not any(changed(scene, 4.0)), name


def test_it_opens_with_the_first_picture_of_an_object() -> None:
    answers = changed(Scene([crossing(1.0, 60)]), 3.0)
    # At 1.12 s the first 8 px of the object are in the picture.
    assert answers.index(True) == pytest.approx(1.12 * 25, abs=2)
    assert all(answers[30:])


def test_slow_motion_adds_up() -> None:
    slow = crossing(0.0, 60, speed=3.0)
    place = slow(8.0)
    assert place is not None
    answers = changed(Scene([lambda t: slow(t + 8.0)]), 3.0)
    assert not any(answers[:10])
    assert all(answers[-10:])


def test_an_object_opens_it_although_the_exposure_jumps_with_it() -> None:
    answers = changed(Scene([crossing(1.0, 60)], light=lambda t: 1.0 if t < 1 else 1.3), 2.0)
    assert not any(answers[:25])
    assert all(answers[30:])


def test_sway_of_less_than_a_pixel_is_no_motion() -> None:
    luma = next(Scene(noise=0).frames(0.1))[1]
    gate = MotionGate()
    gate.learn(luma)
    for shift in (0.3, 0.7, 1.0):
        moved = cv2.warpAffine(
            luma, np.float32([[1, 0, shift], [0, 1, shift]]), luma.shape[::-1], borderMode=cv2.BORDER_REFLECT
        )
        assert gate.changes(moved) is None, shift


def test_without_a_reference_of_its_size_all_of_a_picture_has_changed() -> None:
    gate = MotionGate()
    luma = np.full((90, 160), 100, np.uint8)
    for wanted in (luma, luma[:45]):
        everything = gate.changes(wanted)
        assert everything is not None
        assert everything.shape == wanted.shape
        assert everything.all()
        gate.learn(luma)


def test_cars_open_it_and_nothing_else_does() -> None:
    """The exposure of this camera drifts all the time, and its pole sways."""
    gate, moving = MotionGate(), []
    for index, seen in enumerate(frames(shared("video/car-detection.mp4"))):
        small, _ = halved_luma(seen.picture.luma(), GATE_PX)
        if gate.changes(small) is not None:
            moving.append(index)
            gate.learn(small)
    # With their shadows the cars are in the picture for a little longer than their bodies are.
    cars = [*range(50, 134), *range(174, 245), *range(312, 352)]
    assert len(set(moving) - {0} - set(cars)) <= 2
    assert set(range(56, 105)) | set(range(190, 226)) | set(range(318, 346)) <= set(moving)

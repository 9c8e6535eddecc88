import numpy as np
import pytest

from stages.vision.background import BackgroundModel, Method
from stages.vision.blobs import find_blobs
from tests.stages.detect.scenes import RATE_HZ, Scene, crossing, iou

METHODS: tuple[Method, ...] = ("mog2", "knn")
Found = list[tuple[float, np.ndarray, np.ndarray]]


def _run(scene: Scene, seconds: float, model: BackgroundModel) -> Found:
    """Return time, found boxes and true boxes of every picture."""
    out, last_s = [], None
    for t, luma, truth in scene.frames(seconds):
        foreground = model.apply(luma, 0.0 if last_s is None else t - last_s)
        last_s = t
        boxes = np.empty((0, 4)) if foreground is None else find_blobs(foreground, 0.001)[0]
        out.append((t, boxes, truth))
    return out


@pytest.mark.parametrize("method", METHODS)
def test_each_moving_object_is_one_tight_box(method: Method) -> None:
    scene = Scene([crossing(2.0, 20), crossing(2.8, 110)])
    found = _run(scene, 6.0, BackgroundModel(method))
    full = [(b, truth) for t, b, truth in found if t > 2.2 and len(truth)]
    right = [len(b) == len(truth) for b, truth in full]
    overlap = np.concatenate([iou(truth, b).max(axis=1) for b, truth in full if len(b)])
    assert np.mean(right) > 0.95
    assert np.median(overlap) > 0.85
    assert np.mean(overlap > 0.7) > 0.95


@pytest.mark.parametrize("method", METHODS)
def test_noise_alone_is_no_object(method: Method) -> None:
    found = _run(Scene(noise=3.0), 4.0, BackgroundModel(method))
    assert sum(len(boxes) for _, boxes, _ in found) == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gain", [0.6, 1.4])
def test_a_jump_of_exposure_is_no_object(method: Method, gain: float) -> None:
    scene = Scene([crossing(3.0, 60)], light=lambda t: gain if t >= 2.0 else 1.0)
    found = _run(scene, 5.0, BackgroundModel(method))
    before_the_car = [boxes for t, boxes, _ in found if t < 3.0]
    assert sum(len(boxes) for boxes in before_the_car) == 0
    with_the_car = [(boxes, truth) for t, boxes, truth in found if t > 3.8]
    assert np.mean([len(boxes) == 1 and iou(truth, boxes).max() > 0.6 for boxes, truth in with_the_car]) > 0.9


@pytest.mark.slow
def test_auto_exposure_that_follows_a_large_object_leaves_one_box() -> None:
    def light(t: float) -> float:
        return 1.0 - 0.4 * float(np.clip((t - 2.2) / 1.0, 0, 1)) * float(np.clip((5.0 - t) / 1.0, 0, 1))

    scene = Scene([crossing(2.0, 20, width=150, height=140, speed=150.0)], light=light)
    found = _run(scene, 6.0, BackgroundModel())
    seen = [(boxes, truth) for t, boxes, truth in found if t > 2.2 and len(truth)]
    assert np.mean([len(boxes) == 1 and iou(truth, boxes).max() > 0.8 for boxes, truth in seen]) > 0.9
    assert sum(len(boxes) for t, boxes, truth in found if len(truth) == 0) <= 2


@pytest.mark.parametrize(("shadows", "wide"), [(True, False), (False, True)])
def test_a_cast_shadow_is_not_part_of_the_box(shadows: bool, wide: bool) -> None:
    place = crossing(2.0, 60)

    def shadow(t: float) -> tuple[int, int, int, int] | None:
        box = place(t)
        return None if box is None else (box[0], box[3], box[2], box[3] + 30)

    found = _run(Scene([place], shadow=shadow), 5.0, BackgroundModel(shadows=shadows))
    heights = [b[0, 3] - b[0, 1] for t, b, truth in found if t > 3.0 and len(b) == 1 and len(truth)]
    assert len(heights) > 40
    assert (np.median(heights) > 55) == wide
    assert (np.median(heights) < 45) != wide


@pytest.mark.slow
def test_what_stands_is_learned_after_a_third_of_the_history() -> None:
    def parks(t: float) -> tuple[int, int, int, int] | None:
        return (100, 60, 160, 100) if t >= 7.0 else None

    found = _run(Scene([parks]), 12.0, BackgroundModel(history_s=6.0))
    seen = [t for t, boxes, _ in found if len(boxes)]
    assert min(seen) == pytest.approx(7.0, abs=0.1)
    assert max(seen) == pytest.approx(7.0 + 6.0 / 3, abs=0.6)


def test_the_place_that_an_object_of_the_first_picture_left_is_no_object() -> None:
    def leaves(t: float) -> tuple[int, int, int, int] | None:
        left = 130 if t < 2.0 else 130 + round((t - 2.0) * 120)
        return (left, 60, min(left + 60, 320), 100) if left < 310 else None

    found = _run(Scene([leaves]), 8.0, BackgroundModel())
    gone = [len(boxes) for t, boxes, truth in found if t > 4.0 and len(truth) == 0]
    assert sum(gone) == 0


def test_another_scene_is_learned_anew_without_boxes() -> None:
    model = BackgroundModel()
    _run(Scene(seed=1), 3.0, model)
    found = _run(Scene([crossing(2.0, 60)], seed=2), 4.5, model)
    assert sum(len(boxes) for t, boxes, _ in found if t < 2.0) == 0
    assert np.mean([len(boxes) == 1 for t, boxes, _ in found if t > 2.5]) > 0.9


@pytest.mark.slow
def test_learning_goes_by_time_and_not_by_pictures() -> None:
    def parks(t: float) -> tuple[int, int, int, int] | None:
        return (100, 60, 160, 100) if t >= 6.0 else None

    def gone_after(every: int) -> float:
        model, last_s, seen = BackgroundModel(history_s=6.0), None, 0.0
        for index, (t, luma, _) in enumerate(Scene([parks]).frames(11.0)):
            if index % every:
                continue
            foreground = model.apply(luma, 0.0 if last_s is None else t - last_s)
            last_s = t
            if foreground is not None and len(find_blobs(foreground, 0.001)[0]):
                seen = t
        return seen

    assert gone_after(5) == pytest.approx(gone_after(1), abs=0.4)
    assert 7.0 < gone_after(1) < 11.0


@pytest.mark.slow
def test_after_a_gap_the_new_background_is_learned_faster() -> None:
    def seen_s(gap_s: float) -> float:
        model = BackgroundModel(history_s=8.0)
        _run(Scene(), 6.0, model)
        parked = Scene([lambda _: (100, 60, 160, 100)])
        model.distrust(gap_s)
        return sum(len(boxes) > 0 for _, boxes, _ in _run(parked, 4.0, model)) / RATE_HZ

    assert seen_s(60.0) < 0.5 * seen_s(0.0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 64), (4, 64), (64, 4), (37, 65)])
@pytest.mark.parametrize("method", METHODS)
def test_pictures_of_any_size_are_taken(method: Method, shape: tuple[int, int]) -> None:
    model, rng = BackgroundModel(method), np.random.default_rng(1)
    for _ in range(6):
        foreground = model.apply(rng.integers(0, 255, shape, dtype=np.uint8), 0.04)
        if foreground is not None:
            find_blobs(foreground, 0.001)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_pictures_give_the_same_boxes(method: Method) -> None:
    first, second = (_run(Scene([crossing(0.5, 60)]), 2.0, BackgroundModel(method)) for _ in range(2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert any(len(boxes) for _, boxes, _ in first)

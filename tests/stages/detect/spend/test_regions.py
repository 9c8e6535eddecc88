import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.objects import Detections
from pipeline.picture import BgrPicture, YuvPicture
from stages.detect.spend.regions import Mosaic, regions_of

WIDTH, HEIGHT = 640, 360
NOTHING = np.zeros((0, 4), np.float32)


def picture() -> YuvPicture:
    rng = np.random.default_rng(4)
    planes = [rng.integers(16, 235, (HEIGHT // k, WIDTH // k)).astype(np.uint8) for k in (1, 2, 2)]
    return YuvPicture(*planes)


def changed(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask of a quarter of the picture's size, changed in these boxes (px of the full picture)."""
    mask = np.zeros((HEIGHT // 4, WIDTH // 4), np.uint8)
    for left, top, right, bottom in boxes:
        mask[top // 4 : bottom // 4, left // 4 : right // 4] = 255
    return mask


def table(*boxes: tuple[float, float, float, float], label: str = "a") -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), 0.5, np.float32),
        np.full(len(boxes), label),
    )


def in_mosaic(mosaic: Mosaic, box: tuple[int, int, int, int]) -> tuple[float, ...]:
    """Where a box of the picture lies in the mosaic."""
    for source, place in zip(mosaic.source, mosaic.place, strict=True):
        if (np.array(box[:2]) >= source[:2]).all() and (np.array(box[2:]) <= source[2:]).all():
            return tuple((np.array(box) + np.tile(place - source[:2], 2)).tolist())
    raise AssertionError(f"{box} lies in none of {mosaic.source.tolist()}")


corner = st.tuples(st.integers(0, WIDTH - 80), st.integers(0, HEIGHT - 80))
size = st.tuples(st.integers(12, 70), st.integers(12, 70))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(corner, size), min_size=1, max_size=6))
def test_every_change_is_looked_at_once_and_found_again(placed: list[tuple[tuple[int, int], ...]]) -> None:
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in placed]
    seen = picture()
    mosaic = regions_of(seen, changed(*boxes), NOTHING)
    if mosaic is None:  # too much of the picture
        return
    mine, other = mosaic.source[:, None], mosaic.source[None]
    common = np.minimum(mine[..., 2:], other[..., 2:]) > np.maximum(mine[..., :2], other[..., :2])
    assert (common.all(axis=2) == np.eye(len(mosaic.source), dtype=bool)).all()
    for box in boxes:
        left, top, right, bottom = (int(value) for value in in_mosaic(mosaic, box))
        assert (
            mosaic.picture.bgr()[top:bottom, left:right] == seen.bgr()[box[1] : box[3], box[0] : box[2]]
        ).mean() > 0.9  # chroma is resized by parts
        again = mosaic.merged(table((left, top, right, bottom)), None)
        assert again.xyxy[0] == pytest.approx(box)


def test_known_boxes_that_touch_a_change_are_looked_at_as_a_whole_and_others_stay() -> None:
    touched, apart = (100, 100, 180, 200), (500, 50, 560, 110)
    mosaic = regions_of(picture(), changed((160, 120, 200, 160)), table(touched, apart).xyxy)
    assert mosaic is not None
    found = table(in_mosaic(mosaic, (110, 105, 190, 205)), label="new")
    merged = mosaic.merged(found, table(touched, apart))
    assert merged.label.tolist() == ["new", "a"]
    assert merged.xyxy.tolist() == [[110, 105, 190, 205], list(apart)]


def test_an_object_that_went_away_is_gone() -> None:
    box = (100, 100, 180, 200)
    mosaic = regions_of(picture(), changed(box), table(box).xyxy)
    assert mosaic is not None
    assert len(mosaic.merged(Detections.empty(), table(box))) == 0


def test_what_is_cut_off_within_the_picture_is_left_out_but_not_what_its_edge_cuts_off() -> None:
    mosaic = regions_of(picture(), changed((0, 100, 60, 160), (300, 100, 360, 160)), NOTHING)
    assert mosaic is not None
    (left_row,) = np.flatnonzero(mosaic.source[:, 0] == 0)
    for row, source in enumerate(mosaic.source):
        box = (source[0], source[1] + 20, source[0] + 40, source[3] - 20)
        found = mosaic.merged(table(in_mosaic(mosaic, box)), None)
        assert len(found) == (1 if row == left_row else 0)


@pytest.mark.parametrize(
    "mask", [None, changed(), changed((0, 0, WIDTH, HEIGHT)), changed((20, 20, 500, 350))]
)
def test_nothing_and_too_much_are_no_regions(mask: np.ndarray | None) -> None:
    assert regions_of(picture(), mask, NOTHING) is None


def test_columns_that_not_all_have_are_left_out() -> None:
    box, apart = (100, 100, 180, 200), (500, 50, 560, 110)
    mosaic = regions_of(BgrPicture(picture().bgr()), changed(box), NOTHING)
    assert mosaic is not None
    plain, pose = table(in_mosaic(mosaic, box)), table(apart)
    pose = Detections(pose.xyxy, pose.score, pose.label, keypoints=np.zeros((1, 5, 3), np.float32))
    merged = mosaic.merged(plain, pose)
    assert len(merged) == 2
    assert merged.keypoints is None

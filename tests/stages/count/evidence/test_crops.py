import cv2
import numpy as np
import pytest

from pipeline.picture import BgrPicture
from stages.count.evidence.crops import LONGEST_SIDE_PX, PER_OBJECT, Crop, Crops, cut


def picture(width: int = 200, height: int = 100) -> BgrPicture:
    bgr = np.full((height, width, 3), 30, np.uint8)
    bgr[40:60, 80:120] = (0, 0, 230)
    return BgrPicture(bgr)


def shown(jpeg: bytes | None) -> np.ndarray:
    assert jpeg is not None
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_the_object_and_a_little_around_it() -> None:
    image = shown(cut(picture(), np.array([80.0, 40, 120, 60]), 95))
    assert image.shape[:2] == (24, 48)
    assert image[12, 24, 2] > 200
    assert image[0, 0, 2] < 90


@pytest.mark.parametrize("box", [(-50, -50, 20, 20), (190, 90, 300, 300), (-9, -9, 400, 400)])
def test_a_box_that_leaves_the_picture_is_cut_off(box: tuple[int, ...]) -> None:
    assert shown(cut(picture(), np.array(box, float), 80)).size


def test_nothing_of_a_box_outside_or_of_no_size() -> None:
    assert cut(picture(), np.array([300.0, 10, 330, 30]), 80) is None
    assert cut(picture(), np.array([-90.0, 10, -30, 30]), 80) is None
    assert cut(picture(), np.array([50.0, 50, 50, 50]), 80) is None


def test_a_large_object_is_reduced() -> None:
    image = shown(cut(picture(2000, 1000), np.array([0.0, 0, 1900, 900]), 80))
    assert max(image.shape) == LONGEST_SIDE_PX


def test_the_crop_nearest_to_the_crossing_is_taken_once() -> None:
    crops = Crops()
    for time_s in (1.0, 2.0, 3.0):
        crops.add("gate", 7, Crop(time_s, b"%d" % time_s))
    assert crops.take("gate", 8, 2.0) is None
    assert crops.take("gate", 7, 2.2) == Crop(2.0, b"2")
    assert crops.take("gate", 7, 2.2) is None


def test_one_that_dithers_on_the_line_is_not_encoded_each_time() -> None:
    crops, taken = Crops(), 0
    for frame in range(25 * 60):
        if crops.wants("gate", 7, frame / 25):
            crops.add("gate", 7, Crop(frame / 25, b"x" * 1000))
            taken += 1
    assert taken <= 121
    kept = crops.take("gate", 7, 0.0)
    assert kept is not None
    assert kept.time_s > 58  # the latest few
    assert PER_OBJECT == 3


def test_bytes_are_bounded_and_the_forgotten_go() -> None:
    crops = Crops(max_bytes=5_000)
    for number in range(100):
        crops.add("gate", number, Crop(float(number), bytes(1000)))
    assert len(crops) == 5
    crops.forget({96, 97, 3})
    assert len(crops) == 3
    assert crops.take("gate", 99, 0.0) is not None

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.picture import BgrPicture, YuvPicture
from stages.count.evidence.slit import SlitReader, slit_points, to_bgr
from stages.count.place import LinePlace

ACROSS = LinePlace((((0.0, 50.0), (100.0, 50.0)),))
BENT = LinePlace((((0.0, 0.0), (30.0, 0.0), (30.0, 10.0)), ((50.0, 50.0), (50.0, 110.0))))


def test_rows_go_along_the_line_and_columns_from_its_right_to_its_left() -> None:
    points = slit_points(ACROSS, 4, 3, 6.0)
    np.testing.assert_allclose(points[:, 1], [[12.5, 50], [37.5, 50], [62.5, 50], [87.5, 50]])
    np.testing.assert_allclose(points[0], [[12.5, 56], [12.5, 50], [12.5, 44]])


def test_a_bent_line_of_two_gates_is_one_slit() -> None:
    points = slit_points(BENT, 10, 1, 6.0)[:, 0]
    np.testing.assert_allclose(
        points,
        [(5, 0), (15, 0), (25, 0), (30, 5), *((50, y) for y in range(55, 106, 10))],
    )


@pytest.mark.parametrize(
    ("point", "along"),
    [((-5, 3), 0.0), ((15, 4), 0.15), ((30, 0), 0.3), ((33, 10), 0.4), ((50, 80), 0.7), ((50, 500), 1.0)],
)
def test_the_place_of_a_crossing_along_the_line(point: tuple[float, float], along: float) -> None:
    assert BENT.along(point) == pytest.approx(along)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=2, max_size=5, unique=True))
def test_a_row_lies_where_its_place_says(corners: list[tuple[int, int]]) -> None:
    place = LinePlace((tuple((float(x), float(y)) for x, y in corners),))
    for row, point in enumerate(slit_points(place, 7, 1, 0.0)[:, 0]):
        back = place.along((float(point[0]), float(point[1])))
        at = slit_points(place, 2_000, 1, 0.0)[min(int(back * 2_000), 1999), 0]
        assert np.hypot(*(at - point)) < place.length_px / 1_000 + 1e-6, row


def test_a_slit_outside_the_picture_shows_its_edge() -> None:
    bgr = np.zeros((100, 100, 3), np.uint8)
    bgr[-1] = 200
    reader = SlitReader(
        {"gate": LinePlace((((0, 100), (100, 100)),))}, 100, 100, rows=50, across=2, reach_px=9
    )
    into = np.zeros((len(reader), 2, 3), np.uint8)
    assert reader.read(BgrPicture(bgr), into) is None
    assert (into[:, 0] == 200).all()
    assert (into[:, 1] == 0).all()


def test_planes_give_the_same_pixels_as_the_converted_picture() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(60, 180, (100, 100), np.uint8)
    ramp = np.tile(np.arange(100, 150, dtype=np.uint8), (50, 1))
    picture = YuvPicture(y, ramp, np.ascontiguousarray(ramp.T), matrix="bt709")
    places = {"a": LinePlace((((10, 0), (10, 99)),)), "b": LinePlace((((0, 0), (99, 99)),))}
    reader = SlitReader(places, 100, 100, rows=99, across=3, reach_px=4)
    into = np.zeros((len(reader), 3, 3), np.uint8)
    matrix = reader.read(picture, into)
    assert reader.rows == {"a": slice(0, 99), "b": slice(99, 198)}
    shown = to_bgr(into, matrix)
    points = np.concatenate([slit_points(place, 99, 3, 4) for place in places.values()])
    whole = points.clip(0, 99).astype(int)
    wanted = picture.bgr()[whole[..., 1], whole[..., 0]]
    difference = np.abs(shown.astype(int) - wanted.astype(int))
    assert difference.max() <= 3  # OpenCV interpolates the chroma

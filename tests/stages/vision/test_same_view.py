"""Whether a picture shows what a reference shows, on drawn pictures and on unrelated footage."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.vision.halving import halved_luma
from stages.vision.same_view import ReferenceView, SceneView
from stages.vision.view_shift import in_place, locate, search, undone
from tests.shared_data import shared
from tests.stages.health import faults
from tests.stages.vision.pictures import luma, moved, shifted, texture

PLACE = texture()


def view(picture: np.ndarray, seed: int = 3) -> SceneView:
    return SceneView(luma(picture, 1.5, seed))


@pytest.fixture(scope="module")
def reference() -> ReferenceView:
    return ReferenceView(luma(PLACE, 0.3))


def test_the_same_place_is_the_same_under_any_light(reference: ReferenceView) -> None:
    for picture in (PLACE, PLACE * 0.3 + 10, PLACE * 1.2 - 10, 255 - PLACE):
        found = reference.agreement(view(picture))
        assert found.same > 0.9
        assert found.gone == 0


def test_another_place_is_not_the_same(reference: ReferenceView) -> None:
    for seed in range(5, 10):
        found = reference.agreement(view(texture(180, 320, seed)))
        assert abs(found.same) < 0.15
        assert found.gone < 0.05


def test_what_is_plain_has_lost_its_structure_and_what_is_dark_tells_nothing(
    reference: ReferenceView,
) -> None:
    plain = reference.agreement(view(np.full((180, 320), 120.0)))
    assert (plain.gone, plain.told, plain.busy) == (1.0, 1.0, 0.0)
    dark = reference.agreement(view(np.full((180, 320), 18.0)))
    assert (dark.gone, dark.told) == (0.0, 0.0)


def test_half_of_it_covered_is_half_gone(reference: ReferenceView) -> None:
    picture = PLACE.copy()
    picture[:, :160] = 100
    found = reference.agreement(view(picture))
    assert found.gone == pytest.approx(0.5, abs=0.05)
    assert found.same == pytest.approx(0.5, abs=0.05)


def test_a_plain_reference_compares_with_nothing() -> None:
    plain = ReferenceView(np.full((90, 160), 80, np.uint8))
    assert plain.agreement(SceneView(luma(texture(90, 160)))).structured == 0
    assert plain.outline_shift(SceneView(np.full((90, 160), 80, np.uint8))) == (0.0, 0.0, 0.0)
    assert search(plain, SceneView(np.full((90, 160), 80, np.uint8))) is None


@settings(max_examples=12, deadline=None)
@given(x=st.integers(-90, 90), y=st.integers(-50, 50), sign=st.sampled_from([1, -1]))
def test_edges_tell_where_they_have_gone_whatever_their_sign(x: int, y: int, sign: int) -> None:
    # A window into a larger place: what comes in at one side has never been seen.
    place = texture(360, 640, 4)
    reference = ReferenceView(luma(place[90:270, 160:480]))
    picture = place[90 - y : 270 - y, 160 - x : 480 - x]
    right, down, height = reference.outline_shift(view(picture if sign > 0 else 255 - picture))
    assert height > 8
    assert (right, down) == (pytest.approx(x, abs=2), pytest.approx(y, abs=2))


@settings(max_examples=12, deadline=None)
@given(
    x=st.floats(-30, 30),
    y=st.floats(-20, 20),
    degrees=st.floats(-25, 25),
    zoom=st.floats(0.8, 1.3),
)
def test_any_motion_of_the_camera_is_measured(x: float, y: float, degrees: float, zoom: float) -> None:
    matrix = cv2.getRotationMatrix2D((160, 90), -degrees, zoom)
    matrix[:, 2] += x, y
    reference, picture = ReferenceView(luma(PLACE)), view(moved(PLACE, matrix))
    found = locate(reference, picture) or search(reference, picture)
    assert found is not None
    grid = np.stack(np.meshgrid(np.linspace(0, 320, 5), np.linspace(0, 180, 5)), -1).reshape(-1, 2)
    true = np.median(np.hypot(*(grid @ matrix[:, :2].T + matrix[:, 2] - grid).T)) / np.hypot(320, 180)
    assert found.share == pytest.approx(true, abs=0.008)
    assert reference.agreement(undone(picture, found)).same > 0.5
    if np.hypot(x, y) > 3 or abs(degrees) > 3:
        assert found.rotation_deg == pytest.approx(degrees, abs=2.5)
        assert found.zoom == pytest.approx(zoom, abs=0.05)


def test_a_view_that_is_not_there_is_not_found(reference: ReferenceView) -> None:
    for seed in range(5, 10):
        assert locate(reference, view(texture(180, 320, seed))) is None
        assert search(reference, view(texture(180, 320, seed))) is None


def test_what_has_not_moved_has_not_moved(reference: ReferenceView) -> None:
    still = in_place(reference.shape)
    assert (still.share, still.shift_px, still.rotation_deg, still.zoom) == (0, (0, 0), 0, 1)
    found = locate(reference, view(shifted(PLACE, 0.5, 0)))
    assert found is not None
    assert found.share < 0.003


def test_real_places_are_told_apart() -> None:
    names = ["video/traffic_a.mp4", *(f"mot15/{n}/{n}.mp4" for n in ("TUD-Campus", "TUD-Stadtmitte"))]
    clips = [faults.lumas(shared(name), 35)[:3] for name in names]
    reduced = [[cv2.resize(halved_luma(one, 400)[0], (320, 180)) for one in clip] for clip in clips]
    for index, clip in enumerate(reduced):
        reference = ReferenceView(clip[0])
        for other, pictures in enumerate(reduced):
            for picture in map(SceneView, pictures[1:]):
                same, height = reference.agreement(picture).same, reference.outline_shift(picture)[2]
                assert (same > 0.35 and height > 12) if other == index else (same < 0.2 and height < 7)

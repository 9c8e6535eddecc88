import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.count.ground.fit import fit_plane, rectangle_metres
from stages.count.ground.lens import Lens
from tests.stages.count.ground.scenes import HEIGHT, LANE, WIDTH, TrueCamera

cameras = st.builds(
    TrueCamera,
    height_m=st.floats(3, 30),
    tilt_deg=st.floats(10, 60),
    focal_px=st.floats(400, 2500),
)
places = st.lists(st.tuples(st.floats(-20, 20), st.floats(2, 80)), min_size=1, max_size=10)


@settings(deadline=None, max_examples=40)
@given(camera=cameras, metres=places)
def test_it_returns_the_metres_that_the_camera_saw(camera: TrueCamera, metres: list) -> None:
    plane = fit_plane(camera.pixels(LANE), LANE)
    true = np.array(metres)
    seen, _ = plane.to_metres(camera.pixels(true))
    np.testing.assert_allclose(seen, true, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(plane.to_pixels(true), camera.pixels(true), atol=1e-3, rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(
    k1=st.floats(-0.25, 0.25),
    k2=st.floats(-0.03, 0.03),
    p1=st.floats(-0.005, 0.005),
    x=st.floats(0, WIDTH),
    y=st.floats(0, HEIGHT),
)
def test_a_lens_is_undone_or_says_that_it_cannot_be(
    k1: float, k2: float, p1: float, x: float, y: float
) -> None:
    lens = Lens(1000.0, (WIDTH / 2, HEIGHT / 2), (k1, k2, p1, 0.001, 0.0))
    straight = lens.undistorted(np.array([[x, y]]))
    np.testing.assert_allclose(lens.distorted(straight), [[x, y]], atol=1e-3)


def test_a_lens_whose_coefficients_fold_the_picture_has_no_answer_outside() -> None:
    lens = Lens(1000.0, (640.0, 360.0), (-3.0, 0.0, 0.0, 0.0, 0.0))
    assert np.isnan(lens.undistorted(np.array([[5.0, 5.0]]))).all()
    assert np.isfinite(lens.undistorted(np.array([[640.0, 380.0]]))).all()


def test_its_slopes_are_those_of_opencv_s_model() -> None:
    import cv2

    lens = Lens(900.0, (600.0, 350.0), (-0.2, 0.04, 0.002, -0.001, 0.003))
    points = np.random.default_rng(0).uniform(100, 700, (20, 2))
    matrix = np.array([[900.0, 0, 600], [0, 900, 350], [0, 0, 1]])
    flat = np.column_stack([(points - lens.centre) / 900.0, np.ones(20)])
    theirs, _ = cv2.projectPoints(flat, np.zeros(3), np.zeros(3), matrix, np.array(lens.coefficients))
    np.testing.assert_allclose(lens.distorted(points), theirs[:, 0], atol=1e-6)
    for axis in range(2):
        step = np.eye(2)[axis] * 1e-3
        slope = (lens.distorted(points + step) - lens.distorted(points - step)) / 2e-3
        np.testing.assert_allclose(lens.slopes(points)[:, :, axis], slope, atol=1e-6)


def test_with_its_lens_the_plane_is_right_and_without_it_is_not() -> None:
    lens = Lens(1000.0, (WIDTH / 2, HEIGHT / 2), (-0.15, 0.0, 0.0, 0.0, 0.0))
    camera = TrueCamera(lens=lens)
    given_m = np.array([[-4.0, 9], [4, 9], [4, 30], [-4, 30], [0, 15]])
    asked = np.array([[-3.0, 12.0], [2.5, 20.0], [9.0, 20.0], [10.0, 60.0]])
    right, _ = fit_plane(camera.pixels(given_m), given_m, lens=lens).to_metres(camera.pixels(asked))
    wrong, _ = fit_plane(camera.pixels(given_m), given_m).to_metres(camera.pixels(asked))
    np.testing.assert_allclose(right, asked, atol=1e-3)
    assert np.abs(wrong - asked).max() > 0.2


def test_beyond_the_horizon_nothing_is_measurable() -> None:
    camera = TrueCamera()
    plane = fit_plane(camera.pixels(LANE), LANE)
    sky = np.array([[640.0, camera.horizon_y - 1], [640.0, camera.horizon_y - 300]])
    metres, covariance = plane.to_metres(sky, 1.0)
    assert np.isnan(metres).all()
    assert np.isnan(covariance).all()
    assert not plane.is_measurable(sky).any()
    assert np.isnan(plane.to_pixels(np.array([[0.0, -50.0]]))).all()  # behind the camera
    near = np.array([[640.0, camera.horizon_y + 2], [640.0, 500.0]])
    assert plane.is_near_horizon(near, 1.0).tolist() == [True, False]
    assert plane.is_measurable(near, 1.0, max_error_m=1.0).tolist() == [False, True]


@pytest.mark.parametrize("extra", [0, 6])
def test_the_stated_error_is_the_true_one(extra: int) -> None:
    """Monte Carlo: calibrations with errors, and points seen with errors, scatter as the covariance says."""
    rng = np.random.default_rng(4)
    camera = TrueCamera()
    known = np.vstack([LANE, np.column_stack([rng.uniform(-5, 5, extra), rng.uniform(8, 40, extra)])])
    asked = np.array([[0.0, 15.0], [4.0, 25.0]])
    true_px = camera.pixels(asked)
    found, stated = [], []
    for _ in range(70):
        plane = fit_plane(
            camera.pixels(known) + rng.normal(0, 1.0, known.shape),
            known + rng.normal(0, 0.05, known.shape),
            error_px=1.0,
            error_m=0.05,
        )
        found.append(plane.to_metres(true_px + rng.normal(0, 0.7, (2, 2)))[0])
        stated.append(plane.to_metres(true_px, 0.7)[1])
    for k in range(2):
        scatter = np.cov(np.array(found)[:, k].T)
        ratio = np.sqrt(np.diag(scatter) / np.diag(np.mean(stated, axis=0)[k]))
        np.testing.assert_allclose(ratio, 1.0, atol=0.2)


def test_points_that_contradict_each_other_widen_the_error() -> None:
    camera = TrueCamera()
    known = np.vstack([LANE, [[0.0, 20.0], [1.0, 14.0]]])
    seen = camera.pixels(known)
    good = fit_plane(seen, known)
    seen[4] += (0, 40)
    bad = fit_plane(seen, known)
    assert bad.error_px > 3 * good.error_px
    assert np.hypot(*bad.residuals_px().T).argmax() == 4
    assert np.hypot(*bad.residuals_m().T)[4] > 1.0


def test_ransac_leaves_out_a_slip_and_says_which() -> None:
    rng = np.random.default_rng(2)
    camera = TrueCamera()
    known = np.vstack([LANE, np.column_stack([rng.uniform(-5, 5, 4), rng.uniform(10, 30, 4)])])
    seen = camera.pixels(known)
    seen[5] += (60, -25)
    plane = fit_plane(seen, known, method="ransac")
    assert plane.used.tolist() == [index != 5 for index in range(8)]
    metres, _ = plane.to_metres(camera.pixels(known))
    np.testing.assert_allclose(metres, known, atol=0.01)


@pytest.mark.parametrize(
    ("picture", "metres", "message"),
    [
        ([[0, 0], [9, 0], [9, 9]], [[0, 0], [1, 0], [1, 1]], "4 to 100 pairs of points, got 3"),
        (
            [[0, 0], [100, 100], [200, 200], [50, 300]],
            [[0, 0], [1, 0], [2, 1], [0, 3]],
            "points 1, 2 and 3 lie in a line in the picture",
        ),
        (
            [[0, 0], [100, 101], [200, 199], [300, 301], [50, 300]],
            [[0, 0], [1, 0], [2, 1], [0, 3], [5, 5]],
            "points 1, 2, 3 and 4 lie in a line in the picture",
        ),
        (
            [[0, 0], [100, 0], [90, 200], [50, 300]],
            [[0, 0], [5, 0], [10, 0], [3, 3]],
            "points 1, 2 and 3 lie in a line on the ground",
        ),
        (
            [[0, 0], [100, 0], [100, 1], [50, 300]],
            [[0, 0], [5, 0], [10, 5], [3, 3]],
            "points 2 and 3 are 1 px apart in the picture",
        ),
        (
            [[0, 0], [100, 0], [90, 200], [50, 300]],
            [[0, 0], [5, 0], [5, 0], [3, 3]],
            "points 2 and 3 are 0 m apart on the ground",
        ),
        (
            [[0, 0], [100, 0], [0, 100], [100, 100]],
            [[0, 0], [5, 0], [5, 5], [0, 5]],
            "order in the picture and on the ground differ",
        ),
        ([[0, 0], [100, 0], [0, 100], [100, np.nan]], [[0, 0], [5, 0], [5, 5], [0, 5]], "finite"),
    ],
)
def test_points_that_determine_nothing_are_refused(picture: list, metres: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_plane(np.array(picture, float), np.array(metres, float))


def test_ransac_needs_more_points_and_agreement() -> None:
    camera = TrueCamera()
    with pytest.raises(ValueError, match="needs 6 pairs"):
        fit_plane(camera.pixels(LANE), LANE, method="ransac")
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="agree with one plane"):
        fit_plane(rng.uniform(0, 700, (8, 2)), rng.uniform(0, 50, (8, 2)), method="ransac")


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("backwards", [False, True])
def test_a_rectangle_is_right_handed_whichever_way_it_is_gone_round(shift: int, backwards: bool) -> None:
    corners = np.roll(TrueCamera().pixels(LANE), shift, axis=0)
    corners = corners[::-1] if backwards else corners
    sides = [float(np.hypot(*d)) for d in np.diff(np.roll(LANE, shift, axis=0), axis=0)]
    sides = sides[::-1] if backwards else sides
    metres = rectangle_metres([tuple(corner) for corner in corners.tolist()], (sides[0], sides[1]))
    plane = fit_plane(corners, metres)
    assert not plane.mirrored
    assert np.abs(plane.residuals_px()).max() < 1e-6
    assert plane.area_m2([tuple(corner) for corner in corners.tolist()]) == pytest.approx(120, rel=1e-6)


def test_mirrored_metres_are_noticed() -> None:
    mirror = LANE * (-1, 1)
    assert fit_plane(TrueCamera().pixels(LANE), mirror).mirrored
    assert not fit_plane(TrueCamera().pixels(LANE), LANE).mirrored


def test_an_area_that_reaches_the_sky_has_none() -> None:
    camera = TrueCamera()
    plane = fit_plane(camera.pixels(LANE), LANE)
    assert plane.area_m2([(0, 700), (1200, 700), (600, camera.horizon_y - 5)]) is None


def test_metres_of_a_land_survey_are_as_good_as_small_ones() -> None:
    camera = TrueCamera()
    far_m = np.array([499_000.0, 5_432_000.0])
    near, far = fit_plane(camera.pixels(LANE), LANE), fit_plane(camera.pixels(LANE), LANE + far_m)
    at = np.array([[600.0, 500.0]])
    np.testing.assert_allclose(far.to_metres(at, 1.0)[0] - far_m, near.to_metres(at, 1.0)[0], atol=1e-5)
    np.testing.assert_allclose(far.to_metres(at, 1.0)[1], near.to_metres(at, 1.0)[1], rtol=1e-4)
    assert far.scale_error() == pytest.approx(near.scale_error(), rel=1e-4)
    assert fit_plane(camera.pixels(LANE), LANE, error_px=4.0).scale_error() > 1.5 * near.scale_error()

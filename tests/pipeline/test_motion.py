import numpy as np
import pytest

from pipeline.motion import MotionField

TWO = np.zeros((2, 2), np.float32)


@pytest.mark.parametrize(
    ("points", "velocity", "dt_s", "message"),
    [
        (np.zeros(2), TWO, 0.1, r"points must have shape \(N, 2\), got \(2,\)"),
        (TWO, np.zeros((2, 3)), 0.1, r"velocity must have shape \(N, 2\), got \(2, 3\)"),
        (TWO, np.zeros((1, 2)), 0.1, "2 points cannot have 1 velocities"),
        (TWO, np.full((2, 2), np.nan), 0.1, "velocity must be finite"),
        (TWO, TWO, 0.0, "dt_s must be above 0"),
    ],
)
def test_what_is_no_field_is_refused(points, velocity, dt_s: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MotionField(points, velocity, dt_s, 10.0)


def test_where_points_were_and_how_fast_they_are() -> None:
    field = MotionField(np.array([[10, 20]]), np.array([[30, -40]]), 0.1, 10.0)
    assert field.speed.tolist() == [50]
    assert field.origins == pytest.approx(np.array([[7, 24]]))
    assert len(field) == 1
    assert field.points.dtype == np.float32

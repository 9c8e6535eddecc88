from dataclasses import replace

import numpy as np
import pytest

from stages.count.ground.fit import fit_plane
from stages.count.ground.plane import Plane
from stages.count.ground.speed import MOST_SAMPLES, Speedometer
from stages.count.seen import Speed
from tests.stages.count.ground.scenes import LANE, TrueCamera

CAMERA = TrueCamera()
EXACT = fit_plane(CAMERA.pixels(LANE), LANE, error_px=0.01, error_m=0.001)
SIDES = np.array([[60.0, 60.0]])


def driven(
    times_s: list[float],
    kmh: float,
    *,
    heading_deg: float = 0.0,
    start: tuple[float, float] = (0.0, 12.0),
    noise: np.ndarray | float = 0.0,
    plane: Plane = EXACT,
    error_px: float = 1.0,
    sides: np.ndarray | None = None,
    **kind: float,
) -> Speed | None:
    """What is known at the last time of something that drives straight on at constant speed."""
    meter = Speedometer(plane.parameters, **kind)
    way = np.array([np.sin(np.radians(heading_deg)), np.cos(np.radians(heading_deg))]) * kmh / 3.6
    speeds: dict[int, Speed] = {}
    for step, time_s in enumerate(times_s):
        at = CAMERA.pixels(np.array([start]) + way * (time_s - times_s[0]))
        at = at + (noise[step] if isinstance(noise, np.ndarray) else noise)
        size = SIDES if sides is None else sides[step : step + 1]
        speeds = meter.update(
            time_s, [7], plane.read(at), np.array([error_px]), size * 0 if sides is None else size
        )
    return speeds.get(7)


@pytest.mark.parametrize("kmh", [3.0, 50.0, 120.0])
@pytest.mark.parametrize("heading_deg", [0, 45, 90, 200, 300])
def test_it_is_exact_without_noise(kmh: float, heading_deg: float) -> None:
    times_s = [k / 25 for k in range(20)]
    speed = driven(times_s, kmh, heading_deg=heading_deg, start=(0.0, 40.0), error_px=0.01)
    assert speed is not None
    assert speed.kmh == pytest.approx(kmh, rel=0.01)
    assert speed.heading_deg == pytest.approx(heading_deg, abs=0.5) or heading_deg == 0


@pytest.mark.parametrize(
    "times_s",
    [
        [k / 5 for k in range(6)],
        [k / 60 for k in range(61)],
        [0.0, 0.04, 0.08, 0.5, 0.9, 1.0],
        [100.0 + 0.04 * k for k in range(25) if k % 7],
        [0.0, 0.03, 0.1, 0.11, 0.2, 0.31, 0.44, 0.6, 0.61],
    ],
    ids=["5 fps", "60 fps", "gap", "lost pictures", "irregular"],
)
def test_only_media_time_counts_not_the_number_of_pictures(times_s: list[float]) -> None:
    speed = driven(times_s, 54.0, error_px=0.1)
    assert speed is not None
    assert speed.kmh == pytest.approx(54.0, abs=0.1)


def test_what_is_older_than_the_window_does_not_count() -> None:
    meter = Speedometer(EXACT.parameters, window_s=1.0)
    y, speed = 10.0, None
    for step in range(100):
        y += (20 if step < 50 else 40) / 3.6 / 25
        told = meter.update(
            step / 25, [1], EXACT.read(CAMERA.pixels(np.array([[0.0, y]]))), np.array([0.05]), SIDES * 0
        )
        speed = told.get(1)
    assert speed is not None
    assert speed.kmh == pytest.approx(40, abs=0.1)


def test_two_positions_are_no_speed_and_three_are_one_with_a_wide_error() -> None:
    assert driven([0.0, 0.5], 30) is None
    few, many = driven([0.0, 0.1, 0.2], 30), driven([k / 25 for k in range(26)], 30)
    assert few is not None
    assert many is not None
    assert few.error_kmh > 3 * many.error_kmh


def test_after_a_long_gap_it_begins_anew() -> None:
    assert driven([0.0, 0.1, 0.2, 0.3, 30.0], 2) is None


def noise(
    rng: np.random.Generator, times: int, rate_hz: float, sigma: float, alike_s: float, share: float
) -> np.ndarray:
    """Errors (times, 2) px, a share of whose variance lasts for `alike_s`."""
    keep = np.exp(-1 / rate_hz / alike_s)
    slow = rng.normal(0, 1, 2)
    rows = []
    for _ in range(times):
        rows.append(sigma * (np.sqrt(share) * slow + np.sqrt(1 - share) * rng.normal(0, 1, 2)))
        slow = keep * slow + np.sqrt(1 - keep**2) * rng.normal(0, 1, 2)
    return np.array(rows)


@pytest.mark.parametrize(
    ("rate_hz", "kmh", "sigma", "calibration_px", "share"),
    [(25, 50, 2.0, 1.0, 0.5), (5, 50, 2.0, 0.0, 0.5), (25, 5, 2.0, 1.0, 0.5), (25, 50, 4.0, 0.0, 0.5)],
    ids=["car", "5 fps", "on foot", "worse than stated"],
)
def test_ninety_five_of_a_hundred_true_speeds_lie_within_the_error(
    rate_hz: int, kmh: float, sigma: float, calibration_px: float, share: float
) -> None:
    rng = np.random.default_rng(7)
    steps, together, calibrations = rate_hz + 2, 10, 14
    shares = []
    for _ in range(calibrations):
        plane = fit_plane(
            CAMERA.pixels(LANE) + rng.normal(0, calibration_px, LANE.shape),
            LANE,
            error_px=max(calibration_px, 0.01),
            error_m=0.01,
        )
        heading = rng.uniform(0, 2 * np.pi, together)
        way = np.column_stack([np.sin(heading), np.cos(heading)]) * kmh / 3.6
        start = np.column_stack([rng.uniform(-3, 3, together), rng.uniform(18, 28, together)])
        errors = np.array([noise(rng, steps, rate_hz, sigma, 0.4, share) for _ in range(together)])
        meter = Speedometer(plane.parameters)
        for step in range(steps):
            seen = plane.read(CAMERA.pixels(start + way * step / rate_hz) + errors[:, step])
            told = meter.update(
                step / rate_hz, range(together), seen, np.full(together, 2.0), np.zeros((together, 2))
            )
        shares += [abs(speed.kmh - kmh) / speed.error_kmh for speed in told.values()]
    assert len(shares) == together * calibrations
    assert np.mean(np.array(shares) <= 1) >= 0.91
    assert np.median(shares) > 0.15, "wide errors are no honest ones either"


def test_what_stands_is_about_zero() -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        speed = driven([k / 25 for k in range(27)], 0.0, noise=noise(rng, 27, 25, 1.0, 0.4, 0.5))
        assert speed is not None
        assert speed.kmh <= speed.error_kmh < 2


def test_one_wild_box_hardly_matters() -> None:
    wild = np.zeros((26, 2))
    wild[18] = (40, -60)
    speed = driven([k / 25 for k in range(26)], 30, noise=wild)
    assert speed is not None
    assert speed.kmh == pytest.approx(30, abs=1.0)


def test_a_box_that_grows_has_a_wide_error() -> None:
    """It comes into the picture: its front stays at the border, its middle moves at half the speed."""
    times_s = [k / 25 for k in range(26)]
    steady = np.full((26, 2), 60.0)
    growing = steady.copy()
    growing[:, 0] = np.linspace(10, 90, 26)
    still = driven(times_s, 20, heading_deg=90, start=(-5.0, 20.0), sides=steady)
    wide = driven(times_s, 20, heading_deg=90, start=(-5.0, 20.0), sides=growing)
    assert still is not None
    assert wide is not None
    assert wide.error_kmh > 3 * still.error_kmh


def test_a_worse_calibration_gives_a_wider_error() -> None:
    rough = replace(EXACT, parameters=EXACT.parameters * 1e5)
    times_s = [k / 25 for k in range(26)]
    fine, wide = driven(times_s, 50, error_px=0.1), driven(times_s, 50, error_px=0.1, plane=rough)
    assert fine is not None
    assert wide is not None
    assert wide.error_kmh > 5 * fine.error_kmh


def test_many_objects_do_not_disturb_each_other_and_are_forgotten() -> None:
    meter = Speedometer(EXACT.parameters)
    for step in range(26):
        ids = list(range(40))
        metres = np.array([[(k % 8) - 4.0, 10 + k / 8 + k / 3.6 * step / 25] for k in ids])
        speeds = meter.update(
            step / 25, ids, EXACT.read(CAMERA.pixels(metres)), np.full(40, 0.1), np.zeros((40, 2))
        )
    assert [speeds[k].kmh for k in range(40)] == pytest.approx(list(range(40)), abs=0.2)
    meter.forget(range(0, 40, 2))
    assert len(meter) == 20
    meter.clear()
    assert len(meter) == 0


def test_memory_is_that_of_the_objects_at_one_time() -> None:
    meter = Speedometer(EXACT.parameters)
    reading = EXACT.read(CAMERA.pixels(np.array([[0.0, 15.0]])))
    for object_id in range(500):
        for step in range(2 * MOST_SAMPLES if object_id < 3 else 2):
            meter.update(object_id + step / 100, [object_id], reading, np.array([1.0]), SIDES)
        meter.forget([object_id])
    assert len(meter) == 0
    assert meter._samples.size == 16


def test_media_time_may_begin_anew_after_clearing() -> None:
    meter = Speedometer(EXACT.parameters)
    for begin_s in (1000.0, 0.0):
        meter.clear()
        for step in range(10):
            reading = EXACT.read(CAMERA.pixels(np.array([[0.0, 15.0 + step * 0.2]])))
            speeds = meter.update(begin_s + step / 10, [1], reading, np.array([0.1]), SIDES)
        assert speeds[1].kmh == pytest.approx(7.2, abs=0.1)

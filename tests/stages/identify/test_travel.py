import numpy as np
import pytest
from scipy.stats import lognorm

from stages.identify.travel import TravelTime


def test_the_density_is_the_log_normal_one():
    travel = TravelTime(45.0, 1.5, 600.0)
    wanted = lognorm(s=np.log(1.5), scale=45.0)
    for seconds in (10.0, 45.0, 100.0):
        assert travel.density(seconds) == pytest.approx(wanted.pdf(seconds))


@pytest.mark.parametrize("seconds", [0.0, -5.0, 600.1])
def test_nobody_arrives_before_leaving_or_after_the_longest_time(seconds):
    assert TravelTime(45.0, 1.5, 600.0).density(seconds) == 0.0


@pytest.mark.parametrize("given", [None, 45.0, 100.0])
def test_it_learns_the_way_it_is_whatever_was_said_at_first(given):
    travel = TravelTime(given, 1.5, 600.0)
    for seconds in np.random.default_rng(3).lognormal(np.log(60.0), np.log(1.2), 400):
        travel.learn(float(seconds), 1.0)
    assert travel.median_s == pytest.approx(60.0, rel=0.05)
    assert travel.spread == pytest.approx(1.2, rel=0.12)


def test_doubtful_journeys_count_for_little():
    travel = TravelTime(45.0, 1.5, 600.0)
    for _ in range(100):
        travel.learn(200.0, 0.01)
    assert travel.median_s == pytest.approx(45.0, rel=0.1)


def test_it_follows_a_way_that_changes():
    travel = TravelTime(45.0, 1.2, 600.0)
    for seconds, journeys in ((45.0, 1000), (90.0, 1500)):
        for _ in range(journeys):
            travel.learn(seconds, 1.0)
    assert travel.median_s == pytest.approx(90.0, rel=0.05)
    assert travel.spread >= 1.05

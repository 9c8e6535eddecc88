import numpy as np
import pytest

from stages.detect.spend.options import SpendOptions
from stages.detect.spend.pace import Beat, Pacer


def looks(pacer: Pacer, times_s: list[float], *, cost_s: float = 0.0, run: str = "run") -> list[int]:
    """Play frames at these media times, each look at this cost; return which are looked at."""
    looked = []
    for index, pts_s in enumerate(times_s):
        if pacer.due(Beat(run, index, pts_s)):
            looked.append(index)
            pacer.looked(pts_s)
            pacer.paid(cost_s, 1)
    return looked


def at(rate_hz: float, seconds: float) -> list[float]:
    return [index / rate_hz for index in range(round(rate_hz * seconds))]


@pytest.mark.parametrize(
    ("options", "live", "cost_s", "wanted"),
    [
        ({}, False, 1.0, 25),  # a recording waits for its detector
        ({"every": 1}, True, 1.0, 25),
        ({"every": 5}, False, 0.0, 5),
        ({"every": 5}, True, 1.0, 5),
        ({}, True, 0.01, 25),  # there is time for all of them
        ({}, True, 0.07, 10),  # 0.7 of the time at 70 ms a look
        ({"budget": {"cpu": 0.5}}, True, 0.1, 5),
        ({"budget": {"cpu": 0.5}}, False, 0.1, 25),
        ({"budget": {"looks_hz": 5}}, False, 0.0, 5),
        ({"budget": {"looks_hz": 5}, "every": 10}, True, 0.0, 2.5),
        ({"budget": {"looks_hz": 100}}, True, 0.0, 25),
    ],
)
def test_looks_per_second(options: dict[str, object], live: bool, cost_s: float, wanted: float) -> None:
    pacer = Pacer(SpendOptions(**options))
    pacer.begin(live=live)
    assert len(looks(pacer, at(25, 20), cost_s=cost_s)) / 20 == pytest.approx(wanted, rel=0.12)


def test_a_rate_holds_whatever_the_frames_come_at() -> None:
    rng = np.random.default_rng(1)
    times_s = np.cumsum(rng.uniform(0.02, 0.08, 1000)).tolist()
    looked = looks(Pacer(SpendOptions(budget={"looks_hz": 4})), times_s)
    steps_s = np.diff([times_s[index] for index in looked])
    assert steps_s.mean() == pytest.approx(0.25, abs=0.03)
    assert steps_s.max() < 0.35


def test_the_cost_of_a_look_is_that_of_the_last_few() -> None:
    pacer = Pacer(SpendOptions())
    pacer.paid(1.0, 1)
    for _ in range(60):
        pacer.paid(0.2, 2)
    assert pacer.cost_s == pytest.approx(0.1, rel=0.01)


def play(pacer: Pacer, *, lost_after_look: bool, seconds: float, from_s: float = 0.0) -> float:
    """Play frames of which one in ten is lost; return the spacing of looks at the end."""
    since = 0
    for index, pts_s in enumerate(at(25, seconds)):
        lost = since == 1 if lost_after_look else index % 10 == 5
        since += 1
        if lost:
            continue
        if pacer.due(Beat("run", index, from_s + pts_s)):
            pacer.looked(from_s + pts_s)
            pacer.paid(0.07, 1)
            since = 1
    return pacer.spacing_s


def test_frames_that_are_lost_all_the_same_make_it_look_less_often_and_it_recovers() -> None:
    pacer = Pacer(SpendOptions())
    pacer.begin(live=True)
    calm_s = play(pacer, lost_after_look=True, seconds=20)
    assert calm_s == pytest.approx(0.1, rel=0.05)
    busy_s = play(pacer, lost_after_look=False, seconds=20, from_s=100)
    assert 3 * calm_s < busy_s < 0.71
    assert play(pacer, lost_after_look=True, seconds=30, from_s=200) == pytest.approx(calm_s, rel=0.1)


def test_it_begins_anew_with_a_look() -> None:
    pacer = Pacer(SpendOptions(every=10))
    assert looks(pacer, at(25, 0.2)) == [0]
    pacer.begin(live=False)
    assert looks(pacer, at(25, 0.2)) == [0]

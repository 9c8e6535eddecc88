"""OC-SORT's memory of observations: re-update, direction, and times that are not frame counts."""

from __future__ import annotations

import numpy as np
import pytest

from stages.track.overlap.filters import XYSR
from stages.track.overlap.observations import Observations

DT = 1 / 30


def box(x: float, y: float = 100.0, w: float = 40.0, h: float = 80.0) -> np.ndarray:
    return np.array([[x - w / 2, y - h / 2, x + w / 2, y + h / 2]])


def tracked(boxes: list[np.ndarray], dt_s: float = DT) -> tuple[Observations, np.ndarray]:
    """One track that was seen in every frame, and its state."""
    memory, state = Observations(0.1), XYSR.initiate(XYSR.measure(boxes[0]))
    memory.append(boxes[0], state, 0.0)
    for k, seen in enumerate(boxes[1:], start=1):
        state = XYSR.update(XYSR.predict(state, dt_s / DT), XYSR.measure(seen))
        memory.hit(np.array([0]), state, seen, k * dt_s)
    return memory, state


def re_updated_by_a_loop(
    state: np.ndarray, last: np.ndarray, new: np.ndarray, missed: int, frames: float
) -> np.ndarray:
    """The paper's loop for one track: predict and update with each virtual observation, then predict."""
    for i in range(1, missed + 1):
        share = i / (missed + 1)
        state = XYSR.update(XYSR.predict(state, frames), XYSR.measure((1 - share) * last + share * new))
    return XYSR.predict(state, frames)


@pytest.mark.parametrize("rate_hz", [10, 30])
@pytest.mark.parametrize("gaps", [[1], [2, 5], [7, 1, 3], [29]])
def test_re_update_is_the_papers_loop(gaps: list[int], rate_hz: int) -> None:
    """Several tracks, lost for different times, found in the same frame; one was not lost."""
    dt_s, memory, states, last = 1 / rate_hz, Observations(0.1), [], []
    now = 40
    gaps = [0, *gaps]
    for n in range(len(gaps)):
        first = box(100.0 + 300 * n)
        states.append(XYSR.initiate(XYSR.measure(first)))
        memory.append(first, states[-1], 0.0)
        last.append(first)
    for k in range(1, now):
        seen = np.array([n for n, gap in enumerate(gaps) if k < now - gap], np.intp)
        for n in range(len(gaps)):
            states[n] = XYSR.predict(states[n], dt_s / DT)
        for n in seen:
            last[n] = box(100.0 + 300 * n + 4 * k * (1 - n % 2), h=80 + k * n / 4)
            states[n] = XYSR.update(states[n], XYSR.measure(last[n]))
        saved = np.concatenate(states, axis=1)
        memory.hit(seen, saved, np.concatenate([last[n] for n in seen]), k * dt_s)
    before = [memory._columns["state"][n].copy()[:, None] for n in range(len(gaps))]
    current = XYSR.predict(np.concatenate(states, axis=1), dt_s / DT)
    found = np.concatenate([box(150.0 + 300 * n, y=130, w=44) for n in range(len(gaps))])
    after = current.copy()
    memory.re_update(np.arange(len(gaps)), after, found, now * dt_s, XYSR)
    np.testing.assert_array_equal(after[:, 0], current[:, 0])
    for n, gap in enumerate(gaps[1:], start=1):
        oracle = re_updated_by_a_loop(before[n], last[n], found[n : n + 1], gap, dt_s / DT)
        np.testing.assert_allclose(after[:, n : n + 1], oracle, rtol=1e-9, atol=1e-9)
        assert not np.allclose(after[:, n], current[:, n])


@pytest.mark.parametrize(
    ("to", "agreement"),
    [((300, 100), 0.5), ((-300, 100), -0.5), ((127, 500), 0.0), ((327, 300), 0.25)],
    ids=["straight on", "back", "across", "half right"],
)
def test_agreement_with_the_direction_of_motion(to: tuple[float, float], agreement: float) -> None:
    memory, _ = tracked([box(100 + 3 * k) for k in range(12)])
    got = memory.agreement(np.array([0]), box(*to), 12 * DT)
    assert got[0] == pytest.approx(agreement, abs=1e-3)


@pytest.mark.parametrize("frames", [1, 5])
def test_what_stands_still_or_is_new_has_no_direction(frames: int) -> None:
    memory, _ = tracked([box(100)] * frames)
    assert memory.agreement(np.array([0]), box(140, 300), frames * DT)[0] == pytest.approx(0)


@pytest.mark.parametrize("rate_hz", [10, 15, 30, 60, 120, 240])
def test_the_direction_goes_back_in_seconds_at_any_frame_rate(rate_hz: int) -> None:
    """By the 0.1 s asked for, or as near as whole frames come."""
    for frames in range(rate_hz, rate_hz + 6):
        memory, _ = tracked([box(1e3 * k / rate_hz) for k in range(frames)], 1 / rate_hz)
        now = frames / rate_hz
        back_s = now - memory._earlier(now)[0, 0] / 1e3
        assert 0.1 * 0.66 <= back_s <= 0.1 + 1e-9


@pytest.mark.parametrize("missed_s", [0.0, 0.5])
def test_the_direction_starts_at_the_oldest_place_within_its_time_else_at_the_latest(missed_s: float) -> None:
    """It went right, then down in the last frame."""
    memory, _ = tracked([box(100), box(110), box(120), box(120, 110)])
    got = memory._earlier(4 * DT + missed_s)[0]
    assert got.tolist() == ([110, 100] if missed_s == 0 else [120, 110])


def test_the_camera_takes_the_memory_along() -> None:
    """A quarter turn and a zoom: the direction turns, the box moves."""
    memory, _ = tracked([box(100 + 3 * k) for k in range(12)])
    memory.warp(np.array([[0.0, -2.0, 1000.0], [2.0, 0.0, 0.0]]), XYSR)
    np.testing.assert_allclose(memory.box, box(1000 - 200, 2 * 133, 80, 160))
    down = memory.agreement(np.array([0]), box(1000 - 200, 500), 12 * DT)
    assert down[0] == pytest.approx(0.5, abs=1e-3)

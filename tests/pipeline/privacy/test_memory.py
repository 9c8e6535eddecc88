"""Boxes stay while a detector misses their objects, and are led back to before it found them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.privacy import memory as module
from pipeline.privacy.memory import Memory

NONE = np.empty((0, 4))


def box(x: float, y: float = 100.0, width: float = 40.0, height: float = 100.0) -> np.ndarray:
    return np.array([[x, y, x + width, y + height]])


def covers(boxes: np.ndarray, wanted: np.ndarray) -> bool:
    inside = (boxes[:, :2] <= wanted[0, :2] + 1e-6) & (boxes[:, 2:] >= wanted[0, 2:] - 1e-6)
    return bool(inside.all(axis=1).any())


def test_what_is_missed_stays_hidden_for_a_while_and_no_longer() -> None:
    memory = Memory(hold_s=1.0)
    memory.update(box(10), 0.0)
    assert covers(memory.update(NONE, 0.5), box(10))
    assert covers(memory.update(NONE, 1.0), box(10))
    assert not len(memory.update(NONE, 1.01))
    assert not len(memory.update(NONE, 1.02))


def test_without_holding_nothing_stays() -> None:
    memory = Memory(hold_s=0.0)
    memory.update(box(10), 0.0)
    assert not len(memory.update(NONE, 0.04))


def test_what_was_found_again_is_not_hidden_twice() -> None:
    memory = Memory(hold_s=5.0)
    memory.update(box(10), 0.0)
    memory.update(NONE, 0.1)
    assert len(memory.update(box(16), 0.2)) == 1
    assert len(memory.update(box(18), 0.3)) == 1


def test_one_box_does_not_stand_for_two_people() -> None:
    memory = Memory(hold_s=2.0)
    memory.update(np.vstack([box(100), box(125)]), 0.0)
    for step in range(1, 20):  # only one of them is seen any more
        assert covers(memory.update(box(100), step * 0.1), box(125))


@settings(max_examples=50, deadline=None)
@given(
    st.floats(-300, 300),
    st.floats(-100, 100),
    st.floats(5, 50),
    st.lists(st.booleans(), min_size=5, max_size=40),
)
def test_who_walks_on_stays_hidden_however_often_he_is_missed(vx, vy, rate_hz, seen) -> None:
    """Seen for a second, and then missed for no longer than `hold_s`: his box is covered in each picture."""
    memory = Memory(hold_s=0.5)
    last_s, since_s = 0.0, 0.0
    for step, is_seen in enumerate([True] * round(rate_hz + 1) + seen):
        time_s = step / rate_hz
        # He must not go further within a step than an object may, or he is another one.
        shift = np.clip([vx, vy], -15 * rate_hz, 15 * rate_hz) * time_s
        now = box(0, 0) + np.tile(shift, 2)
        hidden = memory.update(now if is_seen else NONE, time_s)
        if is_seen:
            since_s = since_s if time_s - last_s <= 0.5 else time_s
            last_s = time_s
        if time_s - last_s <= 0.5 and last_s - since_s >= 1:
            assert covers(hidden, now)


def test_a_new_object_is_led_back_along_its_way() -> None:
    """He walks 200 px/s and is found at 1.0 s, at x = 200; at 0.6 s he was at 120."""
    memory = Memory(hold_s=1.0, ahead_s=0.5)
    for step in range(31):
        time_s = step / 20
        memory.update(box(200 * time_s) if time_s >= 1.0 else NONE, time_s)
        if time_s >= 1.0 + 0.1:
            for before_s in (time_s - 0.5, time_s - 0.3):
                if 0.5 < before_s < 1.0:
                    assert covers(memory.late(before_s), box(200 * before_s))
    assert not len(memory.late(1.2))


def test_what_was_missed_in_between_is_bridged() -> None:
    memory = Memory(hold_s=2.0, ahead_s=1.0)
    memory.update(box(0), 0.0)
    memory.update(NONE, 0.2)
    memory.update(box(30), 0.4)
    assert covers(memory.late(0.2), box(15))
    assert not len(memory.late(0.0))
    assert not len(memory.late(0.4))


def test_more_than_can_be_remembered_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OBJECTS", 8)
    memory = Memory(hold_s=10.0, ahead_s=1.0)
    for step in range(8):
        memory.update(box(1000.0 * step), step * 0.1)
        assert not memory.is_overwhelmed
    memory.update(box(9000.0), 0.9)
    assert memory.is_overwhelmed
    for step in range(10, 200):
        memory.update(box(1000.0 * step), step * 0.1)
        assert len(memory._objects) <= 9
    memory.update(NONE, 100.0)
    assert not memory.is_overwhelmed


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), max_size=6), max_size=12))
def test_whatever_comes_is_hidden_at_once(pictures) -> None:
    memory = Memory(hold_s=1.0, ahead_s=0.3)
    for step, corners in enumerate(pictures):
        boxes = np.array([[x, y, x + 20, y + 50] for x, y in corners], np.float64).reshape(-1, 4)
        hidden = memory.update(boxes, step * 0.1)
        assert np.isfinite(hidden).all()
        assert all(covers(hidden, one[None]) for one in boxes)
        late = memory.late(step * 0.1 - 0.15)
        assert (late[:, :2] <= late[:, 2:]).all()

"""What is kept of a path: few bytes, an error that is known, and damage that is noticed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.count.history.bits import BitReader, best_parameter, packed, rice_bits, unzigzag, zigzag
from stages.count.history.codec import FULL, Scale, decode, encode, encode_full
from stages.count.history.compact import FORMS, compact
from stages.count.history.simplify import simplify
from tests.stages.count.history.paths import path_of, walk

examples = settings(max_examples=40, deadline=None)


@examples
@given(st.lists(st.integers(0, 2**36), max_size=30), st.integers(0, 31))
def test_rice_codes_are_read_as_they_were_written(numbers, parameter):
    reader = BitReader(packed("".join(rice_bits(number, parameter) for number in numbers)))
    assert [reader.rice(parameter) for _ in numbers] == numbers


@examples
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_zigzag_goes_both_ways(numbers):
    numbers = np.array(numbers)
    assert (zigzag(numbers) >= 0).all()
    assert unzigzag(zigzag(numbers)).tolist() == numbers.tolist()


def test_the_best_parameter_is_the_shortest():
    numbers = np.random.default_rng(1).geometric(0.02, 400) - 1
    lengths = [sum(len(rice_bits(int(n), k)) for n in numbers) for k in range(12)]
    assert best_parameter(numbers) == int(np.argmin(lengths))


knots = st.integers(1, 25).flatmap(
    lambda count: st.tuples(
        st.lists(st.integers(1, 5000), min_size=count, max_size=count),
        st.lists(st.tuples(*[st.integers(-9000, 9000)] * 4), min_size=count, max_size=count),
        st.lists(st.booleans(), min_size=count, max_size=count),
        st.integers(0, 7),
    )
)


@examples
@given(knots, st.integers(0, 2**45), st.sampled_from([1, 33367, 1000]), st.sampled_from([0.5, 1.0, 3.0]))
def test_a_path_comes_back_as_it_was_encoded(given_knots, start_us, tick_us, unit_px):
    steps, points, vanished, form = given_knots
    ticks = np.cumsum(steps) - steps[0]
    data = encode(ticks, np.array(points), np.array(vanished), form)
    path = decode(data, Scale(start_us, tick_us, unit_px))
    assert path.times_s.tolist() == [(start_us + int(tick) * tick_us) / 1e6 for tick in ticks]
    assert (path.xyxy == np.array(points) * (unit_px / 2**form)).all()
    assert path.vanished.tolist() == vanished


def test_a_full_path_comes_back_bit_by_bit():
    path = walk(np.random.default_rng(3), 50)
    again = decode(encode_full(path), Scale(0, 1, 1.0))
    assert (again.times_s == path.times_s).all()
    assert (again.xyxy == path.xyxy).all()


def test_damage_is_noticed():
    whole = walk(np.random.default_rng(4), 60)
    for form in FORMS:
        data = compact(whole, np.zeros(60, bool), 1.0, form).data
        for length in (0, 1, 3, len(data) // 2):
            with pytest.raises(ValueError, match=r"path|bits"):
                decode(data[:length], Scale(0, 1000, 1.0))
    with pytest.raises(ValueError, match="unknown form 9"):
        decode(bytes([9, 1, 2, 3]), Scale(0, 1000, 1.0))


@examples
@given(st.integers(0, 2**32), st.integers(1, 120), st.sampled_from([0.2, 1.0, 6.0]), st.sampled_from(FORMS))
def test_no_side_of_a_box_is_off_by_a_unit(seed, count, jitter_px, form):
    rng = np.random.default_rng(seed)
    whole = walk(rng, count, step_s=rng.choice([0.04, 1 / 30, 0.2]), jitter_px=jitter_px)
    kept = compact(whole, np.zeros(count, bool), 1.5, form)
    off = np.abs(kept.path.at(whole.times_s) - whole.xyxy).max() / 1.5
    assert off < 1
    assert off <= kept.error + 1e-9
    assert (form == FULL) == (kept.error == 0 and kept.data[0] == FULL)
    assert kept.path.times_s[[0, -1]] == pytest.approx(whole.times_s[[0, -1]], abs=0.001)


def test_uneven_times_are_met_too():
    rng = np.random.default_rng(5)
    whole = walk(rng, 80)
    uneven = np.cumsum(rng.uniform(0.001, 0.2, 80))
    whole = path_of(np.column_stack([uneven, whole.xyxy]))
    kept = compact(whole, np.zeros(80, bool), 1.0, 0)
    assert kept.data[0] != FULL
    assert np.abs(kept.path.at(whole.times_s) - whole.xyxy).max() < 1


@examples
@given(st.integers(0, 2**32), st.integers(2, 100), st.floats(0.51, 4))
def test_simplified_points_meet_every_value_and_stay_where_they_must(seed, count, limit):
    rng = np.random.default_rng(seed)
    ticks = np.cumsum(rng.integers(1, 9, count))
    values = np.cumsum(rng.normal(0, 2, (count, 3)), axis=0)
    keep = rng.random(count) < 0.1
    rows, points = simplify(ticks, values, keep, limit)
    assert rows[0] == 0
    assert rows[-1] == count - 1
    assert set(np.flatnonzero(keep)) <= set(rows.tolist())
    met = np.stack([np.interp(ticks, ticks[rows], side) for side in points.T], axis=1)
    assert np.abs(met - values).max() <= limit + 1e-6


def test_a_straight_walk_is_two_points():
    rows, points = simplify(np.arange(500), np.outer(np.arange(500), [2.0, -0.5]), np.zeros(500, bool), 0.98)
    assert rows.tolist() == [0, 499]
    assert np.abs(points[1] - (998, -249.5)).max() <= 0.5


def test_a_limit_without_room_for_rounding_is_refused():
    with pytest.raises(ValueError, match=r"more than 0\.5"):
        simplify(np.arange(2), np.zeros((2, 1)), np.zeros(2, bool), 0.5)

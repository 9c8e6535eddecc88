"""Counting stored paths: the same as counting live, and the compiled twins the same as their reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.count.geometry import Polyline
from stages.count.history.codec import decode
from stages.count.history.compact import FORMS, compact
from stages.count.history.follow import Batch, Gate, batch_crossings, path_crossings
from stages.count.kernels import REFERENCE, are_compiled
from stages.count.line_counter import LineCounter
from tests.stages.count.history.paths import walk

examples = settings(max_examples=50, deadline=None)
CENTRE = (0.5, 0.5)
whole = st.integers(0, 60).map(lambda n: 10.0 * n)
places = st.lists(st.tuples(whole, whole), min_size=2, max_size=5)


def line_through(points):
    """Return a line, None where it would touch itself."""
    try:
        return Polyline(tuple(points))
    except ValueError:
        return None


lines = places.map(line_through).filter(lambda line: line is not None)


def batch_of(paths, seed=0):
    """Keep paths, in turns in each form."""
    kept = [
        compact(path, np.zeros(len(path), bool), 1.0, FORMS[number % 2])
        for number, path in enumerate(paths, seed)
    ]
    data = [each.data for each in kept]
    return Batch(
        np.frombuffer(b"".join(data), np.uint8),
        np.concatenate([[0], np.cumsum([len(each) for each in data])]).astype(np.int64),
        np.array([each.scale.start_us for each in kept], np.int64),
        np.array([each.scale.tick_us for each in kept], np.int64),
        np.array([each.scale.unit_px for each in kept], np.float64),
        np.arange(len(kept)) % 3 > 0,
    )


def same(a, b):
    assert a.rows.tolist() == b.rows.tolist()
    assert a.to_right.tolist() == b.to_right.tolist()
    assert np.allclose(a.times_s, b.times_s, atol=1e-9)
    assert np.allclose(a.points, b.points, atol=1e-7)
    assert a.known_s.tolist() == b.known_s.tolist()


@examples
@given(st.integers(0, 2**32), lines, st.sampled_from([0.0, 4.0, 25.0]), st.sampled_from([0.0, 0.15, 2.0]))
def test_a_path_counts_as_it_does_live(seed, line, band_px, hold_s):
    path = walk(np.random.default_rng(seed), 60)
    counter = LineCounter(line, band_px=band_px, hold_s=hold_s, vanished_s=5, forget_s=50)
    points = path.anchored(CENTRE)
    live = []
    for time_s, point in zip(path.times_s.tolist(), points, strict=True):
        live += counter.update(time_s, [1], point[None], ["car"])
    live += counter.finish()
    again = path_crossings(Gate.of(line, band_px), hold_s, path.times_s, points, path.vanished, True)
    assert again.to_right.tolist() == [crossing.to_right for crossing in live]
    assert np.allclose(again.times_s, [crossing.time_s for crossing in live], atol=1e-9)
    assert np.allclose(again.points.reshape(-1), [x for c in live for x in c.position], atol=1e-7)


@pytest.mark.skipif(not are_compiled(), reason="nothing was compiled at install")
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    lines,
    st.sampled_from([0.0, 4.0, 25.0]),
    st.sampled_from([0.0, 0.15, 2.0]),
    st.sampled_from([(0.5, 1.0), CENTRE, (0.2, 0.7)]),
)
def test_twins_are_the_same_as_their_reference(seed, line, band_px, hold_s, anchor):
    rng = np.random.default_rng(seed)
    paths = [walk(rng, int(rng.integers(1, 40)), jitter_px=rng.choice([0.1, 3.0])) for _ in range(4)]
    batch, gate = batch_of(paths, seed % 2), Gate.of(line, band_px)
    asked = gate, hold_s, anchor, batch, gate.neighbours(1.5)
    twin, reference = batch_crossings(*asked), REFERENCE["batch_crossings"](*asked)
    same(twin[0], reference[0])
    assert twin[1].tolist() == reference[1].tolist() == []
    assert twin[2].tolist() == reference[2].tolist()
    for path in paths:
        vanished = rng.random(len(path)) < 0.1
        one = gate, hold_s, path.times_s, path.anchored(anchor), vanished, bool(rng.random() < 0.5)
        same(path_crossings(*one), REFERENCE["path_crossings"](*one))


@examples
@given(st.integers(0, 2**32), lines)
def test_points_between_points_change_nothing(seed, line):
    rng = np.random.default_rng(seed)
    path = walk(rng, 30)
    times_s = np.unique(np.concatenate([path.times_s, rng.uniform(path.times_s[0], path.times_s[-1], 40)]))
    gate = Gate.of(line, 5.0)
    few = path_crossings(gate, 0.15, path.times_s, path.anchored(CENTRE), path.vanished, True)
    dense = np.stack([np.interp(times_s, path.times_s, side) for side in path.anchored(CENTRE).T], axis=1)
    many = path_crossings(
        gate, 0.15, times_s, np.ascontiguousarray(dense), np.zeros(len(times_s), bool), True
    )
    assert many.to_right.tolist() == few.to_right.tolist()
    assert np.allclose(many.times_s, few.times_s, atol=1e-6)


@pytest.mark.parametrize("run", ["twin", "reference"])
def test_what_is_kept_exactly_or_damaged_is_left_out(run):
    path = walk(np.random.default_rng(1), 20)
    exact = compact(path, np.zeros(20, bool), 1.0, FORMS[-1]).data
    short = compact(path, np.zeros(20, bool), 1.0, 0).data
    data = [short, exact, short[: len(short) // 2], b"", short]
    batch = Batch(
        np.frombuffer(b"".join(data), np.uint8),
        np.concatenate([[0], np.cumsum([len(each) for each in data])]).astype(np.int64),
        np.zeros(5, np.int64),
        np.full(5, 40_000, np.int64),
        np.ones(5),
        np.ones(5, bool),
    )
    count = batch_crossings if run == "twin" else REFERENCE["batch_crossings"]
    _, left_out, _ = count(Gate.of(Polyline(((0, 0), (600, 300))), 5.0), 0.1, CENTRE, batch, ())
    assert left_out.tolist() == [1, 2, 3]


def test_a_path_beside_a_deciding_place_is_in_doubt():
    times_s = np.arange(40) / 10
    line = Polyline(((100.0, 200.0), (500.0, 200.0)))
    gate = Gate.of(line, 10.0)

    def straight(x, to_y):
        y = np.linspace(100, to_y, 40)
        return compact(walk_through(times_s, np.full(40, x), y), np.zeros(40, bool), 1.0, 0)

    cases = {(300, 300): False, (300, 150): False, (300, 210.5): True, (100.5, 300): True, (90, 300): False}
    kept = [straight(*case) for case in cases]
    batch = Batch(
        np.frombuffer(b"".join(each.data for each in kept), np.uint8),
        np.concatenate([[0], np.cumsum([len(each.data) for each in kept])]).astype(np.int64),
        np.array([each.scale.start_us for each in kept], np.int64),
        np.array([each.scale.tick_us for each in kept], np.int64),
        np.ones(len(kept)),
        np.ones(len(kept), bool),
    )
    found, _, doubtful = batch_crossings(gate, 0.15, CENTRE, batch, gate.neighbours(1.42))
    assert [row in doubtful for row in range(len(cases))] == list(cases.values())
    assert 0 in found.rows


def walk_through(times_s, x, y):
    from tests.stages.count.history.paths import path_of

    return path_of(np.column_stack([times_s, x - 5, y - 5, x + 5, y + 5]))


def test_a_path_in_parts_counts_as_a_whole():
    from stages.count.history.follow import Follower

    rng = np.random.default_rng(8)
    line = Polyline(((0.0, 180.0), (640.0, 180.0)))
    counted = 0
    for _ in range(40):
        path = walk(rng, 80)
        gate, points = Gate.of(line, 6.0), path.anchored(CENTRE)
        at_once = path_crossings(gate, 0.15, path.times_s, points, path.vanished, True)
        follower = Follower(gate, 0.15)
        found = follower.follow(path.times_s[:31], points[:31], path.vanished[:31])
        found += follower.follow(path.times_s[30:], points[30:], path.vanished[30:]) + follower.finish()
        assert [each.to_right for each in found] == at_once.to_right.tolist()
        counted += len(found)
    assert counted


def test_every_form_is_read_alike_by_twin_and_reference():
    path = walk(np.random.default_rng(9), 50)
    for form in FORMS:
        kept = compact(path, np.zeros(50, bool), 1.0, form)
        assert (decode(kept.data, kept.scale).xyxy == kept.path.xyxy).all()

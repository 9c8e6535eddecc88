from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.pairing import paired


@pytest.mark.parametrize(
    ("found", "true", "pairs"),
    [
        ([], [], []),
        ([1.0], [], []),
        ([1.0], [1.5], [(0, 0)]),
        ([1.0], [2.0], [(0, 0)]),
        ([1.0], [2.01], []),
        ([5.0, 1.0], [1.2, 5.3], [(1, 0), (0, 1)]),
        ([1.0, 1.1], [1.05], [(0, 0)]),  # one truth is used once
        ([1.0, 2.0], [1.9, 2.9], [(0, 0), (1, 1)]),  # the nearest pair would cost the other one its own
        ([1.0, 1.2], [1.2, 1.0], [(0, 1), (1, 0)]),
    ],
)
def test_cases(found, true, pairs):
    assert paired(found, true, 1.0) == pairs


def test_of_two_the_one_of_the_same_class_is_taken():
    assert paired([1.0], [1.1, 1.4], 1.0, found_labels=["bus"], true_labels=["car", "bus"]) == [(0, 1)]
    assert paired([1.0], [1.1], 1.0, found_labels=["bus"], true_labels=["car"]) == [(0, 0)]
    assert paired([1.0], [1.1, 1.4], 1.0, found_labels=["bus"], true_labels=[None, "bus"]) == [(0, 0)]


moments = st.lists(st.integers(0, 40).map(lambda tenths: tenths / 10), max_size=5)


@settings(max_examples=80, deadline=None)
@given(moments, moments)
def test_no_other_way_has_more_pairs_or_nearer_ones(found, true):
    pairs = paired(found, true, 1.0)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    own = sum(abs(found[i] - true[j]) for i, j in pairs)
    short, long = sorted((found, true), key=len)
    best = (0, 0.0)
    for chosen in permutations(long, len(short)):
        near = [abs(a - b) for a, b in zip(short, chosen, strict=True) if abs(a - b) <= 1.0]
        best = max(best, (len(near), -sum(near)))
    assert (len(pairs), -own) == (best[0], pytest.approx(best[1]))


def test_a_month_of_crossings_takes_no_table_of_all_against_all():
    true = [second * 3.0 for second in range(10_000)]
    assert len(paired([second + 0.4 for second in true], true, 1.0)) == 10_000


def test_a_very_dense_stretch_is_paired_as_fully():
    true = [tick * 0.1 for tick in range(2_100)]
    assert len(paired(true, true, 1.0)) == 2_100

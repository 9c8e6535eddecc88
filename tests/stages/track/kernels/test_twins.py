"""Each compiled kernel against the numpy function that it stands for, on random input."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stages.track.methods  # noqa: F401 - the import registers every kernel
from pipeline.twins import digest
from stages.track.kernels import REFERENCE
from tests.stages.track.kernels.inputs import INPUTS

compiled = pytest.importorskip("stages.track.kernels.compiled", reason="nothing was compiled at install")

# These promise no order, or none among the pairs of a track.
UNORDERED = {"gated_pairs", "near_pairs", "overlapping_pairs", "undisputed"}
# These sum up or return float32 numbers.
SINGLE = {
    "append_looks",
    "gallery_distance",
    "look_distance",
    "look_ratio",
    "shown",
    "smooth_looks",
    "unit_rows",
}
each_kernel = pytest.mark.parametrize("name", sorted(INPUTS))


def test_every_kernel_is_tested_and_there_is_a_twin_of_each() -> None:
    twins = {
        name
        for name in dir(compiled)
        if type(getattr(compiled, name)).__name__ == type(compiled.reach).__name__
    }
    assert set(INPUTS) == set(REFERENCE) == twins


def test_what_is_tested_was_compiled_from_the_present_source() -> None:
    assert digest(Path(compiled.__file__).parent) in (None, compiled.SOURCE)


def spread_out(value: Any) -> Any:
    """The same array as a view whose elements do not lie side by side."""
    if not isinstance(value, np.ndarray) or not value.ndim:
        return value
    roomy = np.zeros((*value.shape[:-1], 2 * value.shape[-1] + 1), value.dtype)
    roomy[..., ::2][..., : value.shape[-1]] = value
    return roomy[..., ::2][..., : value.shape[-1]]


def frozen(value: Any) -> Any:
    """A copy that nobody may write to."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
    return value


def in_order(result: tuple[Any, ...] | Any) -> Any:
    """Pairs, and what is told of each, by row and column."""
    if not isinstance(result, tuple):
        return np.sort(result)
    order = np.lexsort((result[1], result[0]))
    return tuple(part[order] for part in result)


def assert_same(name: str, ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(name, mine, other)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        tolerance = 2e-6 if name in SINGLE else 1e-10
        if theirs.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=name)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
    else:
        assert ours == theirs or ours == pytest.approx(theirs, rel=1e-12)


def compare(name: str, seed: int, n: int, views: bool) -> None:
    args = INPUTS[name](np.random.default_rng(seed), n)
    ours, theirs = copy.deepcopy(args), copy.deepcopy(args)
    if views:
        ours = tuple(spread_out(value) for value in ours)
    expected, result = REFERENCE[name](*theirs), getattr(compiled, name)(*ours)
    if name == "measure" and expected[1] < 1.0:  # only corners and scores are filled in
        expected, result = tuple((part[0][4:8], *part[1:]) for part in (expected, result))
    if name in UNORDERED:
        if name == "near_pairs":
            assert (np.diff(result[0]) >= 0).all(), "ordered by track"
        expected, result = in_order(expected), in_order(result)
    assert_same(name, result, expected)
    assert_same(name, ours, theirs)  # what was changed in place


@each_kernel
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([0, 1, 2, 5, 17, 60, 150]), views=st.booleans())
def test_a_twin_does_what_its_function_does(name: str, seed: int, n: int, views: bool) -> None:
    compare(name, seed, n, views)


@each_kernel
def test_with_many_rows(name: str) -> None:
    compare(name, 5, 5000, views=False)


@each_kernel
def test_what_is_only_read_may_be_read_only(name: str) -> None:
    args = INPUTS[name](np.random.default_rng(3), 20)
    changed = copy.deepcopy(args)
    REFERENCE[name](*changed)
    is_written = [
        isinstance(now, np.ndarray) and not np.array_equal(now, before)
        for now, before in zip(changed, args, strict=True)
    ]
    getattr(compiled, name)(
        *(value if written else frozen(value) for value, written in zip(args, is_written, strict=True))
    )


@pytest.mark.parametrize("n", [1, 3, 200])
def test_points_far_apart_and_all_in_one_place_are_found(n: int) -> None:
    """The grid has to be made of anything: of no extent, of a line, of points a million px apart."""
    rng = np.random.default_rng(n)
    for scale in ([0, 0], [0, 50], [50, 0], [1e6, 1e-3], [1e9, 1e9]):
        centre, points = (rng.uniform(-1, 1, (2, n)) * np.array(scale)[:, None] for _ in range(2))
        reach = rng.choice([0.0, 1.0, 1e7], n)
        assert_same(
            "near_pairs",
            in_order(compiled.near_pairs(centre, reach, points)),
            in_order(REFERENCE["near_pairs"](centre, reach, points)),
        )


def test_unit_rows_are_returned_as_they_are() -> None:
    rows = np.eye(4, dtype=np.float32)
    assert compiled.unit_rows(rows) is rows


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_embeddings_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        compiled.unit_rows(np.full((2, 3), value))

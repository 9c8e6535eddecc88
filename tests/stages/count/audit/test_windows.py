from dataclasses import replace

import pytest

from stages.count.audit.windows import MINUTE_NS, sample, windows_of
from tests.stages.count.audit.runs import BEGIN_NS, counts_in, made_windows, strip_at

S = 1_000_000_000


@pytest.mark.parametrize(
    ("at_s", "window"),
    [(0, 0), (29.5, 0), (29.99, 0), (30, 1), (59.9, 1), (-0.5, 0), (61, None), (-2, None)],
)
def test_a_crossing_belongs_to_the_strip_of_its_time(at_s: float, window: int | None) -> None:
    (count,) = counts_in(0, 1)
    moved = replace(count, time_ns=BEGIN_NS + round(at_s * S))
    windows = windows_of([strip_at(1), strip_at(0)], [moved])
    with_strip = [one for one in windows if one.strip is not None]
    assert [len(one.counts) for one in with_strip] == [int(window == number) for number in range(2)]
    assert len(windows) == 2 + (window is None)


def test_counts_without_a_strip_are_taken_by_the_minute() -> None:
    counts = [replace(one, line="other") for one in counts_in(0, 3) + counts_in(4, 2)]
    windows = windows_of([strip_at(0)], counts)
    bare = [window for window in windows if window.strip is None]
    assert [len(window.counts) for window in bare] == [3, 2]
    assert all(window.begin_ns % MINUTE_NS == 0 for window in bare)
    assert [window.line for window in windows] == ["gate", "other", "other"]


def test_ids_stay_the_same_when_the_run_goes_on() -> None:
    early, late = made_windows(2, 3), made_windows(2, 3, 4)
    assert [window.id for window in early] == [window.id for window in late][:2]
    assert len({window.id for window in late}) == 3


def test_a_sample_is_drawn_repeats_itself_and_keeps_the_order() -> None:
    windows = made_windows(*[2] * 40)
    drawn = sample(windows, (), most_counts=20, most_windows=100, seed=0)
    assert len(drawn) == 10
    assert drawn == sample(windows, (), most_counts=20, most_windows=100, seed=0)
    assert drawn != sample(windows, (), most_counts=20, most_windows=100, seed=1)
    assert [windows.index(window) for window in drawn] == sorted(windows.index(window) for window in drawn)
    assert len(sample(windows, (), most_counts=1000, most_windows=7, seed=0)) == 7


def test_what_was_marked_before_is_in_the_sample() -> None:
    windows = made_windows(*[2] * 40)
    marked = {windows[number].id for number in range(0, 40, 2)}
    drawn = {window.id for window in sample(windows, marked, most_counts=4, most_windows=3, seed=0)}
    assert drawn == marked

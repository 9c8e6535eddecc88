import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from stages.count.audit.accuracy import difference, judge, poisson, wilson
from stages.count.audit.marks import Marks, Missed, Verdict
from tests.stages.count.audit.runs import BEGIN_NS, made_windows

RIGHT, WRONG = Verdict(verdict="right"), Verdict(verdict="wrong", why="nothing")
TURNED = Verdict(verdict="wrong", why="direction")


def hour_of(time_ns: int) -> str:
    return f"hour {(time_ns - BEGIN_NS) // 60_000_000_000}"


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipy_s(trial: tuple[int, int]) -> None:
    successes, trials = trial
    wanted = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_nothing_tried_is_nothing_known() -> None:
    assert wilson(0, 0) is None


@pytest.mark.parametrize(
    ("events", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.390)]
)
def test_poisson_as_tabulated(events: int, low: float, high: float) -> None:
    assert poisson(events) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize(("superfluous", "missing"), [(1.0, 4.0), (8.0, 8.0), (30.0, 12.0)])
def test_the_interval_of_a_difference_holds_in_95_of_100_cases(superfluous: float, missing: float) -> None:
    rng = np.random.default_rng(1)
    draws = rng.poisson([superfluous, missing], (400, 2)).tolist()
    intervals = [difference(one, other) for one, other in draws]
    held = np.mean([low <= superfluous - missing <= high for low, high in intervals])
    assert held > 0.93


def test_precision_is_of_what_is_marked_and_recall_of_what_was_looked_through() -> None:
    windows = made_windows(4, 3)
    marks = Marks(
        counts={"0-0": RIGHT, "0-1": RIGHT, "0-2": RIGHT, "0-3": WRONG, "1-0": RIGHT},
        missed=(
            Missed(window=windows[0].id, time_ms=0, along=0.5, direction="down", label="bus"),
            Missed(window=windows[1].id, time_ms=0, along=0.5, direction="down", label="bus"),
        ),
        reviewed=frozenset({windows[0].id, windows[1].id}),  # the second is not marked to its end
    )
    report = judge(windows, marks, hour_of)
    total = report.total.to_dict()
    assert (report.windows, report.reviewed_windows) == (2, 1)
    assert (total["counts"], total["right"], total["wrong"], total["missed"]) == (7, 4, 1, 1)
    assert total["precision"] == pytest.approx(4 / 5)
    assert total["recall"] == pytest.approx(3 / 4)
    assert total["precision_interval"] == pytest.approx(wilson(4, 5), abs=1e-6)
    assert total["recall_interval"] == pytest.approx(wilson(3, 4), abs=1e-6)
    assert total["count_error"] == 0
    low, high = total["count_error_interval"]
    assert -1 <= low < 0 < high


def test_groups_by_line_direction_class_and_hour() -> None:
    windows = made_windows(4, 3)
    marks = Marks(
        counts={"0-0": RIGHT, "0-1": WRONG},
        missed=(Missed(window=windows[1].id, time_ms=0, along=0, direction="up", label="bus"),),
        reviewed=frozenset({windows[1].id}),
    )
    groups = judge(windows, marks, hour_of).groups
    assert groups["line"]["gate"].counts == 7
    assert {name: (one.right, one.wrong) for name, one in groups["direction"].items()} == {
        "gate: up": (1, 0),
        "gate: down": (0, 1),
    }
    assert set(groups["class"]) == {"car"}  # its window has counts that nobody has marked
    assert {name: one.counts for name, one in groups["hour"].items()} == {"hour 0": 7}


def test_what_went_the_other_way_is_neither_right_nor_an_error_of_the_total() -> None:
    windows = made_windows(2)
    marks = Marks(counts={"0-0": RIGHT, "0-1": TURNED}, reviewed=frozenset({windows[0].id}))
    total = judge(windows, marks, hour_of).total.to_dict()
    assert (total["precision"], total["recall"], total["true"], total["count_error"]) == (0.5, 0.5, 2, 0)


def test_lines_of_several_streams_are_told_apart_and_nothing_marked_gives_no_figure() -> None:
    windows = made_windows(1)
    other = made_windows(1)[0]
    other.stream = "yard"
    report = judge([*windows, other], Marks(), hour_of).to_dict()
    assert set(report["by"]["line"]) == {"cam/gate", "yard/gate"}
    assert report["total"]["precision"] is report["total"]["recall"] is report["total"]["count_error"] is None

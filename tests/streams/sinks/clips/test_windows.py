from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sinks.clips.windows import MOST_NAMED, Request, Rule, Window, place

RULE = Rule(pre_s=2.0, post_s=3.0, most_s=20.0)


def request(at_s: float | None, number: int = 0, run: str = "run") -> Request:
    return Request(run, UUID(int=number), "line.crossing", "gate", at_s, 0)


def placed(times: list[float], rule: Rule = RULE) -> list[Window]:
    windows: list[Window] = []
    for number, at_s in enumerate(times):
        new = place(request(at_s, number), windows, rule)
        windows += [] if new is None else [new]
    return windows


@pytest.mark.parametrize(
    ("times", "spans"),
    [
        ([10.0], [(8.0, 13.0)]),
        ([10.0, 12.0], [(8.0, 15.0)]),
        ([10.0, 15.0], [(8.0, 18.0)]),
        ([10.0, 15.1], [(8.0, 13.0), (13.1, 18.1)]),
        ([10.0, 7.0], [(5.0, 13.0)]),
        ([10.0, 14.0, 18.0, 22.0, 26.0], [(8.0, 25.0), (25.0, 29.0)]),
    ],
)
def test_windows_around_events(times: list[float], spans: list[tuple[float, float]]) -> None:
    assert [(window.start_s, window.end_s) for window in placed(times)] == [
        pytest.approx(span) for span in spans
    ]


@given(st.lists(st.floats(0, 200), max_size=60).map(sorted))
def test_every_event_is_shown_and_none_too_long(times: list[float]) -> None:
    windows = placed(times)
    assert sum(window.count for window in windows) == len(times)
    for at_s in times:
        assert any(window.start_s <= at_s <= window.end_s for window in windows)
        assert any(window.start_s <= at_s + 3.0 <= window.end_s for window in windows)
    for window in windows:
        assert 0 <= window.end_s - window.start_s <= 20.0 + 1e-9
    for earlier, later in pairwise(windows):
        assert later.start_s >= earlier.end_s - 1e-9  # nothing is shown twice


def test_other_runs_have_their_own() -> None:
    (window,) = placed([10.0])
    assert place(request(10.5, run="next"), [window], RULE) is not None


def test_a_window_names_no_more_than_so_many() -> None:
    (window,) = placed([10.0] * (MOST_NAMED + 5))
    assert (len(window.requests), window.count) == (MOST_NAMED, MOST_NAMED + 5)
    assert window.first.offsets_s(window) == (2.0, 3.0)


def test_only_media_time_places() -> None:
    with pytest.raises(ValueError, match="media time"):
        place(request(None), [], RULE)

"""What counts as observed, as a table: frames with their times, gaps and suspensions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.frame import Frame, Gap
from streams.sinks.counts.coverage import SPARSE_S, Coverage
from tests.streams.sinks.counts.table import feed, frames, open_sink, table
from tests.streams.sinks.material import crossing, frame


def seen_s(*items: Frame) -> tuple[float, float]:
    """Seconds observed and seconds suspended."""
    coverage, found = Coverage(), [0, 0]
    for item in items:
        span = coverage.add(item)
        if span is not None:
            found[span.suspended] += span.end_ns - span.start_ns
    return found[0] / 1e9, found[1] / 1e9


def after(gap_s: float | None, pts_s: float) -> Frame:
    made = frame(pts_s)
    made.gap = Gap("decode error", None, gap_s)
    return made


def suspended(pts_s: float) -> Frame:
    made = frame(pts_s)
    made.suspended = "moved"
    return made


def jumped(pts_s: float, wall_s: float) -> Frame:
    """A frame whose wall clock shows something else than the media clock."""
    made = frame(pts_s)
    made.moment = replace(made.moment, time_ns=round(wall_s * 1e9))
    return made


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([frame(0)], (0, 0)),
        ([frame(0), frame(1), frame(2)], (2, 0)),
        ([frame(0), frame(4.9)], (4.9, 0)),
        ([frame(0), frame(SPARSE_S + 0.1)], (0, 0)),
        ([frame(0), after(0.5, 1)], (0.5, 0)),
        ([frame(0), after(59, 60)], (1, 0)),
        ([frame(0), after(None, 1)], (0, 0)),
        ([frame(0), after(3, 1)], (0, 0)),
        ([frame(0), suspended(1), suspended(2), frame(3), frame(4)], (2, 2)),
        ([frame(5, run="a"), frame(1, run="b", start_s=10), frame(2, run="b", start_s=10)], (1, 0)),
        ([frame(5, run="a"), frame(6, run="b")], (1, 0)),
        ([frame(0), jumped(1, 3601)], (1, 0)),
        ([frame(0), jumped(1, -3599), jumped(2, -3598)], (1, 0)),
        ([frame(0), jumped(1, 0.25)], (0.25, 0)),
    ],
)
def test_what_is_observed(items: list[Frame], expected: tuple[float, float]) -> None:
    assert seen_s(*items) == pytest.approx(expected)


def columns(folder: Path) -> list[tuple[str, ...]]:
    names = ("start", "complete", "observed_s", "suspended_s", "missing_s")
    return [
        (row["start"][11:19], *(row[name] for name in names[1:]))
        for row in table(folder)
        if row["direction"] == "in"
    ]


def test_each_interval_says_how_much_of_it_was_observed(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    gap = frame(150, counts={"main": {"in": {}, "out": {}}})
    gap.gap = Gap("connection lost", 140.0, 10.0)
    feed(sink, *frames(30, 140), gap, *frames(151, 270))
    sink.close()
    assert columns(tmp_path) == [
        ("00:00:00", "false", "30.00", "0.00", "30.00"),
        ("00:01:00", "true", "60.00", "0.00", "0.00"),
        ("00:02:00", "false", "50.00", "0.00", "10.00"),
        ("00:03:00", "true", "60.00", "0.00", "0.00"),
        ("00:04:00", "false", "30.00", "0.00", "30.00"),
    ]


def test_a_moved_camera_marks_the_interval(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    for item in frames(0, 120):
        item.suspended = "moved" if 40 <= item.moment.pts_s < 70 else None
        feed(sink, item)
    sink.close()
    assert columns(tmp_path)[:2] == [
        ("00:00:00", "false", "40.00", "20.00", "0.00"),
        ("00:01:00", "false", "50.00", "10.00", "0.00"),
    ]


def test_a_hundredth_may_be_missing(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    feed(sink, *frames(0.5, 59.9, 0.1))
    sink.close()
    assert columns(tmp_path) == [("00:00:00", "true", "59.40", "0.00", "0.60")]


def test_a_clock_that_was_set_back_observes_no_more_than_there_is(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    feed(sink, *frames(0, 60), *(jumped(60 + n, n) for n in range(59)))
    sink.close()
    assert ("00:00:00", "true", "60.00", "0.00", "0.00") in columns(tmp_path)


def test_of_what_becomes_known_late_nothing_is_said_twice(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    feed(sink, *frames(0, 100), crossing(59, "late"), *frames(101, 140))
    sink.close()
    rows = [row for row in table(tmp_path) if row["start"][11:19] == "00:00:00" and row["direction"] == "in"]
    assert [(row["class"], row["count"], row["complete"], row["observed_s"]) for row in rows] == [
        ("", "0", "true", "60.00"),
        ("car", "1", "", ""),
    ]


def test_who_counts_without_a_line_has_a_row_who_does_not_count_has_none(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, "counting", "recording", bin_s=60)
    feed(sink, *frames(0, 59, stream="counting", counts={}), *frames(0, 59, stream="recording", counts=None))
    sink.close()
    assert [(row["stream"], row["line"], row["count"]) for row in table(tmp_path)] == [("counting", "", "0")]

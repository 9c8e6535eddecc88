from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import SinkError
from pipeline.event import Event, Producer
from pipeline.frame import Counts, Frame
from pipeline.plugin import SinkContext
from streams.sinks.counts import COLUMNS, LATE_S, CountsOptions, CountsSink, StreamBins
from tests.streams.sinks.material import crossing, frame, info

BOTH: Counts = {"main": {"in": {}, "out": {}}}


def open_sink(folder: Path, *streams: str, **options: Any) -> CountsSink:
    sink = CountsSink(CountsOptions(**options), SinkContext(folder))
    for stream in streams or ("gate",):
        sink.open_stream(info(stream))
    return sink


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "counts.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def short(folder: Path) -> list[tuple[str, ...]]:
    """(direction, label, start of the bin as hh:mm:ss, count) of each row."""
    return [(row["direction"], row["label"], row["start"][11:19], row["count"]) for row in table(folder)]


def feed(sink: CountsSink, *items: Event | Frame) -> None:
    for item in items:
        if isinstance(item, Event):
            sink.on_event(item)
        else:
            sink.on_frame(item)


def test_the_columns(tmp_path: Path) -> None:
    eight = 1_772_352_000.0  # 2026-03-01T08:00:00Z
    sink = open_sink(tmp_path, bin_s=900)
    feed(sink, crossing(10.5, start_s=eight), frame(10.5, start_s=eight))
    sink.close_stream("gate")
    sink.close()
    assert (tmp_path / "counts.csv").read_text() == (
        "stream,line,direction,label,start,end,start_s,count\n"
        "gate,main,in,car,2026-03-01T08:00:00.000Z,2026-03-01T08:15:00.000Z,0.000,1\n"
    )


def test_bins_begin_at_multiples_of_their_length_since_1970_not_with_the_file(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    start_s = 8 * 3600 + 45.0
    for n, pts_s in enumerate((0, 14.999, 15.0, 74.999, 75.0)):
        feed(sink, crossing(pts_s, str(n), start_s=start_s), frame(pts_s, start_s=start_s))
    sink.close_stream("gate")
    assert short(tmp_path) == [
        ("in", "car", "08:00:00", "2"),
        ("in", "car", "08:01:00", "2"),
        ("in", "car", "08:02:00", "1"),
    ]
    assert [row["start_s"] for row in table(tmp_path)] == ["-45.000", "15.000", "75.000"]
    sink.close()


def test_a_watched_line_without_crossings_is_counted_as_zero(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, frame(1, counts=BOTH), crossing(11), frame(12, counts={"main": {"in": {"car": 1}, "out": {}}}))
    sink.close_stream("gate")
    assert short(tmp_path) == [
        ("in", "", "00:00:00", "0"),
        ("out", "", "00:00:00", "0"),
        ("in", "car", "00:00:10", "1"),
        ("out", "", "00:00:10", "0"),
    ]
    sink.close()


def test_a_bin_in_which_nothing_was_watched_has_no_rows(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, frame(1, counts=BOTH), frame(95, counts=BOTH))
    sink.close_stream("gate")
    assert [row[2] for row in short(tmp_path)] == ["00:00:00"] * 2 + ["00:01:30"] * 2
    sink.close()


def test_labels_directions_and_lines_have_a_row_each_in_sorted_order(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    feed(
        sink,
        crossing(1, "1", label="truck"),
        crossing(2, "2", label="car"),
        crossing(3, "3", label="car"),
        crossing(3, "4", line="exit", direction="out", label=None),
        frame(4),
    )
    sink.close_stream("gate")
    found = [(row["line"], row["direction"], row["label"], row["count"]) for row in table(tmp_path)]
    assert found == [("exit", "out", "", "1"), ("main", "in", "car", "2"), ("main", "in", "truck", "1")]
    sink.close()


def test_a_crossing_known_late_counts_in_the_bin_of_its_own_moment(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, frame(9, counts=BOTH), frame(11, counts=BOTH), crossing(9.5), frame(12, counts=BOTH))
    sink.close_stream("gate")
    assert short(tmp_path)[0] == ("in", "car", "00:00:00", "1")
    assert ("in", "", "00:00:10", "0") in short(tmp_path)
    sink.close()


def test_a_bin_is_written_when_it_is_final_not_before(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, crossing(9), frame(9), frame(9 + LATE_S))
    assert table(tmp_path) == []
    feed(sink, frame(9 + LATE_S + 0.1))
    assert short(tmp_path) == [("in", "car", "00:00:00", "1")]
    sink.close()


def test_a_crossing_known_after_its_bin_was_written_adds_a_row(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, crossing(9, "1"), frame(9), frame(50), crossing(9.5, "2"), frame(51))
    sink.close_stream("gate")
    assert short(tmp_path) == [("in", "car", "00:00:00", "1"), ("in", "car", "00:00:00", "1")]
    sink.close()


def test_other_events_do_not_count(tmp_path: Path) -> None:
    sink = open_sink(tmp_path)
    feed(sink, frame(1).event("stream.gap", "1", Producer("engine")), frame(1))
    sink.close()
    assert table(tmp_path) == []


def test_streams_share_the_file_each_in_its_own_order(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, "north", "south", bin_s=10)
    for stream in ("south", "north"):
        feed(sink, *(crossing(n, str(n), stream=stream) for n in range(30)), frame(30, stream=stream))
    sink.close_stream("south")
    sink.close()
    for stream in ("north", "south"):
        rows = [row for row in table(tmp_path) if row["stream"] == stream]
        assert [(row["start_s"], row["count"]) for row in rows] == [
            ("0.000", "10"),
            ("10.000", "10"),
            ("20.000", "10"),
        ]


def test_a_new_run_with_its_media_clock_at_zero_keeps_the_counts(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    feed(sink, crossing(500, "1"), frame(500))
    feed(sink, crossing(1, "2", start_s=505), frame(1, run="second", start_s=505))
    sink.close_stream("gate")
    assert sum(int(row["count"]) for row in table(tmp_path) if row["start"][11:19] == "00:08:00") == 2
    sink.close()


@settings(max_examples=100, deadline=None)
@given(
    crossings=st.lists(
        st.tuples(st.floats(0, 600), st.floats(0, 60), st.sampled_from(["car", "bus"])), max_size=40
    ),
    bin_s=st.integers(1, 120),
)
def test_no_crossing_is_lost_or_moved_whenever_it_becomes_known(
    crossings: list[tuple[float, float, str]], bin_s: int
) -> None:
    """Crossings known up to 60 s late, twice as late as a bin waits."""
    bins = StreamBins("gate", bin_s)
    known = sorted((at + delay, n) for n, (at, delay, _) in enumerate(crossings))
    rows = []
    for n, tick in enumerate(range(0, 670, 2)):
        while known and known[0][0] <= tick:
            at, _, label = crossings[known.pop(0)[1]]
            bins.add_crossing(crossing(at, str(n), label=label))
        bins.add_frame(frame(tick))
        rows += bins.take_final(tick)
        assert len(bins._bins) <= 2 * (LATE_S / bin_s + 2) + len(crossings)
    rows += bins.take_all()
    expected: dict[tuple[float, str], int] = {}
    for at, _, label in crossings:
        key = (round(at * 1e9) // (bin_s * 10**9) * bin_s, label)
        expected[key] = expected.get(key, 0) + 1
    found: dict[tuple[float, str], int] = {}
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        key = (round(float(values["start_s"])), str(values["label"]))
        found[key] = found.get(key, 0) + int(values["count"])
    assert found == expected


@pytest.mark.parametrize("missing", ["line", "direction"])
def test_a_crossing_without_line_or_direction_is_an_error_of_one_line(tmp_path: Path, missing: str) -> None:
    sink = open_sink(tmp_path)
    event = crossing(1)
    with pytest.raises(SinkError, match=f"cannot be counted: its data has no '{missing}'"):
        sink.on_event(replace(event, data={k: v for k, v in event.data.items() if k != missing}))
    sink.close()


@pytest.mark.parametrize("bin_s", [0, -60, 86401, 0.5])
def test_a_bin_is_a_whole_number_of_seconds_up_to_a_day(bin_s: float) -> None:
    with pytest.raises(ValidationError):
        CountsOptions(bin_s=bin_s)


def test_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "counts.csv").symlink_to("/dev/full")
    sink = CountsSink(CountsOptions(), SinkContext(tmp_path))
    with pytest.raises(SinkError, match=r"cannot write .*counts\.csv: No space left on device"):
        sink.open_stream(info())
    with pytest.raises(SinkError, match="No space left"):
        sink.close()


def test_three_runs_into_one_folder_give_the_same_bytes(tmp_path: Path) -> None:
    contents = set()
    for _ in range(3):
        sink = open_sink(tmp_path, bin_s=5)
        feed(sink, *(item for n in range(100) for item in (crossing(n, str(n)), frame(n, counts=BOTH))))
        sink.close_stream("gate")
        sink.close()
        contents.add((tmp_path / "counts.csv").read_bytes())
    assert len(contents) == 1
    assert len(contents.pop()) > 1000

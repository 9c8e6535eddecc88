from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import SinkError
from pipeline.event import Producer
from pipeline.plugin import SinkContext
from streams.sinks.counts import CountsOptions, CountsSink
from streams.sinks.counts.bins import LATE_S, StreamBins
from streams.sinks.counts.calendar import Calendar, zone_named
from streams.sinks.counts.reading import counted
from tests.streams.sinks.counts.table import BOTH, feed, frames, open_sink, short, table, utc_s
from tests.streams.sinks.material import crossing, frame, info


def test_the_columns(tmp_path: Path) -> None:
    eight = 1_772_352_000.0  # 2026-03-01T08:00:00Z
    sink = open_sink(tmp_path, bin_s=900)
    feed(sink, crossing(10.5, start_s=eight), frame(10.5, start_s=eight))
    sink.close_stream("gate")
    sink.close()
    assert (tmp_path / "counts.csv").read_text() == (
        "stream,bin_s,start,end,line,direction,movement,class,count,complete,observed_s,suspended_s,missing_s,"
        "speeds,mean_speed_kmh,v85_kmh,start_utc,end_utc\n"
        "gate,900,2026-03-01T08:00:00+00:00,2026-03-01T08:15:00+00:00,main,in,,car,1,false,0.00,0.00,900.00,"
        "0,,,2026-03-01T08:00:00Z,2026-03-01T08:15:00Z\n"
    )


def test_bins_begin_at_multiples_of_their_length_since_1970_not_with_the_file(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    start_s = 8 * 3600 + 45.0
    for n, pts_s in enumerate((0, 14.999, 15.0, 74.999, 75.0)):
        feed(sink, crossing(pts_s, str(n), start_s=start_s), frame(pts_s, start_s=start_s))
    sink.close_stream("gate")
    assert short(table(tmp_path)) == [
        ("in", "car", "08:00:00", "2"),
        ("in", "car", "08:01:00", "2"),
        ("in", "car", "08:02:00", "1"),
    ]
    sink.close()


def test_a_watched_line_without_crossings_is_counted_as_zero(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, frame(1, counts=BOTH), crossing(11), frame(12, counts={"main": {"in": {"car": 1}, "out": {}}}))
    sink.close_stream("gate")
    assert short(table(tmp_path)) == [
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
    assert [row[2] for row in short(table(tmp_path))] == ["00:00:00"] * 2 + ["00:01:30"] * 2
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
    found = [(row["line"], row["direction"], row["class"], row["count"]) for row in table(tmp_path)]
    assert found == [("exit", "out", "", "1"), ("main", "in", "car", "2"), ("main", "in", "truck", "1")]
    sink.close()


def test_a_crossing_known_late_counts_in_the_bin_of_its_own_moment(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, frame(9, counts=BOTH), frame(11, counts=BOTH), crossing(9.5), frame(12, counts=BOTH))
    sink.close_stream("gate")
    assert short(table(tmp_path))[0] == ("in", "car", "00:00:00", "1")
    assert ("in", "", "00:00:10", "0") in short(table(tmp_path))
    sink.close()


def test_a_bin_is_written_when_it_is_final_not_before(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, crossing(9), frame(9), frame(9 + LATE_S))
    assert table(tmp_path) == []
    feed(sink, frame(9 + LATE_S + 0.1))
    assert short(table(tmp_path)) == [("in", "car", "00:00:00", "1")]
    sink.close()


def test_a_crossing_known_after_its_bin_was_written_adds_a_row(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=10)
    feed(sink, crossing(9, "1"), frame(9), frame(50), crossing(9.5, "2"), frame(51))
    sink.close_stream("gate")
    assert short(table(tmp_path)) == [("in", "car", "00:00:00", "1"), ("in", "car", "00:00:00", "1")]
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
        assert [(row["start"][17:19], row["count"]) for row in rows if row["count"] != "0"] == [
            ("00", "10"),
            ("10", "10"),
            ("20", "10"),
        ]


def test_a_new_run_with_its_media_clock_at_zero_keeps_the_counts(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    feed(sink, crossing(500, "1"), frame(500))
    feed(sink, crossing(1, "2", start_s=505), frame(1, run="second", start_s=505))
    sink.close_stream("gate")
    assert sum(int(row["count"]) for row in table(tmp_path) if row["start"][11:19] == "00:08:00") == 2
    sink.close()


@settings(max_examples=30, deadline=None)
@given(
    crossings=st.lists(
        st.tuples(st.floats(0, 600), st.floats(0, 60), st.sampled_from(["car", "bus"])), max_size=40
    ),
    lengths=st.sets(st.sampled_from([1, 10, 60, 75, 300]), min_size=1),
)
def test_no_crossing_is_lost_or_moved_whenever_it_becomes_known(
    crossings: list[tuple[float, float, str]], lengths: set[int]
) -> None:
    """Crossings known up to 60 s late, twice as late as an interval waits."""
    bins = StreamBins([Calendar(length_s, zone_named("UTC")) for length_s in sorted(lengths)])
    known = sorted((at + delay, n) for n, (at, delay, _) in enumerate(crossings))
    done = []
    for tick in range(0, 670, 2):
        while known and known[0][0] <= tick:
            at, _, label = crossings[known.pop(0)[1]]
            event = crossing(at, label=label)
            what = counted(event)
            assert what is not None
            bins.add(what, event)
        bins.add_frame(frame(tick))
        done += bins.take_final(tick)
        assert len(bins) <= sum(2 * (LATE_S / n + 2) for n in lengths) + len(crossings) * len(lengths)
    done += bins.take_all()
    for length_s in lengths:
        expected: dict[tuple[int, str], int] = {}
        for at, _, label in crossings:
            key = (round(at * 1e9) // (length_s * 10**9) * length_s, label)
            expected[key] = expected.get(key, 0) + 1
        found: dict[tuple[int, str], int] = {}
        for one in done:
            if one.length_s != length_s:
                continue
            for classes in one.tallies.values():
                for label, tally in classes.items():
                    key = (one.interval.start_s, label)
                    found[key] = found.get(key, 0) + tally.count
        assert found == expected


@pytest.mark.parametrize("missing", ["line", "direction"])
def test_a_crossing_without_line_or_direction_is_an_error_of_one_line(tmp_path: Path, missing: str) -> None:
    sink = open_sink(tmp_path)
    event = crossing(1)
    with pytest.raises(SinkError, match=f"cannot be counted: its data has no '{missing}'"):
        sink.on_event(replace(event, data={k: v for k, v in event.data.items() if k != missing}))
    sink.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bin_s": 0}, "the nearest that do are 1"),
        ({"bin_s": -60}, "the nearest that do are 1"),
        ({"bin_s": 86401}, "the nearest that do are 86400"),
        ({"bin_s": 0.5}, "valid integer"),
        ({"bin_s": "often"}, "valid integer"),
        ({"bin_s": [60, 700]}, "700 s do not divide an hour, nor .* the nearest that do are 720"),
        ({"bin_s": [60, 60]}, "each length once"),
        ({"bin_s": []}, "at least 1 item"),
        ({"time_zone": "Europe/Berlim"}, "did you mean Europe/Berlin"),
        ({"keep_days": 0}, "greater than or equal to 1"),
        ({"path": "counts"}, "must have the ending of a text file"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CountsOptions.model_validate(options)


def test_several_lengths_stand_in_one_table(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=[60, 300])
    feed(sink, *(item for n in range(0, 600, 30) for item in (crossing(n, str(n)), frame(n))))
    sink.close()
    counts: dict[str, list[int]] = {"60": [], "300": []}
    for row in table(tmp_path):
        counts[row["bin_s"]].append(int(row["count"]))
    assert counts == {"60": [2] * 10, "300": [10] * 2}


def test_the_hour_that_comes_twice_is_told_apart(tmp_path: Path) -> None:
    """2026-10-25 in Berlin: one object a minute from 01:00 to 04:00, which is four hours."""
    sink = open_sink(tmp_path, bin_s=[3600, 86400], time_zone="Europe/Berlin")
    start_s = utc_s("2026-10-25T01:00:00+02:00")
    for n in range(240):
        feed(sink, crossing(n * 60 + 30, str(n), start_s=start_s), frame(n * 60 + 30, start_s=start_s))
    sink.close()
    hours = [(row["start"], row["count"]) for row in table(tmp_path) if row["bin_s"] == "3600"]
    assert hours == [
        ("2026-10-25T01:00:00+02:00", "60"),
        ("2026-10-25T02:00:00+02:00", "60"),
        ("2026-10-25T02:00:00+01:00", "60"),
        ("2026-10-25T03:00:00+01:00", "60"),
    ]
    (day,) = [row for row in table(tmp_path) if row["bin_s"] == "86400"]
    assert (day["start"], day["end"]) == ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")
    assert float(day["observed_s"]) + float(day["missing_s"]) == 25 * 3600
    assert day["count"] == "240"


def test_movements_of_routes_have_rows_of_their_own_lost_ones_apart(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)

    def route(pts_s: float, key: str, kind: str, **data: str) -> None:
        producer = Producer("count", "routes")
        ends = {"route": "turns", "origin": "north", "destination": None, **data}
        feed(sink, frame(pts_s).event(kind, key, producer, label="car", data=ends))

    feed(sink, *frames(0, 10))
    route(10, "1", "route.completed", destination="east", movement="left turn")
    route(10, "2", "route.completed", destination="east", movement="left turn")
    route(11, "3", "route.partial")
    route(11, "4", "route.partial", origin="", destination="south")
    feed(sink, *frames(11, 70))
    sink.close()
    rows = [(row["start"][14:16], row["movement"], row["class"], row["count"]) for row in table(tmp_path)]
    assert [row for row in rows if row[1]] == [
        ("00", "(unseen) > south", "car", "1"),
        ("00", "left turn", "car", "2"),
        ("00", "north > (lost)", "car", "1"),
        ("01", "(unseen) > south", "", "0"),
        ("01", "left turn", "", "0"),
        ("01", "north > (lost)", "", "0"),
    ]
    assert {row["line"] for row in table(tmp_path) if row["movement"]} == {"turns"}


def test_speeds_have_their_number_mean_and_85th_percentile(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=60)
    for n, speed_kmh in enumerate([30.2, 49.8, 50.1, 50.4, None]):
        event = crossing(n, str(n))
        feed(sink, replace(event, data={**event.data, "speed_kmh": speed_kmh}), frame(n))
    sink.close()
    (row,) = table(tmp_path)
    assert (row["count"], row["speeds"], row["mean_speed_kmh"], row["v85_kmh"]) == ("5", "4", "45.0", "50")


def test_classes_without_end_do_not_fill_the_memory(tmp_path: Path) -> None:
    sink = open_sink(tmp_path, bin_s=3600)
    feed(sink, *(crossing(n / 10, str(n), label=f"plate {n}") for n in range(1000)), frame(100))
    sink.close()
    rows = {row["class"]: int(row["count"]) for row in table(tmp_path)}
    assert len(rows) == 201
    assert rows["(others)"] == 800


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

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError
from stages.count.evaluate.truth import Event
from stages.count.evaluate.truth_file import read_truth

CSV = """\
# Counted by eye on a Monday.
# duration_s: 30.16
# width: 768
pts_s,line,direction,label
5.6,gate,up,car
2,gate,down,
"""


def write(folder: Path, text: str, name: str = "truth.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read_and_sorted(tmp_path):
    truth = read_truth(write(tmp_path, CSV))
    assert truth.events == (Event(2.0, "gate", "down", None), Event(5.6, "gate", "up", "car"))
    assert (truth.clip.duration_s, truth.clip.width, truth.clip.height) == (30.16, 768, None)
    assert truth.watched == {"gate": None}
    assert not truth.is_utc


def test_json_lines_say_the_same(tmp_path):
    lines = '{"duration_s": 30.16, "width": 768}\n'
    lines += '{"pts_s": 5.6, "line": "gate", "direction": "up", "label": "car"}\n'
    truth = read_truth(
        write(tmp_path, lines + '{"pts_s": 2, "line": "gate", "direction": "down"}', "t.jsonl")
    )
    of_table = read_truth(write(tmp_path, CSV))
    assert (truth.events, truth.clip, truth.watched) == (of_table.events, of_table.clip, of_table.watched)


def test_semicolons_and_a_byte_order_mark_as_spreadsheets_write_them(tmp_path):
    truth = read_truth(write(tmp_path, "\ufeffpts_s;line;direction\r\n1.5;gate;up\r\n"))
    assert truth.events == (Event(1.5, "gate", "up"),)


def test_of_several_streams_the_one_that_is_asked_for_is_taken(tmp_path):
    path = write(tmp_path, "pts_s,line,direction,stream\n1,gate,up,a\n2,gate,up,b\n3,gate,up,\n")
    truth = read_truth(path, "b")
    assert [event.time_s for event in truth.events] == [2, 3]
    assert truth.clip.stream == "b"
    with pytest.raises(SourceError, match="streams a, b, none of 'c'"):
        read_truth(path, "c")


def test_times_of_the_clock(tmp_path):
    truth = read_truth(
        write(
            tmp_path, "# from: 2024-05-01T06:00:00Z\ntime,line,direction\n2024-05-01T08:00:00+02:00,gate,up\n"
        )
    )
    assert truth.is_utc
    assert truth.events[0].time_s == truth.from_s == datetime(2024, 5, 1, 6, tzinfo=UTC).timestamp()


def test_lines_that_stayed_empty_may_be_named(tmp_path):
    truth = read_truth(write(tmp_path, "# lines: gate, exit/out\npts_s,line,direction\n"))
    assert truth.watched == {"gate": None, "exit": frozenset({"out"})}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty; wanted a line of column names"),
        ("pts,line,direction\n", ":1: unknown column 'pts', did you mean 'pts_s'?; known: pts_s, time"),
        ("pts_s,direction\n1,up\n", ":1: wanted the columns line, direction and one of pts_s"),
        ("pts_s,time,line,direction\n", "one of pts_s (seconds of the clip) or time"),
        ("pts_s,line,direction\n1,gate\n", ":2: 2 values, but there are 3 columns"),
        ("pts_s,line,direction\n\nsoon,gate,up\n", ":3: pts_s must be a number, got 'soon'"),
        ("pts_s,line,direction\nnan,gate,up\n", ":2: pts_s must be a number, got 'nan'"),
        ("pts_s,line,direction\n1,,up\n", ":2: line is empty"),
        ("time,line,direction\n2024-05-01T08:00:00,gate,up\n", "has no offset from UTC; write +02:00 or Z"),
        ("time,line,direction\nnoon,gate,up\n", "'noon' is no time; write it as 2024"),
        ("pts_s,line,direction\n", "no crossing; say with 'lines' which lines were watched"),
        (
            "# durations: 3\npts_s,line,direction\n1,gate,up\n",
            "unknown key 'durations', did you mean 'duration_s'?",
        ),
        ("# width: wide\npts_s,line,direction\n1,gate,up\n", "width must be a number, got 'wide'"),
        ("# width: -3\npts_s,line,direction\n1,gate,up\n", "width must be above 0, got -3"),
        ("# from: 5\npts_s,line,direction\n1,gate,up\n", "lies outside of the file's own 'from' and 'to'"),
        ("# from: 5\n# to: 4\npts_s,line,direction\n4,gate,up\n", "'from' must lie before 'to'"),
        (
            "# from: 2024-05-01T08:00Z\npts_s,line,direction\n1,gate,up\n",
            "is a date, but the crossings have pts_s",
        ),
        ("# lines: exit\npts_s,line,direction\n1,gate,up\n", "'gate/up', which is not among its 'lines'"),
        (
            "pts_s,line,direction,stream\n1,gate,up,a\n2,gate,up,b\n",
            "of the streams a, b; say which with --stream",
        ),
    ],
)
def test_what_is_wrong_is_said(text, said, tmp_path):
    with pytest.raises(SourceError) as caught:
        read_truth(write(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", ":1: not JSON"),
        ("[1]", ":1: wanted an object"),
        ('{"lenght": 3}', "unknown key 'lenght'"),
        ('{"pts_s": true, "line": "a", "direction": "b"}', "pts_s must be a number"),
        (
            '{"pts_s": 1, "line": "gate", "direction": "up"}\n{"time": "2024-05-01T08:00Z", "line": "gate"}',
            "has none",
        ),
    ],
)
def test_what_is_wrong_in_json_lines_is_said(text, said, tmp_path):
    with pytest.raises(SourceError, match=said):
        read_truth(write(tmp_path, text, "t.jsonl"))


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        read_truth(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(SourceError, match="not a text file"):
        read_truth(tmp_path / "x.csv")


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200), st.sampled_from([".csv", ".jsonl"]))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory, text, suffix):
    path = tmp_path_factory.mktemp("any") / f"t{suffix}"
    path.write_text(text, encoding="utf-8", errors="replace")
    with suppress(SourceError):  # and nothing else
        read_truth(path)

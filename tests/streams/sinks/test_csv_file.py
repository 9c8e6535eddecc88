from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import EventsRefused
from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.csv_file import CsvOptions, CsvSink
from tests.pipeline.messages import make_event

EVENTS = [make_event(number, label=f'a "{number}", b\nc') for number in range(12)]
IDS = [str(event.id) for event in EVENTS]


def deliver(folder: Path, events: Sequence[Event], **options: Any) -> None:
    sink = CsvSink(CsvOptions(**{"fsync": False, **options}), SinkContext(folder))
    sink.deliver(events)
    sink.close()


def files(folder: Path) -> list[Path]:
    return sorted((folder / "log").glob("events-*.csv"))


def rows(folder: Path, delimiter: str = ",") -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for path in files(folder):
        found += csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""), delimiter=delimiter)
    return found


def test_a_row_is_the_event(tmp_path: Path) -> None:
    event = make_event(3, data={"line": "main", "direction": "in", "is_new": True, "speed_kmh": 12.5})
    deliver(tmp_path, [event, make_event(4, track_id=None, position=None, label=None, data={})])
    first, second = rows(tmp_path)
    values = event.to_dict()
    assert {name: first[name] for name in ("id", "time", "stream", "kind", "label")} == {
        name: values[name] for name in ("id", "time", "stream", "kind", "label")
    }
    assert (first["track_id"], first["x"], first["y"]) == ("3", "1.5", "2.25")
    assert (first["data.line"], first["data.direction"]) == ("main", "in")
    assert json.loads(first["data"]) == values["data"]
    assert [second[name] for name in ("track_id", "x", "label", "data.line", "data")] == [
        "",
        "",
        "",
        "",
        "{}",
    ]


def test_columns_and_delimiter_are_chosen(tmp_path: Path) -> None:
    columns = ["id", "data.is_new", "evidence.clip.stream", "producer.stage", "time_ns"]
    event = make_event(1, data={"is_new": True}, evidence={"clip": {"stream": "gate;1"}})
    deliver(tmp_path, [event], columns=columns, delimiter=";")
    text = files(tmp_path)[0].read_text()
    assert text.splitlines()[0] == ";".join(columns)
    assert text.splitlines()[1] == f'{event.id};true;"gate;1";count;{event.moment.time_ns}'


def test_the_next_run_goes_on_and_each_is_there_once(tmp_path: Path) -> None:
    deliver(tmp_path, EVENTS[:5])
    deliver(tmp_path, EVENTS[2:8])
    deliver(tmp_path, EVENTS[8:])
    assert [row["id"] for row in rows(tmp_path)] == IDS
    assert len(files(tmp_path)) == 1
    assert files(tmp_path)[0].read_text().count("data.line,") == 1, "one heading"


def test_other_columns_begin_another_table(tmp_path: Path) -> None:
    deliver(tmp_path, EVENTS[:4])
    deliver(tmp_path, EVENTS[2:6], columns=["id", "label"])
    assert [row["id"] for row in rows(tmp_path)] == IDS[:6]
    assert [path.read_text().partition("\n")[0].count(",") for path in files(tmp_path)] == [10, 1]


def test_each_table_has_its_heading_and_the_oldest_go(tmp_path: Path) -> None:
    for number in range(0, 12, 3):
        deliver(tmp_path, EVENTS[number : number + 3], file_mb=0.001, keep_files=3)
    found = files(tmp_path)
    assert len(found) == 3
    assert all(path.read_text().startswith("id,time,stream,") for path in found)
    assert [row["id"] for row in rows(tmp_path)] == IDS[-len(rows(tmp_path)) :]


@given(cut=st.integers(0, 800))
@settings(max_examples=40, deadline=None)
def test_a_table_torn_anywhere_is_mended_and_completed(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    deliver(folder, EVENTS[:3])
    last = files(folder)[-1]
    os.truncate(last, max(0, last.stat().st_size - cut))
    deliver(folder, EVENTS[:5])
    assert sorted(row["id"] for row in rows(folder)) == sorted(IDS[:5])


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
@settings(max_examples=60, deadline=None)
def test_whatever_is_in_an_event_it_is_one_line_and_read_back(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    deliver(folder, [make_event(1, label=text, data={text: text})])
    assert files(folder)[0].read_bytes().count(b"\n") == 2
    (row,) = rows(folder)
    assert row["label"].split() == text.split()
    assert json.loads(row["data"]) == {text: text}


def test_what_json_cannot_carry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EventsRefused) as refusal:
        deliver(tmp_path, [EVENTS[0], make_event(99, data={"picture": b"raw"})])
    assert list(refusal.value.reasons) == [1]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"columns": ["time", "id"]}, "the first must be `id`"),
        ({"columns": ["id", "id"]}, "there twice"),
        ({"columns": ["id", "colour"]}, "'colour' is no column; known: id, kind"),
        ({"columns": ["id", "label.x"]}, "no column"),
        ({"columns": ["id", "data."]}, "no column"),
        ({"path": "../events.csv"}, "within the output folder"),
        ({"delimiter": "|"}, "Input should be"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as error:
        CsvOptions(**options)
    assert what in str(error.value.errors()[0]["msg"])

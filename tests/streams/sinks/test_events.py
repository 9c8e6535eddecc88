from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import SinkError
from pipeline.event import Event
from pipeline.plugin import SinkContext
from streams.sinks.events import EventsOptions, EventsSink
from tests.streams.sinks.material import crossing, info


def written(folder: Path, *events: Event, path: str = "events.jsonl") -> bytes:
    sink = EventsSink(EventsOptions(path=path), SinkContext(folder))
    sink.open_stream(info())
    for event in events:
        sink.on_event(event)
    sink.close_stream("gate")
    sink.close()
    return (folder / path).read_bytes()


def test_one_line_of_json_per_event(tmp_path: Path) -> None:
    events = [crossing(1.25, "a"), crossing(2.5, "b", label="Straßenbahn\u2028\n")]
    content = written(tmp_path, *events)
    lines = content.decode().removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == [event.to_dict() for event in events]
    assert "Straßenbahn" in lines[1]
    assert '"kind":"line.crossing","stream":"gate"' in lines[0]


def test_three_runs_into_one_folder_give_the_same_bytes(tmp_path: Path) -> None:
    events = [crossing(n / 7, str(n)) for n in range(50)]
    first, *others = (written(tmp_path, *events) for _ in range(3))
    assert first.count(b"\n") == 50
    assert others == [first, first]


def test_a_run_without_events_leaves_an_empty_file(tmp_path: Path) -> None:
    written(tmp_path, crossing(1))
    assert written(tmp_path) == b""


@pytest.mark.parametrize("fsync", [False, True])
def test_an_event_is_in_the_file_as_soon_as_it_was_taken(tmp_path: Path, fsync: bool) -> None:
    sink = EventsSink(EventsOptions(fsync=fsync), SinkContext(tmp_path))
    sink.open_stream(info())
    sink.on_event(crossing(1))
    assert json.loads((tmp_path / "events.jsonl").read_text())["pts_s"] == 1
    sink.close()
    sink.close()


def test_streams_share_a_file_and_keep_their_order_and_their_lines_whole(tmp_path: Path) -> None:
    sink = EventsSink(EventsOptions(), SinkContext(tmp_path))
    names = ("north", "south", "west")

    def run(stream: str) -> None:
        sink.open_stream(info(stream))
        for n in range(200):
            sink.on_event(crossing(n, str(n), stream=stream))
        sink.close_stream(stream)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    found = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    for name in names:
        assert [one["pts_s"] for one in found if one["stream"] == name] == list(range(200))


def test_a_path_may_name_a_folder_within_the_output_folder(tmp_path: Path) -> None:
    assert written(tmp_path, crossing(1), path="raw/all.jsonl").count(b"\n") == 1


@pytest.mark.parametrize("path", ["/etc/events.jsonl", "../events.jsonl", "a/../../b", "", ".", "a\0b"])
def test_a_path_cannot_leave_the_output_folder(path: str) -> None:
    with pytest.raises(ValidationError, match="within the output folder"):
        EventsOptions(path=path)


def test_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to("/dev/full")
    sink = EventsSink(EventsOptions(), SinkContext(tmp_path))
    sink.open_stream(info())
    with pytest.raises(SinkError, match=r"cannot write .*events\.jsonl: No space left on device; ") as caught:
        sink.on_event(crossing(1))
    assert "\n" not in str(caught.value)
    with pytest.raises(SinkError, match="No space left"):
        sink.close()


@pytest.mark.parametrize("obstacle", ["file.jsonl/events.jsonl", "folder"])
def test_what_cannot_be_created_is_an_error_of_one_line(tmp_path: Path, obstacle: str) -> None:
    (tmp_path / "file.jsonl").touch()
    (tmp_path / "folder").mkdir()
    sink = EventsSink(EventsOptions(path=obstacle), SinkContext(tmp_path))
    with pytest.raises(SinkError, match=r"cannot write .*(exists|directory)"):
        sink.open_stream(info())
    sink.close()


@pytest.mark.parametrize("value", [float("nan"), np.int64(3), b"raw", "\ud800", {1, 2}])
def test_data_that_json_cannot_carry_is_refused_and_the_file_stays_whole(tmp_path: Path, value: Any) -> None:
    sink = EventsSink(EventsOptions(), SinkContext(tmp_path))
    sink.open_stream(info())
    sink.on_event(crossing(1))
    with pytest.raises(SinkError, match=r"event 'line.crossing' of stream 'gate' holds"):
        sink.on_event(replace(crossing(2), data={"line": value}))
    sink.close()
    assert (tmp_path / "events.jsonl").read_text().count("\n") == 1

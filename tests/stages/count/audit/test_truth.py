import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from stages.count.audit.marks import Marks, MarksFile, Missed, Verdict
from stages.count.audit.truth import truth_lines
from tests.command import Sightline
from tests.stages.count.audit.runs import made_windows, write_run

RIGHT = Verdict(verdict="right")


def test_what_truly_crossed_in_the_order_of_time() -> None:
    (window,) = windows = made_windows(4)
    marks = Marks(
        counts={
            "0-0": RIGHT,
            "0-1": Verdict(verdict="wrong", why="double"),
            "0-2": Verdict(verdict="wrong", why="direction"),
            "0-3": Verdict(verdict="wrong", why="class"),
        },
        missed=(
            Missed(
                window=window.id,
                time_ms=window.begin_ns / 1e6 + 500,
                along=0.1,
                direction="down",
                label="bus",
            ),
        ),
        reviewed=frozenset({window.id}),
    )
    head, *rows = map(json.loads, truth_lines(windows, marks).splitlines())
    assert head == {
        "stream": "cam",
        "lines": ["gate"],
        "from": "2023-11-14T22:13:20.000000+00:00",
        "to": "2023-11-14T22:13:49.000000+00:00",
    }
    assert [(row["time"][17:22], row["direction"], row.get("label")) for row in rows] == [
        ("20.00", "up", "car"),
        ("20.50", "down", "bus"),
        ("22.00", "down", "car"),
        ("23.00", "down", None),
    ]


def test_what_nobody_looked_through_is_no_truth() -> None:
    windows = made_windows(1, 0, 2)
    marks = Marks(counts={"0-0": RIGHT}, reviewed=frozenset({windows[0].id, windows[2].id}))
    with pytest.raises(ConfigError, match=r"2 of 3 windows .* first at 2023-11-14T22:13:50.* on 'gate'"):
        truth_lines(windows, marks)
    other = replace(windows[1], stream="yard")
    with pytest.raises(ConfigError, match="choose one by --stream: cam, yard"):
        truth_lines([windows[0], other], marks)


def test_the_command_writes_it_and_nothing_over_results(tmp_path: Path, sightline: Sightline) -> None:
    write_run(tmp_path)
    refused = sightline("audit", tmp_path, "--truth", tmp_path / "t.jsonl")
    assert refused.code == 2
    assert "1 of 1 windows are not looked through" in refused.errors[0]
    ids = [json.loads(line)["id"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    window = "cam/gate/strip/1700000000000000000"
    marks = Marks(counts=dict.fromkeys(ids, RIGHT), reviewed=frozenset({window}))
    MarksFile(tmp_path / "audit" / "marks.json").replace(marks.model_dump_json().encode())
    told = sightline("audit", tmp_path, "--truth", tmp_path / "t.jsonl")
    assert told.code == 0, told.err
    assert "recall" in told.out
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 5
    for name in ("events.jsonl", "t.csv"):
        assert sightline("audit", tmp_path, "--truth", tmp_path / name).code == 2

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.problems import ConfigProblems
from pipeline.config.sink import load_sink

FILE = """\
streams: {gate: {source: nowhere.mp4}}
sinks:
  - events
  - jsonl: {path: a.jsonl, kinds: [line.crossing]}
  - sqlite
  - jsonl: {path: b.jsonl, consumer: second}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "box.yaml"
    path.write_text(FILE)
    return path


def test_options_are_set_one_by_one() -> None:
    sink = load_sink("jsonl", sets=["path=x.jsonl", "kinds=[line.crossing, 'zone.*']", "from_start=true"])
    assert (sink.name, sink.options.path, sink.options.from_start) == ("jsonl", "x.jsonl", True)  # type: ignore[attr-defined]
    assert sink.options.kinds == ("line.crossing", "zone.*")  # type: ignore[attr-defined]
    assert load_sink("jsonl").options.path == "log/events.jsonl"  # type: ignore[attr-defined]


def test_options_are_those_of_an_entry_and_what_is_set_beside(file: Path) -> None:
    sink = load_sink("jsonl", file=file, entry=3, sets=["kinds=[x]"])
    assert (sink.options.path, sink.options.consumer, sink.options.kinds) == ("b.jsonl", "second", ("x",))  # type: ignore[attr-defined]
    assert load_sink("sqlite", file=file, sets=["path=y.sqlite3"]).options.path == "y.sqlite3"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "sets", "entry", "said"),
    [
        ("jsonl", ["pth=x"], 1, "--set pth: sinks[1].jsonl.pth: unknown key 'pth'; did you mean 'path'?"),
        ("jsonl", [], None, "box.yaml:2: `sinks` has 2 entries 'jsonl'; choose by --entry 1 or 3"),
        ("jsonl", [], 0, "box.yaml:2: entry 0 of `sinks`, counted from 0, is 'events', not 'jsonl'"),
        ("jsonl", [], 9, "box.yaml:2: entry 9 of `sinks`, counted from 0, is not there: there are 4"),
        ("mqtt", [], None, "box.yaml:2: `sinks` has no 'mqtt'; it has events, jsonl, sqlite, jsonl"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_was_made(
    file: Path, name: str, sets: list[str], entry: int | None, said: str
) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_sink(name, file=file, entry=entry, sets=sets)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sets", "said"),
    [
        ("jsonnl", [], "unknown sink 'jsonnl'; did you mean 'jsonl'?"),
        ("jsonl", ["path"], "--set path: expected KEY=VALUE, such as path=x.jsonl"),
        ("jsonl", ["file_mb=lots"], "--set file_mb: sinks[0].jsonl.file_mb: expected a number, found 'lots'"),
        ("jsonl", ["path=../x"], "--set path: sinks[0].jsonl.path:"),
        ("webhook", [], "sinks[0].webhook.url: missing; it must be given"),
        ("jsonl", ["path.x=3", "keep_days=0"], "sinks[0].jsonl.keep_days: expected a value above 0, found 0"),
    ],
)
def test_without_a_file_too(name: str, sets: list[str], said: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_sink(name, sets=sets)
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="no such file"):
        load_sink("jsonl", file=tmp_path / "none.yaml")

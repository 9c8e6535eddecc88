"""`sightline consumers`: a run's journal, looked at and put right from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.journal import Journal
from tests.command import Sightline
from tests.pipeline.messages import make_event


@pytest.fixture
def run(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=3600.0, keep_bytes=10**6)
    journal.join("jsonl")
    journal.join("old-billing")
    journal.append([make_event(number) for number in range(3)])
    journal.acknowledge("jsonl", 2)
    journal.close()
    return tmp_path


def test_who_is_there_and_what_waits(sightline: Sightline, run: Path) -> None:
    lines = [line.split() for line in sightline("consumers", run).out.splitlines()]
    assert lines[1:] == [["jsonl", "2", "1", "0"], ["old-billing", "0", "3", "0"]]
    rows = json.loads(sightline("consumers", run / "journal.sqlite3", "--json").out)
    assert rows[0] == {"name": "jsonl", "acknowledged": 2, "waiting": 1, "overrun": 0}


def test_who_does_not_come_again_is_forgotten(sightline: Sightline, run: Path) -> None:
    wrong = sightline("consumers", run, "--forget", "old-biling", "--forget", "jsonl")
    assert (wrong.code, len(wrong.errors)) == (2, 1)
    assert "knows no consumer of this name; there are jsonl, old-billing" in wrong.err
    said = sightline("consumers", run, "--forget", "old-billing").out.splitlines()
    assert said[0] == "forgotten: old-billing, for which 3 events waited"
    assert [line.split()[0] for line in said[2:]] == ["jsonl"]
    sightline("consumers", run, "--forget", "jsonl")
    assert sightline("consumers", run).out == "nobody takes events out of this journal\n"


def test_what_is_no_journal(sightline: Sightline, tmp_path: Path) -> None:
    (tmp_path / "x.sqlite3").write_bytes(b"no database, but a text of some length " * 40)
    for path, why in ((tmp_path, "no such journal"), (tmp_path / "x.sqlite3", "is no journal of sightline")):
        refused = sightline("consumers", path)
        assert (refused.code, len(refused.errors)) == (2, 1)
        assert why in refused.err

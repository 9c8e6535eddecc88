import json
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from stages.count.audit.read import read_run
from stages.count.audit.windows import windows_of
from tests.stages.count.audit.runs import write_run


def test_strips_counts_and_where_on_the_line_they_were(tmp_path: Path) -> None:
    events = write_run(tmp_path, crossings=3)
    kept = read_run(tmp_path)
    assert set(kept.counts) == {str(event.id) for event in events}
    (strip,) = kept.strips
    assert strip.picture.is_file()
    assert (strip.directions, len(strip.times_ms)) == (("down", "up"), 100)
    first = kept.counts[str(events[0].id)]
    assert (first.line, first.direction, first.label) == ("gate", "down", "bus")
    assert first.along == pytest.approx(20 / 160)
    assert first.snapshot is not None
    assert first.clip_s == (0.0, 3.7)
    assert not kept.unreadable


def test_strips_know_the_counts_when_the_events_were_begun_anew(tmp_path: Path) -> None:
    events = write_run(tmp_path)
    (tmp_path / "events.jsonl").write_text("")
    assert set(read_run(tmp_path).counts) == {str(event.id) for event in events}


def test_events_without_strips_are_enough(tmp_path: Path) -> None:
    events = write_run(tmp_path)
    for path in tmp_path.glob("evidence/*/*/strip-*.json"):
        path.unlink()
    kept = read_run(tmp_path)
    assert len(kept.counts) == len(events)
    assert kept.counts[str(events[0].id)].along is None
    assert [len(window.counts) for window in windows_of((), kept.counts.values())] == [4]


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    events = write_run(tmp_path)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"kind": "line.crossing"}\n{"kind":"line.crossing", "id"')
    folder = next(tmp_path.glob("evidence/cam/*"))
    (folder / "strip-bad.json").write_text("{")
    (folder / "strip-lost.json").write_text(next(folder.glob("strip-gate*.json")).read_text())
    next(folder.glob("strip-gate*.jpg")).unlink()
    kept = read_run(tmp_path)
    assert len(kept.counts) == len(events)
    assert kept.strips == []
    told = "\n".join(kept.unreadable)
    assert "line 5 is no event: 'position' is missing" in told
    assert "line 6 is no event" in told
    assert "strip-bad.json: is no audit strip" in told
    assert "is missing" in told


def test_an_event_names_no_file_elsewhere(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (event,) = write_run(run, crossings=1)
    values = event.to_dict()
    values["evidence"]["snapshot"] = "../secret.jpg"
    (run / "events.jsonl").write_text(json.dumps(values))
    assert read_run(run).counts[str(event.id)].snapshot is None


def test_a_folder_of_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nosuch is not there; name the folder"):
        read_run(tmp_path / "nosuch")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        read_run(tmp_path / "file")
    with pytest.raises(ConfigError, match=r"has neither events\.jsonl nor audit strips"):
        read_run(tmp_path)
    with pytest.raises(ConfigError, match=r"monday\.jsonl is not there"):
        read_run(tmp_path, "monday.jsonl")
    (tmp_path / "events.jsonl").write_text('{"kind": "stream.gap"}\n')
    with pytest.raises(ConfigError, match="has no events of lines"):
        read_run(tmp_path)

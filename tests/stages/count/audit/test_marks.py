import json
from pathlib import Path

import pytest

from pipeline.errors import SinkError, SourceError
from stages.count.audit.marks import Marks, MarksFile, Outdated


def text(**changes: object) -> bytes:
    return json.dumps({"format": 1, "revision": 0, **changes}).encode()


def test_marks_are_kept_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "marks.json"
    kept = MarksFile(path).replace(
        text(
            counts={"a": {"verdict": "wrong", "why": "double"}},
            missed=[{"window": "w", "time_ms": 1.5, "along": 0.25, "direction": "up", "label": "car"}],
            reviewed=["w"],
        )
    )
    assert kept.revision == 1
    assert MarksFile(path).marks == kept
    assert kept.counts["a"].why == "double"
    assert [one.name for one in path.parent.iterdir()] == ["marks.json"]


def test_two_pages_do_not_undo_each_other(tmp_path: Path) -> None:
    file = MarksFile(tmp_path / "marks.json")
    file.replace(text(reviewed=["a"]))
    with pytest.raises(Outdated, match="revision 1, not 0"):
        file.replace(text(reviewed=["b"]))
    assert file.marks.reviewed == {"a"}


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"[]",
        text(format=2),
        text(counts={"a": {"verdict": "maybe"}}),
        text(counts={"x" * 500: {"verdict": "right"}}),
        text(missed=[{"window": "w", "time_ms": 1, "along": 2, "direction": "up"}]),
        text(missed=[{"window": "w", "time_ms": float("nan"), "along": 0, "direction": "up"}]),
        text(more=1),
        b"\xff",
    ],
)
def test_what_is_no_marks_is_refused_and_changes_nothing(bad: bytes, tmp_path: Path) -> None:
    file = MarksFile(tmp_path / "marks.json")
    with pytest.raises(ValueError, match=r"."):
        file.replace(bad)
    assert file.marks == Marks()
    assert not file.path.exists()


def test_a_file_that_holds_no_marks_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    path.write_text('{"format": 7}')
    with pytest.raises(SourceError, match=r"holds no marks: format.*move it away"):
        MarksFile(path)


def test_a_file_that_cannot_be_written_keeps_the_marks_as_they_were(tmp_path: Path) -> None:
    file = MarksFile(tmp_path / "marks.json")
    file.path.mkdir()
    with pytest.raises(SinkError, match="cannot be written"):
        file.replace(text(reviewed=["a"]))
    assert file.marks == Marks()

import logging
from pathlib import Path

import pytest

from stages.count.evidence.shelf import Shelf, hour_of
from tests.disks import Disks, fill


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_an_hour_is_utc() -> None:
    assert hour_of(1_524_177_960_000_000_000) == "2018-04-19T22"


def test_the_oldest_hours_go_first(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "s", 100, anew=True)
    for hour in ("h1", "h2", "h3"):
        assert shelf.put(hour, "a", bytes(40))
    assert names(tmp_path / "s") == ["h2/a", "h3/a"]
    assert (shelf.kept_bytes, shelf.removed) == (80, 1)


def test_an_hour_that_is_too_much_alone_loses_its_oldest_files(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "s", 100, anew=True)
    for number in range(30):
        assert shelf.put("h", f"{number:02d}", bytes(20))
        assert shelf.kept_bytes <= 100
    left = names(tmp_path / "s")
    assert len(left) * 20 == shelf.kept_bytes
    assert len(left) >= 4


def test_a_file_written_again_counts_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "s", 100, anew=True)
    for size in (40, 60, 10):
        shelf.put("h", "a", bytes(size))
    assert shelf.kept_bytes == 10


def test_what_was_there_counts_unless_begun_anew(tmp_path: Path) -> None:
    Shelf(tmp_path / "s", 100, anew=True).put("h1", "a", bytes(70))
    again = Shelf(tmp_path / "s", 100, anew=False)
    assert again.kept_bytes == 70
    again.put("h2", "a", bytes(70))
    assert names(tmp_path / "s") == ["h2/a"]
    assert Shelf(tmp_path / "s", 100, anew=True).kept_bytes == 0
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "s").write_text("a file in its place")
    shelf = Shelf(tmp_path / "s", 100, anew=False)
    with caplog.at_level(logging.WARNING):
        assert not shelf.put("h", "a", b"1")
        assert not shelf.put("h", "b", b"1")
    assert shelf.failed == 2
    (line,) = caplog.messages
    assert "counts go on without it" in line


def test_each_time_the_disk_is_full_is_told_and_its_end(
    small_disk: Disks, caplog: pytest.LogCaptureFixture
) -> None:
    disk = small_disk("100k")
    shelf = Shelf(disk / "evidence", 10**9, anew=False)
    for turn in range(2):
        fill(disk / "filler")
        for number in range(3):
            assert not shelf.put("2026-03-01T08", f"a-{turn}-{number}.jpg", bytes(5000))
        (disk / "filler").unlink()
        for number in range(3):
            assert shelf.put("2026-03-01T08", f"b-{turn}-{number}.jpg", bytes(5000))
    assert shelf.failed == 6
    assert [record.getMessage().split(" to ")[0] for record in caplog.records] == [
        "evidence cannot be written",
        "evidence is written",
    ] * 2
    assert "6 files are lacking so far" in caplog.records[-1].getMessage()

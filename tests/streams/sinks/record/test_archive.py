from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, SinkError
from streams.sinks.record import archive as archive_module
from streams.sinks.record.archive import Archive, Keep, NoRoom
from streams.sinks.record.index import FILE, Index
from streams.sinks.record.options import RecordOptions
from streams.sinks.record.segment import KEEP, Segment, State

DAY_NS = 86_400 * 10**9
NOW_NS = 1_800_000_000 * 10**9


class Disk:
    """An archive whose files are as large as they say, on a disk of any size."""

    def __init__(self, root: Path, keep: Keep, *, size: int = 10**12, index: Path | None = None) -> None:
        self.root = root
        self.now_ns = NOW_NS
        self.size = size
        self.archive = Archive(root, keep, index=index, now_ns=lambda: self.now_ns, free=lambda _: self.free)
        self.archive.open()

    @property
    def free(self) -> int:
        return self.size - sum(path.stat().st_size for path in self.root.glob("*/*/*"))

    def add(self, stream: str, day: int, *, protected: bool = False, size: int = 100) -> Path:
        """Store a recording of so many days ago."""
        then_ns = self.now_ns - day * DAY_NS

        def make(path: Path) -> Path:
            path.write_bytes(bytes(size))
            if protected:
                path.with_name(path.name + KEEP).touch()
            return path

        path, made = self.archive.begin(stream, then_ns, ".mp4", make)
        self.archive.end(
            Segment(path, stream, then_ns, then_ns + 10**9, then_ns, size, 5, 1, state=State.WHOLE)
        )
        return made


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    made: list[Disk] = []

    def make(*, days: float = 30, most: int = 10**12, free: int = 0, size: int = 10**12) -> Disk:
        made.append(Disk(tmp_path / "recordings", Keep(days, most, free), size=size))
        return made[-1]

    yield make
    for one in made:
        one.archive.let_go()


def left(root: Path) -> list[str]:
    on_disk = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*/*.mp4"))
    index = Index.reading(root / FILE)
    try:
        assert sorted(segment.path for segment in index.find()) == on_disk
    finally:
        index.close()
    return [path.split("/")[0] for path in on_disk]


@pytest.mark.parametrize(
    ("bounds", "stay"),
    [
        ({}, ["a", "b", "c", "d"]),
        ({"most": 400}, ["a", "b", "c", "d"]),
        ({"most": 399}, ["a", "b", "c"]),
        ({"most": 250}, ["a", "b"]),
        ({"free": 600, "size": 1000}, ["a", "b", "c", "d"]),
        ({"free": 601, "size": 1000}, ["a", "b", "c"]),
        ({"free": 800, "most": 399, "size": 1000}, ["a", "b"]),
    ],
)
def test_the_oldest_of_all_streams_go_first(disk: Callable[..., Disk], bounds: dict, stay: list[str]) -> None:
    here = disk(**bounds)
    for day, stream in enumerate("abcd"):
        here.add(stream, day)
    here.archive.make_room()
    assert left(here.root) == stay


def test_what_is_too_old_goes(disk: Callable[..., Disk]) -> None:
    here = disk(days=2.5)
    for day in range(6):
        here.add("gate", day)
    assert here.archive.remove_aged() == 3
    assert len(left(here.root)) == 3
    assert len(list((here.root / "gate").iterdir())) == 3  # folders of days without anything are gone


def test_what_is_protected_stays(disk: Callable[..., Disk]) -> None:
    here = disk(days=1.5, most=250)
    for day, stream in enumerate("abcd"):
        here.add(stream, day, protected=stream == "d")
    here.archive.make_room()
    assert left(here.root) == ["a", "d"]
    here.archive.remove_aged()
    assert left(here.root) == ["a", "d"]


def test_when_nothing_may_go_it_says_so(disk: Callable[..., Disk]) -> None:
    here = disk(most=50)
    here.add("gate", 1, protected=True)
    with pytest.raises(NoRoom, match=r"more than `keep_gb`, and the others are protected; unprotect some"):
        here.archive.make_room()


def test_what_was_just_protected_does_not_stand_for_all(disk: Callable[..., Disk]) -> None:
    here = disk(most=4000)
    paths = [here.add("gate", 60 - number) for number in range(40)]
    for path in paths[:35]:
        path.with_name(path.name + KEEP).touch()
    path, _ = here.archive.begin("b", NOW_NS, ".mp4", lambda path: path.write_bytes(bytes(100)))
    here.archive.grown(path, 100)
    assert [path.exists() for path in paths[34:37]] == [True, False, True]


def test_what_is_unprotected_can_go_at_once(disk: Callable[..., Disk]) -> None:
    here = disk(most=250)
    paths = [here.add("gate", day, protected=True) for day in (1, 2, 3)]
    with pytest.raises(NoRoom):
        here.archive.make_room()
    paths[1].with_name(paths[1].name + KEEP).unlink()
    here.archive.make_room()
    assert [path.exists() for path in paths] == [True, False, True]


def test_an_index_that_somebody_has_locked_stops_nothing(disk: Callable[..., Disk]) -> None:
    here = disk(most=350)
    for day in (40, 3, 2, 1):
        here.add("gate", day)
    with closing(sqlite3.connect(here.root / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        here.archive.let_go()
        here.archive.open()
        begun_s = time.monotonic()
        for _ in range(3):
            here.now_ns += 60 * 10**9
            here.add("gate", 0)
        assert here.archive.remove_aged() == 0
        assert time.monotonic() - begun_s < 3
        assert "locked" in here.archive.complaint
        assert len(list(here.root.glob("*/*/*.mp4"))) == 3
        other.execute("ROLLBACK")
    here.archive.let_go()
    here.archive.open()
    assert left(here.root) == ["gate"] * 3


def test_a_disk_that_others_fill(disk: Callable[..., Disk]) -> None:
    here = disk(free=10**6, size=1000)
    with pytest.raises(NoRoom, match=r"disk full: 0\.000 GB are free, 0\.001 must stay so \(`free_gb`\)"):
        here.archive.make_room()


def test_growing_files_count(disk: Callable[..., Disk]) -> None:
    here = disk(most=250)
    here.add("a", 2)
    here.add("b", 1)
    path, _ = here.archive.begin("c", NOW_NS, ".mp4", lambda path: path.write_bytes(bytes(100)))
    here.archive.grown(path, 100)
    assert [name for name in "abc" if (here.root / name).is_dir() and any((here.root / name).iterdir())] == [
        "b",
        "c",
    ]


def test_only_one_process_records_there(disk: Callable[..., Disk]) -> None:
    here = disk()
    code = (
        "import sys; from pathlib import Path; from streams.sinks.record.archive import *\n"
        "Archive(Path(sys.argv[1]), Keep(1, 1, 1)).open()"
    )
    done = subprocess.run([sys.executable, "-c", code, here.root], capture_output=True, text=True)
    assert "another process records there; give one another `folder`" in done.stderr


def test_an_index_on_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        archive_module, "network_file_system", lambda path: "nfs4" if tmp_path in path.parents else None
    )
    with pytest.raises(ConfigError, match=r"on a network file system \(nfs4\).*by the sink's option `index`"):
        Archive(tmp_path / "recordings", Keep(1, 1, 1))


def test_a_folder_elsewhere_must_exist(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "usb" / "recordings", Keep(1, 1, 1), make=False)
    with pytest.raises(FileNotFoundError):
        archive.open()
    assert not (tmp_path / "usb").exists()


def test_an_index_elsewhere_knows_whether_the_disk_is_there(tmp_path: Path) -> None:
    root, index = tmp_path / "disk", tmp_path / "index.sqlite3"
    here = Disk(root, Keep(30, 10**12, 0), index=index)
    here.add("gate", 1)
    here.archive.let_go()
    root.rename(tmp_path / "away")
    root.mkdir()
    with pytest.raises(SinkError, match=r"unplugged: it is empty, and .*index.sqlite3 knows 0\.000 GB"):
        here.archive.open()
    assert not here.archive.is_open()
    root.rmdir()
    (tmp_path / "away").rename(root)
    here.archive.open()
    here.archive.let_go()


@pytest.mark.parametrize("folder", ["../elsewhere", "", "a/../../b", "a\0b"])
def test_folders_that_are_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="must be the name of a folder within the output folder"):
        RecordOptions(folder=folder)


def test_a_damaged_index_is_kept_and_begun_anew(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    root.mkdir()
    (root / FILE).write_bytes(b"no database" * 1000)
    archive = Archive(root, Keep(1, 10**9, 0))
    archive.open()
    archive.let_go()
    assert (root / f"{FILE}.damaged").read_bytes().startswith(b"no database")


def test_an_index_of_a_newer_sightline_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(SinkError, match="of a newer sightline"):
        Index.writing(tmp_path / FILE)


def test_a_disk_full_to_the_brim_is_relieved_before_the_index_is_opened(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    here = Disk(root, Keep(30, 10**12, 10**9))
    for day in range(1, 4):
        path = here.add("gate", day)
        os.utime(path, ns=(NOW_NS - day * DAY_NS,) * 2)
    here.archive.let_go()
    here.size = 300 + 999_900
    here.archive.open()
    here.archive.let_go()
    assert sorted(path.name for path in root.glob("*/*/*")) == [
        "gate_20270113T080000.000Z.mp4",
        "gate_20270114T080000.000Z.mp4",
    ]

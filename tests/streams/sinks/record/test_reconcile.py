from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.packet import Packet, PacketFormat
from streams.sinks.record.archive import Archive, Keep
from streams.sinks.record.index import FILE
from streams.sinks.record.reconcile import Differences, reconcile
from streams.sinks.record.segment import KEEP, Segment, State
from tests.streams.sinks.record.feeding import START_NS, record, recording, segments

Material = tuple[PacketFormat, list[Packet]]


@pytest.fixture(params=["mp4", "mkv"])
def root(tmp_path: Path, material: Material, request: pytest.FixtureRequest) -> Path:
    """Recordings of two streams, two files each."""
    form, packets = material
    with recording(tmp_path, container=request.param, segment_s=2) as sink:
        for name in ("gate", "yard"):
            record(sink, replace(form, stream=name), [replace(p, stream=name) for p in packets])
    return tmp_path / "recordings"


@pytest.fixture
def archive(root: Path) -> Iterator[Archive]:
    archive = Archive(root, Keep(36_500, 10**12, 0))
    yield archive
    archive.let_go()


def same(found: Segment) -> Segment:
    """Without what the file cannot tell: when it was stored, exactly."""
    return replace(found, stored_ns=0, end_ns=round(found.end_ns, -7), end_s=round(found.end_s, 2))


def test_nothing_to_do(archive: Archive) -> None:
    assert not reconcile(archive)


def test_a_lost_index_is_made_anew_from_the_files(root: Path, archive: Archive) -> None:
    before = segments(root)
    for path in root.glob(f"{FILE}*"):
        path.unlink()
    (root / (before[1].path + KEEP)).touch()
    assert reconcile(archive) == Differences(adopted=4)
    expected = [same(segment) for segment in before]
    expected[1] = replace(expected[1], protected=True)
    assert [same(segment) for segment in segments(root)] == expected
    assert not reconcile(archive)


def test_entries_without_a_file_go(root: Path, archive: Archive) -> None:
    first, *_, last = segments(root)
    (root / first.path).unlink()
    for path in (root / last.path).parent.iterdir():
        path.unlink()
    (root / last.path).parent.rmdir()
    assert reconcile(archive) == Differences(dropped=3)
    assert len(segments(root)) == 1


def test_what_a_killed_recorder_left_is_described(root: Path, archive: Archive) -> None:
    with archive.indexed() as index:
        (first, *_) = list(index.find("gate"))
        index.put([replace(first, state=State.OPEN, packets=7, size=5, end_ns=START_NS)])
    path = root / first.path
    with path.open("r+b") as file:
        file.truncate(first.size * 2 // 3)
    assert reconcile(archive) == Differences(mended=1)
    (mended, *_) = segments(root, "gate")
    assert mended.state is (State.CUT if path.suffix == ".mp4" else State.WHOLE)  # Matroska does not tell
    assert 7 < mended.packets < first.packets
    assert START_NS < mended.end_ns < first.end_ns
    assert mended.size == path.stat().st_size


def test_a_file_that_was_only_begun_goes(root: Path, archive: Archive) -> None:
    with archive.indexed() as index:
        (first, second, *_) = list(index.find("gate"))
        index.put([replace(first, state=State.OPEN), replace(second, state=State.OPEN)])
    (root / first.path).write_bytes(b"")
    (root / second.path).write_bytes(bytes(200_000))  # who knows what that was
    unknown = root / first.path.replace("0800", "0900")
    unknown.touch()
    assert reconcile(archive) == Differences(empty=2, mended=1, damaged=1)
    assert not (root / first.path).exists()
    assert not unknown.exists()
    assert (root / second.path).exists()


def test_files_that_cannot_be_read_are_marked(root: Path, archive: Archive) -> None:
    first, second, *_ = segments(root)
    (root / first.path).write_bytes(b"")
    (root / second.path).write_bytes(os.urandom(10_000))
    assert reconcile(archive) == Differences(mended=2, damaged=2)
    assert [segment.state for segment in segments(root)][:2] == [State.DAMAGED] * 2


def test_the_files_of_others_are_left_alone(root: Path, archive: Archive) -> None:
    day = (root / segments(root)[0].path).parent
    (day / "holiday.mp4").write_bytes(b"x")
    (day / "gate_20270115T080000.000Z.txt").write_bytes(b"x")
    (day / "yard_20270115T080000.000Z.mp4").write_bytes(b"x")  # in the folder of another stream
    (day / "gate_20270115T080001.000Z.mp4").symlink_to("/etc/passwd")
    (root / "gate" / "notes").write_bytes(b"x")
    assert reconcile(archive) == Differences(foreign=5)
    assert (day / "holiday.mp4").exists()


def test_protecting_by_hand_is_noticed(root: Path, archive: Archive) -> None:
    first = segments(root)[0]
    mark = root / (first.path + KEEP)
    mark.touch()
    assert not reconcile(archive)
    assert segments(root)[0].protected
    mark.unlink()
    reconcile(archive)
    assert not segments(root)[0].protected


def test_what_is_being_written_is_left_alone(root: Path, archive: Archive) -> None:
    archive.open()
    archive.begin("gate", START_NS + 10**12, ".mp4", lambda path: path.write_bytes(b""))
    assert not reconcile(archive)


def test_it_can_be_stopped(root: Path, archive: Archive) -> None:
    for path in root.glob(f"{FILE}*"):
        path.unlink()
    assert not reconcile(archive, lambda: True)

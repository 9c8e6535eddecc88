"""Clips on disks that are full, small or gone, and after a crash."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.packet import Packet
from streams.sinks.clips.clip import note_path
from tests.disks import Disks
from tests.streams.sinks.clips.driving import Box, Material, long_video, times_in


@pytest.fixture
def disk(small_disk: Disks) -> Path:
    """A disk of one megabyte."""
    return small_disk("1m")


def make(box: Box, material: Material, times: int, begin: int = 0) -> None:
    """Have so many clips made, about 130 KB each."""
    form, packets = material
    for number in range(begin, begin + times):
        later = [_later(packet, number) for packet in packets]
        box.sink.open_packets(form)
        box.feed(later[:100])
        box.event(later[99], str(number))
        box.feed(later[100:])


def _later(packet: Packet, turn: int) -> Packet:
    from dataclasses import replace

    count = 240
    return replace(
        packet,
        sequence=packet.sequence + turn * count,
        pts=packet.pts + turn * 12 * 10240,
        dts=None,
        moment=packet.moment.shifted(turn * 12.0),
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("clips/*/*/*.mp4"))


def test_the_oldest_go(material: Material, tmp_path: Path) -> None:
    box = Box(tmp_path, keep_gb=0.001)
    make(box, material, 3)
    first = names(tmp_path)
    kept = next(tmp_path.glob(f"clips/*/*/{first[0]}"))
    kept.with_name(kept.name + ".keep").touch()
    make(box, material, 12, begin=3)
    left = names(tmp_path)
    assert not box.heard.failed
    assert len(box.heard.saved) == 15
    assert left[0] == first[0]
    assert first[1] not in left
    assert left[1:] == sorted(Path(saved["path"]).name for saved in box.heard.saved)[-len(left) + 1 :]
    assert 500_000 < sum(path.stat().st_size for path in tmp_path.glob("clips/*/*/*.mp4")) <= 1_000_000
    assert len(list(tmp_path.glob("clips/*/*/*.json"))) == len(left)
    later = Box(tmp_path, keep_gb=0.001)  # what is there counts after a restart, too
    make(later, material, 1, begin=15)
    assert sum(path.stat().st_size for path in tmp_path.glob("clips/*/*/*.mp4")) <= 1_000_000


def test_a_new_one_never_goes_for_itself(material: Material, tmp_path: Path) -> None:
    box = Box(tmp_path, keep_gb=0.001)
    make(box, material, 1)
    size = box.heard.saved[0]["bytes"]
    filler = tmp_path / "clips" / "gate" / "2027-01-14" / "gate_20270114T080000.000Z_x_1.mp4"
    filler.parent.mkdir()
    filler.write_bytes(bytes(1_000_000 - size + 1000))  # too much, once another one is finished
    filler.with_name(f"{filler.name}.keep").touch()
    box = Box(tmp_path, keep_gb=0.001)
    make(box, material, 1, begin=1)
    assert [box.path(number).exists() for number in range(len(box.heard.saved))] == [True]


def test_a_clip_that_is_made_again_counts_once(material: Material, tmp_path: Path) -> None:
    box = Box(tmp_path)
    for _ in range(3):
        make(box, material, 1)
    (path,) = tmp_path.glob("clips/*/*/*.mp4")
    assert box.sink._shelf.size == path.stat().st_size


def test_a_disk_that_is_full_of_other_things(material: Material, disk: Path) -> None:
    form, packets = material
    box = Box(disk)
    box.sink.open_packets(form)
    filler = disk / "filler"
    filler.write_bytes(bytes(1_000_000))
    box.feed(packets[:100])
    box.event(packets[99])
    box.feed(packets[100:130])
    assert not box.heard.told  # it is tried again while its packets are in memory
    filler.unlink()
    box.clock.now_s += 10
    box.feed(packets[130:150])
    (saved,) = box.heard.saved
    assert (saved["from_s"], saved["missing_s"]) == (3.0, 0.0)
    assert len(times_in(box.path())) == saved["pictures"]
    filler.write_bytes(bytes(1_000_000 - box.path().stat().st_size))
    box.event(packets[149], "2")
    box.feed(packets[150:])
    box.sink.close_packets("gate")
    box.sink.close()
    (failed,) = box.heard.failed
    assert failed["reason"].startswith(f"{disk / 'clips'}: disk full: ")
    assert "no clip may go; free space there" in failed["reason"]
    assert failed["count"] == 1
    assert not list(disk.glob("clips/*/*/*"))  # the other one had to make room, which was not enough


@pytest.mark.parametrize("free_gb", [0.0, 0.0003])
def test_a_disk_that_is_full_of_clips(material: Material, disk: Path, free_gb: float) -> None:
    box = Box(disk, free_gb=free_gb)
    make(box, material, 12)
    assert not box.heard.failed
    assert len(box.heard.saved) == 12
    left = names(disk)
    assert 2 <= len(left) < 8
    assert left[-1] == Path(box.heard.saved[-1]["path"]).name
    assert shutil.disk_usage(disk).free >= 300_000 - 150_000


def test_a_folder_that_cannot_be_had(material: Material, tmp_path: Path) -> None:
    form, packets = material
    (tmp_path / "clips").write_text("a file")
    box = Box(tmp_path)
    box.sink.open_packets(form)
    box.feed(packets[:100])
    box.event(packets[99])
    box.feed(packets[100:])
    box.sink.close()
    (failed,) = box.heard.failed
    assert failed["reason"] == f"{tmp_path / 'clips'}: disk error (File exists); look at the disk"


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.packets import packets_of
from tests.streams.sinks.clips.driving import Box
form, packets = packets_of(Path(sys.argv[1]), live=True)
box = Box(Path(sys.argv[2]), post_s=60.0)
box.sink.open_packets(form)
box.feed(packets[:100])
print(box.event(packets[99]).id, flush=True)
box.feed(packets[100:200])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_clip_that_a_crash_interrupts_is_there_up_to_then(material: Material, tmp_path: Path) -> None:
    form, _ = long_video(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "source.mp4", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (part,) = tmp_path.glob("clips/*/*/*.part")
    torn = part.with_name("gate_20270115T080000.000Z_x_torn.mp4.part")
    torn.write_bytes(part.read_bytes()[:500])
    box = Box(tmp_path)
    box.sink.open_packets(form)
    (saved,) = box.heard.saved
    assert saved["events"] == [done.stdout.strip()]
    assert saved["interrupted"]
    times = times_in(box.path())
    assert 10 - 3.0 - 1.3 < times[-1] < 10 - 3.0
    assert sorted(path.name for path in tmp_path.glob("clips/*/*/*")) == [
        box.path().name,
        f"{box.path().name}.json",
    ]
    assert json.loads(note_path(box.path()).read_text())["events"] == saved["events"]
    again = Box(tmp_path)
    again.sink.open_packets(form)
    assert not again.heard.told

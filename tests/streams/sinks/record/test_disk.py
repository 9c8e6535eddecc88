from __future__ import annotations

import errno
from pathlib import Path

import av
import pytest

from streams.sinks.record.disk import Trouble, advice_for, network_file_system, trouble_of

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/nas rw,relatime shared:9 - nfs4 nas:/video rw,vers=4.2
31 30 0:41 / /mnt/nas/local rw,relatime shared:9 - xfs /dev/sdb1 rw
32 22 0:42 / /mnt/my\\040share rw - cifs //box/share rw
33 22 0:43 / /over rw - nfs nas:/a rw
34 22 0:44 / /over rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/recordings", None),
        ("/mnt/nas", "nfs4"),
        ("/mnt/nas/a/b", "nfs4"),
        ("/mnt/nasty", None),
        ("/mnt/nas/local/a", None),
        ("/mnt/my share/a", "cifs"),
        ("/over/a", None),
    ],
)
def test_network_file_systems_are_known(tmp_path: Path, path: str, name: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(path), mounts) == name


def test_where_mounts_cannot_be_read_all_is_local(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "nosuch") is None
    assert network_file_system(tmp_path) is None


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (errno.ENOSPC, Trouble.FULL),
        (errno.EROFS, Trouble.READ_ONLY),
        (errno.ENOENT, Trouble.GONE),
        (errno.EIO, Trouble.BROKEN),
    ],
)
def test_what_errors_mean(code: int, trouble: Trouble) -> None:
    assert trouble_of(OSError(code, "")) is trouble
    assert trouble_of(av.FFmpegError(code, "")) is trouble


def test_what_ffmpeg_does_not_take_is_not_the_disk_s_fault() -> None:
    assert trouble_of(av.InvalidDataError(0x41444E49, "")) is Trouble.FAILED


def test_there_is_advice_for_each() -> None:
    assert all(advice_for(trouble) for trouble in Trouble)

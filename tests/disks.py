"""Small disks that can be filled, unplugged and made read-only: tmpfs mounts that surely go again."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest


class Disks:
    """Mounts of one test, each on a folder of its own within `folder`.

    A mount on pytest's own `tmp_path` would be in the way when that is renamed or removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._points: list[Path] = []

    def __call__(self, size: str, name: str = "disk") -> Path:
        """Mount a disk of so many bytes ("1m"), or skip the test where this process may not."""
        if os.geteuid() != 0:
            pytest.skip("needs to be root, to mount a small tmpfs")
        point = self._folder / name
        point.mkdir()
        self._points.append(point)
        done = mount(point, f"size={size}")
        if done.returncode:
            pytest.skip(f"cannot mount a small tmpfs: {done.stderr.strip()}")
        return point

    def close(self) -> None:
        """Unmount them all, also where a test has mounted one over another."""
        for point in self._points:
            while unplug(point):
                pass
            assert not point.is_mount()


def mount(point: Path, options: str) -> subprocess.CompletedProcess[str]:
    """Mount a tmpfs on a folder, with options of mount(8)."""
    return subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)], capture_output=True, text=True
    )


def remount(point: Path, options: str) -> None:
    """Change the options of what is mounted there ("ro")."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(point)], check=True)


def unplug(point: Path) -> bool:
    """Take away what is mounted there, whoever has files open on it; False if nothing is.

    Lazily: threads of pyarrow close a Parquet file some moments after it was read, and until then umount(8)
    alone fails. That had left mounts behind.
    """
    return subprocess.run(["umount", "-l", str(point)], capture_output=True).returncode == 0


def fill(path: Path) -> None:
    """Write a file until its disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))

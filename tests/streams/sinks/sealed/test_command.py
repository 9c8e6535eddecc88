from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from streams.sinks.sealed.files import create
from streams.sinks.sealed.keys import read_public
from tests.command import Sightline
from tests.disks import Disks

CONTENT = b"a clip" * 30_000


def test_keys_and_open(sightline: Sightline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sightline("archive", "keys", "owner", "--folder", tmp_path)
    assert made.code == 0
    assert "away from the box" in made.out
    archive, here = tmp_path / "archive", tmp_path / "here"
    archive.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    path = archive / "clip.mp4.age"
    with closing(create(path, read_public([str(tmp_path / "owner.age_public")]))) as file:
        file.write(CONTENT)
    done = sightline("archive", "open", path, "--key", tmp_path / "owner.age_secret")
    assert (done.code, done.out) == (0, f"{here / 'clip.mp4'}: 0.2 MB, in clear\n")
    assert (here / "clip.mp4").read_bytes() == CONTENT
    assert list(archive.iterdir()) == [path]  # nothing in clear in the folder that was to be sealed
    again = sightline("archive", "open", path, "--key", tmp_path / "owner.age_secret")
    assert (again.code, len(again.errors)) == (2, 1)
    assert f"{here / 'clip.mp4'} is there already" in again.err
    (here / "clip.mp4").write_bytes(b"mine")
    assert sightline("archive", "open", path, "--key", tmp_path / "owner.age_secret").code == 2
    assert (here / "clip.mp4").read_bytes() == b"mine"


def test_of_a_file_that_finds_no_room_nothing_stays_in_clear(
    sightline: Sightline, tmp_path: Path, small_disk: Disks
) -> None:
    sightline("archive", "keys", "owner", "--folder", tmp_path)
    path, disk = tmp_path / "clip.mp4.age", small_disk("100k")
    with closing(create(path, read_public([str(tmp_path / "owner.age_public")]))) as file:
        file.write(CONTENT)
    full = sightline("archive", "open", path, "--key", tmp_path / "owner.age_secret", "-o", disk / "clip.mp4")
    assert (full.code, len(full.errors)) == (1, 1)
    assert "No space left on device" in full.err
    assert not list(disk.iterdir())


def test_what_cannot_be_opened(sightline: Sightline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sightline("archive", "keys", "owner", "--folder", tmp_path)
    path, key = tmp_path / "clip.mp4.age", tmp_path / "owner.age_secret"
    with closing(create(path, read_public([str(tmp_path / "owner.age_public")]))) as file:
        file.write(CONTENT)
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    path.write_bytes(data)
    changed = sightline("archive", "open", path, "--key", key)
    assert (changed.code, len(changed.errors)) == (1, 1)
    assert "changed" in changed.err
    assert sorted(tmp_path.iterdir()) == sorted([path, key, tmp_path / "owner.age_public"])
    data[400] ^= 1
    data[100_000] ^= 1
    path.write_bytes(data)
    damaged = sightline("archive", "open", path, "--key", key)
    assert (damaged.code, len(damaged.errors)) == (1, 1)
    assert "its chunk 1 was changed; what is before that is in" in damaged.err
    assert (tmp_path / "clip.mp4").read_bytes() == CONTENT[:65_536]
    missing = sightline("archive", "open", tmp_path / "none.age", "--key", key)
    assert (missing.code, len(missing.errors)) == (1, 1)
    assert sightline("archive", "open", tmp_path / "clip.mp4", "--key", key).code == 2

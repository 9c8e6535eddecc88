from __future__ import annotations

from contextlib import closing
from pathlib import Path

from streams.sinks.sealed.files import create
from streams.sinks.sealed.keys import read_public
from tests.command import Sightline

CONTENT = b"a clip" * 30_000


def test_keys_and_open(sightline: Sightline, tmp_path: Path) -> None:
    made = sightline("archive", "keys", "owner", "--folder", tmp_path)
    assert made.code == 0
    assert "away from the box" in made.out
    path = tmp_path / "clip.mp4.age"
    with closing(create(path, read_public([str(tmp_path / "owner.age_public")]))) as file:
        file.write(CONTENT)
    done = sightline("archive", "open", path, "--key", tmp_path / "owner.age_secret")
    assert (done.code, done.out.split(": ")[1]) == (0, "0.2 MB\n")
    assert (tmp_path / "clip.mp4").read_bytes() == CONTENT
    again = sightline("archive", "open", path, "--key", tmp_path / "owner.age_secret")
    assert (again.code, len(again.errors)) == (2, 1)
    assert "is there already" in again.err


def test_what_cannot_be_opened(sightline: Sightline, tmp_path: Path) -> None:
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
    missing = sightline("archive", "open", tmp_path / "none.age", "--key", key)
    assert (missing.code, len(missing.errors)) == (1, 1)
    assert sightline("archive", "open", tmp_path / "clip.mp4", "--key", key).code == 2

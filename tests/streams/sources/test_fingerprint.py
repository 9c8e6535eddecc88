from __future__ import annotations

from pathlib import Path

import pytest

from streams.sources.fingerprint import fingerprint


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_content_counts_and_the_name_does_not(tmp_path: Path) -> None:
    one, same = written(tmp_path / "a", b"content"), written(tmp_path / "b", b"content")
    assert fingerprint([one]) == fingerprint([same])
    assert fingerprint([one], names=True) != fingerprint([same], names=True)
    assert len(fingerprint([one])) == 16
    int(fingerprint([one]), 16)


@pytest.mark.parametrize(
    "other", [b"c0ntent", b"conten", b"content\0", b""], ids=["changed", "shorter", "longer", "empty"]
)
def test_another_content_is_another_run(tmp_path: Path, other: bytes) -> None:
    assert fingerprint([written(tmp_path / "a", b"content")]) != fingerprint([written(tmp_path / "b", other)])


@pytest.mark.parametrize("place", [0, 5000, 9999])
def test_large_files_are_sampled_with_head_and_tail(tmp_path: Path, place: int) -> None:
    content = bytearray(10_000)
    before = fingerprint([written(tmp_path / "a", content)], samples=3, sample_bytes=100)
    content[place] = 1
    assert fingerprint([written(tmp_path / "a", content)], samples=3, sample_bytes=100) != before


def test_the_order_of_files_counts(tmp_path: Path) -> None:
    paths = [written(tmp_path / name, name.encode()) for name in "ab"]
    assert fingerprint(paths) != fingerprint(paths[::-1])

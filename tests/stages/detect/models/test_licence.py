"""Weights say themselves under which licence they are, without being loaded."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from stages.detect.models.licence import licence_within

NOTE = "AGPL-3.0 License (https://ultralytics.com/license)"


def weights(path: Path, content: object, member: str = "best/data.pkl") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, pickle.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "member", "licence"),
    [
        ({"license": NOTE}, "best/data.pkl", "AGPL-3.0"),
        ({"license": "MIT"}, "best/data.pkl", "unknown"),
        ({"license": NOTE}, "best/other.pkl", "unknown"),
    ],
)
def test_what_weights_note(content: object, member: str, licence: str, tmp_path: Path) -> None:
    assert licence_within(weights(tmp_path / "best.pt", content, member)) == licence


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", b"\x80\2}q\0."])
def test_what_is_damaged_notes_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    assert licence_within(path) == "unknown"
    assert licence_within(tmp_path / "none.pt") == "unknown"

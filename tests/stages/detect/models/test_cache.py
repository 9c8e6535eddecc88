from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ModelError
from stages.detect.models.cache import cache_folder, locked


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("SIGHTLINE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/me/.cache/sightline")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_folder() == Path("/var/cache/sightline")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path("/home/me/.cache/sightline")
    monkeypatch.setenv("SIGHTLINE_CACHE", "~/models")
    assert cache_folder() == Path("/home/me/models")


def test_a_lock_that_is_never_let_go_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a/lock"
    told: list[str] = []
    pauses: list[float] = []
    with (
        locked(path),
        pytest.raises(ModelError, match="another process has been at work there for 1 minutes"),
        locked(path, lambda: told.append("waiting"), sleep=pauses.append, longest_s=60),
    ):
        pass
    assert told == ["waiting"]
    assert sum(pauses) == pytest.approx(60, abs=0.5)
    with locked(path):
        pass

"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import hypothesis
import pytest

from tests.command import Sightline
from tests.disks import Disks

if os.environ.get("CI") != "true":  # there hypothesis is as strict by itself, and draws the same each time
    hypothesis.settings.register_profile("busy", deadline=None)  # others run beside it
    hypothesis.settings.load_profile("busy")

# ultralytics reads it at its import, which may come from a test before it comes from the stage.
os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
cv2.setNumThreads(1)  # as `sightline run` does; tests must not depend on the number of cores


@pytest.fixture
def sightline(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sightline:
    """The command line, run in this process."""
    return Sightline(monkeypatch, capfd)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disks]:
    """Mounts small disks when called with a size; they are gone after the test, however it ends."""
    disks = Disks(tmp_path)
    try:
        yield disks
    finally:
        disks.close()


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Models, exports and measurements of the tests stay out of the user's cache, and theirs out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield

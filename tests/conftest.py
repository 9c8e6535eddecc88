"""Fixtures that all tests share."""

from __future__ import annotations

import cv2
import pytest

from tests.command import Sightline

cv2.setNumThreads(1)  # as `sightline run` does; tests must not depend on the number of cores


@pytest.fixture
def sightline(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Sightline:
    """The command line, run in this process."""
    return Sightline(monkeypatch, capfd)

from __future__ import annotations

import pytest

from tests.streams.sinks.clips.driving import Material, long_video


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Twelve seconds of a camera: 20 pictures a second, a key frame each second, B frames."""
    return long_video(tmp_path_factory.mktemp("clips"))

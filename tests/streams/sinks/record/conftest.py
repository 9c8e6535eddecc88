from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.packet import Packet, PacketFormat
from tests.media import write_crossing_video
from tests.packets import packets_of
from tests.streams.sinks.record.feeding import START_NS


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of H.264 with B frames, a key frame each second."""
    return write_crossing_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=80)


@pytest.fixture(scope="session")
def material(clip: Path) -> tuple[PacketFormat, list[Packet]]:
    return packets_of(clip, start_ns=START_NS)

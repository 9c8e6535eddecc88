"""Source `lavfi`."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock
from tests.streams.sources.network.playing import closing_in_time, play, source_of


def test_a_pattern_plays_in_real_time() -> None:
    start_s = time.monotonic()
    played = play("lavfi://testsrc2=size=320x180:rate=50", 26)
    assert time.monotonic() - start_s >= 0.5
    assert (played.info.width, played.info.height, played.info.live) == (320, 180, True)
    assert played.times_s == pytest.approx([k / 50 for k in range(26)])
    assert not played.gaps
    for frame in played.frames:
        assert frame.moment.clock is Clock.ARRIVAL
        assert frame.arrived_s is not None
    first = played.frames[0]
    assert first.picture.bgr().shape == (180, 320, 3)
    assert np.any(first.picture.luma() != played.frames[-1].picture.luma())


def test_stopping_is_immediate() -> None:
    with closing_in_time(source_of("lavfi://testsrc2=size=64x36:rate=1/20")) as source:
        source.open()
        items = source.read()
        assert isinstance(next(items), Frame)
        threading.Timer(0.05, source.close).start()
        start_s = time.monotonic()
        assert list(items) == []
        assert time.monotonic() - start_s < 5


@pytest.mark.parametrize(
    "graph",
    [
        "movie=/etc/passwd",
        "testsrc2,drawtext=textfile=/etc/passwd",
        "testsrc2[a];movie=/etc/passwd[b];[a][b]overlay",
        "testsrc2,lut3d=/etc/passwd",
        "testsrc2;zmq",
        "scale=4:4",
        "",
    ],
)
def test_only_patterns_are_painted(graph: str) -> None:
    with pytest.raises(SourceError, match="no test pattern") as caught:
        play(f"lavfi://{graph}")
    assert caught.value.reason is Reason.REJECTED


def test_a_pattern_may_be_changed() -> None:
    played = play("lavfi://testsrc2=size=320x180:rate=50,scale=160:90,format=yuv420p", 2)
    assert (played.info.width, played.info.height) == (160, 90)


def test_a_wrong_option_is_told() -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        play("lavfi://testsrc2=nosuch=1")

"""Which encoder is taken; what cannot run here is tested for its refusal, the choice with pretended ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.plugin import SinkContext
from streams.sinks.hardware import SOFTWARE, Choice, Found, Wanted, find, refusal_of
from streams.sinks.video import VideoOptions, VideoSink
from tests.streams.sinks.material import frame, info

WANTED = Wanted(320, 240, preset="superfast", quality=23)


@pytest.mark.parametrize(
    ("choice", "works", "taken", "refused"),
    [
        ("x264", {"h264_nvenc", "h264_vaapi"}, SOFTWARE, []),
        ("h264_nvenc", {"h264_nvenc"}, "h264_nvenc", []),
        ("h264_nvenc", {"h264_vaapi"}, SOFTWARE, ["h264_nvenc"]),
        ("h264_vaapi", set(), SOFTWARE, ["h264_vaapi"]),
        ("auto", {"h264_nvenc", "h264_vaapi"}, "h264_nvenc", []),
        ("auto", {"h264_vaapi"}, "h264_vaapi", ["h264_nvenc"]),
        ("auto", set(), SOFTWARE, ["h264_nvenc", "h264_vaapi"]),
    ],
)
def test_the_first_that_works_is_taken(
    choice: Choice, works: set[str], taken: str, refused: list[str]
) -> None:
    found = find(choice, WANTED, lambda name, _: None if name in works else "no device")
    assert found.name == taken
    assert [name for name, _ in found.refusals] == refused
    assert found.why == "; ".join(f"{name}: no device" for name in refused)


@pytest.mark.parametrize("wanted", [WANTED, Wanted(320, 240, "medium", 23, bitrate_kbps=500)])
def test_x264_works(wanted: Wanted) -> None:
    assert refusal_of(SOFTWARE, wanted) is None


@pytest.mark.parametrize("name", ["h264_nvenc", "h264_vaapi"])
@pytest.mark.parametrize("bitrate_kbps", [None, 500])
def test_hardware_that_is_not_there_is_refused_in_words(name: str, bitrate_kbps: int | None) -> None:
    refusal = refusal_of(name, Wanted(320, 240, "superfast", 23, bitrate_kbps))
    if refusal is None:
        pytest.skip(f"{name} works on this machine")
    known = name in av.codecs_available
    assert refusal.startswith("it does not work here" if known else "this FFmpeg was built without it")


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, Mapping[str, Any]]] = []

    def __call__(
        self, stream: str, kind: str, data: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        assert kind in VideoSink.emits
        self.events.append((stream, kind, data))


def record(folder: Path, told: Told, **options: Any) -> Path:
    sink = VideoSink(VideoOptions(**options), SinkContext(folder, told))
    sink.open_stream(info(width=320, height=240))
    rng = np.random.default_rng(1)
    for number in range(30):
        sink.on_frame(frame(number / 25, bgr=rng.integers(0, 255, (240, 320, 3), np.uint8)))
    sink.close()
    return folder / "gate.mp4"


def test_a_fallback_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streams.sinks.hardware.refusal_of", lambda name, wanted: "no device")
    told = Told()
    path = record(tmp_path, told, encoder="h264_nvenc")
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 30
    data = {"asked": "h264_nvenc", "encoder": "libx264", "reason": "h264_nvenc: no device"}
    assert told.events == [("gate", "video.fallback", data)]
    assert "needs the processor: h264_nvenc: no device" in caplog.text
    told = Told()
    record(tmp_path, told, encoder="auto")
    assert not told.events
    assert Found(SOFTWARE).why == ""


def test_smaller_pictures_and_a_bit_rate(tmp_path: Path) -> None:
    path = record(tmp_path, Told(), size=[161, 161], bitrate_kbps=100)
    with av.open(str(path)) as container:
        track = container.streams.video[0]
        assert (track.width, track.height) == (160, 120)
        assert len(list(container.decode(video=0))) == 30
    assert path.stat().st_size * 8 / 1000 / 1.2 < 400  # noise of 320 x 240 at crf 23 is 20,000 kbit/s

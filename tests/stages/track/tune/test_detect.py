from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, SightlineError, SourceError, StageError
from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.plugin import Options, Stage, StageContext
from stages.track.appearance.embedder import embedder_of
from stages.track.tune.detect import Detected, detect, detector_named
from tests.media import RATE_HZ, write_crossing_video

STREET = "synthetic://street?duration_s=3&rate_hz=10&width=320&height=180"


class Fixed(Stage):
    """Finds one box in each picture, with embeddings if told so."""

    def __init__(self, *, embedded: bool = False, batch: int = 1, breaks: bool = False) -> None:
        super().__init__(Options(), StageContext("tune"))
        self.batch, self.embedded, self.breaks = batch, embedded, breaks
        self.sizes: list[int] = []
        self.closed = False

    def process_batch(self, frames: Sequence[Frame]) -> None:
        if self.breaks:
            raise RuntimeError("no more")
        self.sizes.append(len(frames))
        for frame in frames:
            looks = np.ones((1, 4), np.float32) if self.embedded else None
            box = np.array([[10, 10, 40, 60]], np.float32)
            frame.detections = Detections(box, np.array([0.5]), np.array(["box"]), looks)

    def close(self) -> None:
        self.closed = True


def test_what_is_kept_is_what_the_stage_track_sees() -> None:
    seen = detect(STREET, detector_named("motion", {"width": "160"}), 1.0, embedder_of("builtin"))
    assert (seen.described, seen.whole, seen.notes) == (True, True, ())
    assert (seen.recording.frames, seen.recording.width, seen.recording.height) == (30, 320, 180)
    assert seen.recording.pts_s.tolist() == pytest.approx([k / 10 for k in range(30)])
    assert seen.recording.embedding is not None
    assert seen.recording.embedding.shape == (len(seen.recording), 128)
    assert len(seen.recording) > 30
    again = detect(STREET, detector_named("motion", {"width": "160"}), 1.0, embedder_of("builtin"))
    assert np.array_equal(seen.recording.xyxy, again.recording.xyxy)


def test_only_so_many_minutes_are_looked_at() -> None:
    told: list[tuple[float, float | None]] = []
    seen = detect(STREET, Fixed(), 1 / 60, None, lambda at, of: told.append((at, of)))
    assert (seen.recording.frames, seen.whole) == (11, False)
    assert seen.recording.embedding is None
    assert told[-1] == (pytest.approx(1.0), pytest.approx(1.0))


def test_embeddings_of_the_detector_are_kept_and_batches_filled() -> None:
    detector = Fixed(embedded=True, batch=8)
    seen = detect(STREET, detector, 1.0, embedder_of("builtin"))
    assert seen.recording.embedding is not None
    assert (seen.described, seen.recording.embedding.shape) == (False, (30, 4))
    assert detector.sizes == [8, 8, 8, 6]
    assert detector.closed


def test_a_bound_on_the_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.track.tune.detect.MOST_BOXES", 12)
    seen = detect(STREET, Fixed(), 1.0)
    assert (len(seen.recording), seen.whole) == (12, False)
    assert "ended at 1.1 s: 12 boxes" in seen.notes[0]


def test_a_file_cut_short_is_judged_by_what_is_there(tmp_path: Path) -> None:
    whole = write_crossing_video(tmp_path / "whole.mkv")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    seen = detect(str(cut), Fixed(), 1.0)
    assert 10 < seen.recording.frames < 80
    assert "judged by what could be read" in seen.notes[0]
    assert seen.recording.pts_s[1] == pytest.approx(1 / RATE_HZ)


def test_a_detector_that_breaks_is_blamed() -> None:
    detector = Fixed(breaks=True)
    with pytest.raises(StageError, match=r"the detector failed at 0.00 s: RuntimeError: no more"):
        detect(STREET, detector, 1.0)
    assert detector.closed


CASES: dict[str, tuple[str, Mapping[str, str], type[SightlineError], str]] = {
    "unknown": ("mtion", {}, ConfigError, r"unknown detector 'mtion'; known: .*hog, motion, onnx, .*yolo"),
    "no detector": ("track", {}, ConfigError, r"stage 'track' is no detector; detectors: .*hog, motion"),
    "unknown setting": (
        "motion",
        {"wdth": "3"},
        ConfigError,
        r"has no setting 'wdth'; it has: method, width",
    ),
    "wrong value": ("motion", {"width": "3"}, ConfigError, r"'motion': width: must be .* 64, found '3'"),
    "no number": ("motion", {"width": "wide"}, ConfigError, r"width: must be a valid integer.* found 'wide'"),
    "needs weights": ("onnx", {}, ConfigError, r"needs 'model': give --detector-set model=VALUE"),
    "no weights": ("onnx", {"model": "no.onnx"}, ConfigError, r"no weights at 'no.onnx'"),
    "no such class": ("onnx", {"model": "x", "labels": "[]"}, ConfigError, r"'onnx': labels: .*at least 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_detectors(name: str) -> None:
    detector, settings, kind, message = CASES[name]
    with pytest.raises(kind, match=message):
        detector_named(detector, settings)


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("none.mp4", SourceError, "none.mp4: no such file"),
        ("rtps://door", ConfigError, "unknown source 'rtps'; known: .*file"),
        ("rtsp://door", ConfigError, "rtsp://door is a live source; record a minute"),
        ("synthetic://street?seed=x", ConfigError, "seed=x"),
    ],
)
def test_refused_clips(url: str, kind: type[SightlineError], message: str) -> None:
    with pytest.raises(kind, match=message):
        assert isinstance(detect(url, Fixed(), 1.0), Detected)

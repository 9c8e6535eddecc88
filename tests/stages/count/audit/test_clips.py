import io
from pathlib import Path

import av
import numpy as np
import pytest

from stages.count.audit.clips import ClipCutter, films_of
from streams.sinks.video import VideoOptions, VideoWriter
from tests.media import RATE_HZ, write_crossing_video


def levels_of(clip: bytes | None) -> tuple[list[float], list[float]]:
    """Return the times and the mean levels of a clip's pictures."""
    assert clip is not None
    with av.open(io.BytesIO(clip)) as container:
        pictures = list(container.decode(video=0))
    assert {picture.width for picture in pictures} <= {320, 64}
    return [float(picture.time or 0) for picture in pictures], [
        float(picture.to_ndarray(format="gray").mean()) for picture in pictures
    ]


def write_annotated(path: Path, first_s: float, seconds: float) -> None:
    """Write what the sink `video` does: pictures as bright as their media time, ten levels a second."""
    writer = VideoWriter(path, 64, 48, VideoOptions())
    for tick in range(round(seconds * 25)):
        time_s = first_s + tick / 25
        writer.write(np.full((48, 64, 3), round(10 * time_s), np.uint8), time_s)
    writer.close()


@pytest.mark.parametrize("first_s", [0.0, 7.5])
def test_a_clip_is_cut_by_the_run_s_media_time(first_s: float, tmp_path: Path) -> None:
    write_annotated(tmp_path / "cam.mp4", first_s, 8)
    cutter = ClipCutter(tmp_path, {})
    times, levels = levels_of(cutter.cut("cam", first_s + 3, first_s + 5))
    cutter.close()
    assert times[0] == pytest.approx(0.0, abs=0.05)
    assert times[-1] == pytest.approx(2.0, abs=0.1)
    assert len(times) == pytest.approx(25, abs=2)
    for time_s, level in zip(times, levels, strict=True):
        assert level == pytest.approx(10 * (first_s + 3 + time_s), abs=2.5)


def test_the_recording_is_used_where_there_is_no_annotated_video(tmp_path: Path) -> None:
    clip = write_crossing_video(tmp_path / "street.mp4", frames=40)
    cutter = ClipCutter(tmp_path / "out", {"cam": str(clip), "other": "rtsp://cam/1"})
    times, _ = levels_of(cutter.cut("cam", 0.5, 1.5))
    assert times[-1] == pytest.approx(1.0, abs=1 / RATE_HZ + 0.01)
    assert cutter.cut("cam", 99.0, 101.0) is None
    assert cutter.cut("other", 0.0, 1.0) is None
    assert cutter.failed == 2
    cutter.close()


def test_later_parts_of_the_annotated_video_and_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "cam.mp4").write_text("damaged")
    write_annotated(tmp_path / "cam.2.mp4", 10.0, 3)
    write_annotated(tmp_path / "cam.10.mp4", 20.0, 3)
    names = [path.name for path, _ in films_of(tmp_path, "cam", None)]
    assert names == ["cam.mp4", "cam.2.mp4", "cam.10.mp4"]
    cutter = ClipCutter(tmp_path, {})
    _, levels = levels_of(cutter.cut("cam", 21.0, 22.0))
    assert np.mean(levels) == pytest.approx(215, abs=5)
    cutter.close()

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import SinkError
from pipeline.picture import U8Array
from pipeline.plugin import SinkContext
from streams.sinks.video import LONGEST_BREAK_S, TICKS_PER_S, VideoOptions, VideoSink
from tests.streams.sinks.material import frame, info

IRREGULAR_S = [0.0, 0.04, 0.0801, 0.25, 0.2501, 1.5, 2.4, 2.44, 60.0]


def scene(n: int, width: int = 64, height: int = 48) -> U8Array:
    """A colourful picture in which a bright square moves by 2 px each time."""
    y, x = np.mgrid[0:height, 0:width]
    bgr = np.stack([x * 255 // max(1, width), y * 255 // max(1, height), (x + y) * 2 % 256], axis=2)
    bgr = cv2.GaussianBlur(bgr.astype(np.uint8), (5, 5), 0) if min(width, height) > 4 else bgr
    left = 2 * n % max(1, width - 16)
    picture = np.asarray(bgr, np.uint8)
    picture[10:26, left : left + 16] = (40, 220, 60)
    return picture


class Cross:
    def paint(self, canvas: U8Array) -> None:
        canvas[30:40, :] = (0, 0, 255)


def record(
    folder: Path, pts_s: list[float], width: int = 64, height: int = 48, **options: Any
) -> list[U8Array]:
    """Record a picture at each media time and return what was drawn."""
    sink = VideoSink(VideoOptions(**options), SinkContext(folder))
    sink.open_stream(info(width=width, height=height))
    drawn = []
    for n, at_s in enumerate(pts_s):
        one = frame(at_s, bgr=scene(n, width, height))
        one.overlay = Cross()
        sink.on_frame(one)
        drawn.append(one.drawn())
    sink.close_stream("gate")
    sink.close()
    return drawn


def play(path: Path) -> tuple[list[float | None], list[U8Array]]:
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    return [f.time for f in frames], [f.to_ndarray(format="bgr24") for f in frames]


@pytest.mark.parametrize(
    "start_s", [0.0, 0.00511, 12.345678, 86400.0 * 90], ids=["0", "5 ms", "12 s", "90 days"]
)
def test_every_frame_comes_back_at_its_own_media_time(tmp_path: Path, start_s: float) -> None:
    pts_s = [start_s + at_s for at_s in IRREGULAR_S]
    record(tmp_path, pts_s)
    times, _ = play(tmp_path / "gate.mp4")
    assert times == pytest.approx(pts_s, abs=1 / TICKS_PER_S, rel=0)


def test_the_annotated_picture_comes_back(tmp_path: Path) -> None:
    drawn = record(tmp_path, [n / 25 for n in range(40)], 320, 240)
    _, pictures = play(tmp_path / "gate.mp4")
    assert len(pictures) == 40
    for expected, picture in zip(drawn, pictures, strict=True):
        assert cv2.PSNR(expected, picture) > 28
    assert abs(pictures[3][33:37, 20:300].astype(int).mean(axis=(0, 1)) - (0, 0, 255)).max() < 12


@pytest.mark.parametrize(
    ("size", "stored"),
    [((63, 48), (64, 48)), ((64, 47), (64, 48)), ((33, 27), (34, 28)), ((2, 2), (2, 2)), ((1, 1), (2, 2))],
)
def test_odd_sizes_are_padded_to_even(tmp_path: Path, size: tuple[int, int], stored: tuple[int, int]) -> None:
    drawn = record(tmp_path, [0.0, 0.04], *size, crf=1)
    _, pictures = play(tmp_path / "gate.mp4")
    assert [(p.shape[1], p.shape[0]) for p in pictures] == [stored] * 2
    if min(size) > 16:
        assert cv2.PSNR(drawn[0], np.ascontiguousarray(pictures[0][: size[1], : size[0]])) > 28


def test_opencv_and_the_container_know_length_and_colours(tmp_path: Path) -> None:
    record(tmp_path, [n / 10 for n in range(50)])
    with av.open(tmp_path / "gate.mp4") as container:
        stream = container.streams.video[0]
        assert container.duration == pytest.approx(5.0e6, abs=0.1e6)
        assert float(stream.average_rate) == pytest.approx(10, rel=0.03)
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (6, 1)
    capture = cv2.VideoCapture(str(tmp_path / "gate.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 50
    capture.release()


def test_key_frames_follow_media_time_not_the_number_of_frames(tmp_path: Path) -> None:
    pts_s = [n * 0.5 for n in range(6)] + [3 + n * 0.01 for n in range(100)] + [10.0, 11.0]
    record(tmp_path, pts_s, keyframe_s=2.0)
    with av.open(tmp_path / "gate.mp4") as container:
        keys = [f.time for f in container.decode(video=0) if f.key_frame]
    assert keys == pytest.approx([0.0, 2.0, 10.0])


def test_three_runs_into_one_folder_give_the_same_bytes(tmp_path: Path) -> None:
    contents = set()
    for _ in range(3):
        record(tmp_path, [n / 25 for n in range(30)])
        contents.add((tmp_path / "gate.mp4").read_bytes())
    assert len(contents) == 1


def test_each_stream_has_its_own_file(tmp_path: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    sink.open_stream(info("north"))
    sink.open_stream(info("south", 32, 32))
    for n in range(5):
        sink.on_frame(frame(n, stream="north", bgr=scene(n)))
        sink.on_frame(frame(n, stream="south", bgr=scene(n, 32, 32)))
    sink.close()
    sink.close()
    assert len(play(tmp_path / "north.mp4")[0]) == len(play(tmp_path / "south.mp4")[0]) == 5


def test_a_stream_without_a_frame_is_no_error(tmp_path: Path) -> None:
    assert record(tmp_path, []) == []


def test_another_picture_size_is_an_error_of_one_line_and_keeps_what_was_written(tmp_path: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    sink.open_stream(info())
    sink.on_frame(frame(0, bgr=scene(0)))
    with pytest.raises(SinkError, match=r"gate\.mp4: the picture changed from 64 x 48 to 32 x 32 px$"):
        sink.on_frame(frame(1, bgr=scene(1, 32, 32)))
    sink.close_stream("gate")
    assert play(tmp_path / "gate.mp4")[0] == [0.0]


@pytest.mark.parametrize("later_s", [1.0, 0.5])
def test_media_time_that_does_not_go_on_is_an_error_of_one_line(tmp_path: Path, later_s: float) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    sink.open_stream(info())
    sink.on_frame(frame(1.0, bgr=scene(0)))
    with pytest.raises(SinkError, match=rf"media time went from 1\.0+ to {later_s}"):
        sink.on_frame(frame(later_s, bgr=scene(1)))
    sink.close()


def test_a_full_disk_is_told_at_once_and_closing_stays_quiet(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").symlink_to("/dev/full")
    sink = VideoSink(VideoOptions(keyframe_s=0.1), SinkContext(tmp_path))
    with pytest.raises(SinkError, match=r"cannot write .*gate\.mp4: No space left on device; free") as caught:
        write_noise(sink, 400)
    assert "\n" not in str(caught.value)
    sink.close_stream("gate")
    sink.close()


def test_a_full_disk_is_told_when_only_closing_writes(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").symlink_to("/dev/full")
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    write_noise(sink, 1)
    with pytest.raises(SinkError, match="No space left on device"):
        sink.close_stream("gate")
    sink.close()


def write_noise(sink: VideoSink, frames: int) -> None:
    random = np.random.default_rng(1)
    sink.open_stream(info())
    for n in range(frames):
        sink.on_frame(frame(n / 10, bgr=random.integers(0, 255, (48, 64, 3), np.uint8)))


def test_a_file_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "gate.mp4").mkdir()
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    with pytest.raises(SinkError, match=r"cannot write .*gate\.mp4: Is a directory"):
        sink.open_stream(info())
    sink.close()


@pytest.mark.parametrize("options", [{"crf": 52}, {"preset": "quick"}, {"keyframe_s": 0}, {"gop": 25}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VideoOptions(**options)


_ENDLESS = """
import sys
from pathlib import Path
from pipeline.plugin import SinkContext
from streams.sinks.video import VideoOptions, VideoSink
from tests.streams.sinks.material import frame, info
from tests.streams.sinks.test_video import scene
sink = VideoSink(VideoOptions(keyframe_s=1.0), SinkContext(Path(sys.argv[1])))
sink.open_stream(info())
for n in range(10**6):
    sink.on_frame(frame(n / 25, bgr=scene(n)))
    print(n, flush=True)
"""


def test_a_file_plays_up_to_the_last_fragment_after_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 260:
                break
        writer.kill()
        written = int((writer.stdout.read().split() or [line])[-1]) + 1
    assert writer.returncode == -signal.SIGKILL
    times, pictures = play(tmp_path / "gate.mp4")
    assert times == pytest.approx([n / 25 for n in range(len(times))])
    # The fragment being filled is lost, and what the encoder still looks at: under 2 s with 1 s fragments.
    assert written - 50 <= len(times) <= written
    assert cv2.PSNR(scene(200), pictures[200]) > 28


def test_pictures_of_another_size_go_into_a_second_file(tmp_path: Path) -> None:
    """A camera that comes back with another resolution is opened anew; what was recorded stays."""
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    for width, times_s in ((64, (0.0, 0.1)), (128, (5.0, 5.1))):
        sink.open_stream(info(width=width, height=48))
        for n, at_s in enumerate(times_s):
            sink.on_frame(frame(at_s, bgr=scene(n, width, 48)))
        sink.close_stream("gate")
    sink.close()
    assert [play(tmp_path / name)[1][0].shape[1] for name in ("gate.mp4", "gate.2.mp4")] == [64, 128]


def test_a_camera_that_comes_back_after_hours_keeps_its_times(tmp_path: Path) -> None:
    back_s = LONGEST_BREAK_S + 1
    record(tmp_path, [0.0, 0.1, LONGEST_BREAK_S, LONGEST_BREAK_S + back_s, LONGEST_BREAK_S + back_s + 0.1])
    assert play(tmp_path / "gate.mp4")[0] == pytest.approx([0.0, 0.1, LONGEST_BREAK_S])
    later_s = play(tmp_path / "gate.2.mp4")[0]
    assert later_s == pytest.approx([LONGEST_BREAK_S + back_s, LONGEST_BREAK_S + back_s + 0.1])


def test_the_second_file_of_one_stream_is_never_that_of_another(tmp_path: Path) -> None:
    sink = VideoSink(VideoOptions(), SinkContext(tmp_path))
    sink.open_stream(info("gate-2"))
    for width in (64, 128):
        sink.open_stream(info("gate", width=width, height=48))
        sink.on_frame(frame(1.0, stream="gate", bgr=scene(0, width, 48)))
        sink.close_stream("gate")
    sink.on_frame(frame(1.0, stream="gate-2", bgr=scene(0)))
    sink.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert play(tmp_path / "gate-2.mp4")[1][0].shape[:2] == (48, 64)

"""Whole files of many kinds: what is told of them, every picture in order, at its true time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from pydantic import ValidationError

from pipeline.errors import SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock
from pipeline.registry import load_plugin
from streams.sources.file import FileSource
from tests.shared_data import shared
from tests.streams.sources.media import (
    RATE,
    busy,
    file_source,
    flat,
    read_file,
    write_sound,
    write_video,
)

N = 24
TIMES = pytest.approx([index / RATE for index in range(N)], abs=0.0006)  # Matroska and FLV count milliseconds


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "container", "told"),
    [
        ("a.mp4", "libx264", "yuv420p", "mov,mp4", "h264"),
        ("a.mov", "mpeg4", "yuv420p", "mov,mp4", "mpeg4"),
        ("a.mkv", "libx264", "yuv420p", "matroska", "h264"),
        ("b.mkv", "mjpeg", "yuvj420p", "matroska", "mjpeg"),
        ("c.mkv", "ffv1", "yuv420p", "matroska", "ffv1"),
        ("a.webm", "libvpx-vp9", "yuv420p", "matroska", "vp9"),
        ("a.ts", "libx264", "yuv420p", "mpegts", "h264"),
        ("b.ts", "mpeg2video", "yuv420p", "mpegts", "mpeg2video"),
        ("a.mpg", "mpeg2video", "yuv420p", "mpeg", "mpeg2video"),
        ("a.avi", "mpeg4", "yuv420p", "avi", "mpeg4"),
        ("b.avi", "libx264", "yuv420p", "avi", "h264"),
        ("c.avi", "mjpeg", "yuvj420p", "avi", "mjpeg"),
        ("a.flv", "flv1", "yuv420p", "flv", "flv1"),
        ("a.wmv", "wmv2", "yuv420p", "asf", "wmv2"),
        ("a.gif", "gif", "rgb8", "gif", "gif"),
        ("a.y4m", "wrapped_avframe", "yuv420p", "yuv4mpegpipe", "rawvideo"),
    ],
)
def test_every_picture_of_every_kind(
    tmp_path: Path, name: str, codec: str, pixel_format: str, container: str, told: str
) -> None:
    pictures = [flat(index, 320, 240) for index in range(N)]
    path = write_video(tmp_path / name, pictures, codec=codec, pixel_format=pixel_format)
    reading = read_file(path)
    assert (reading.gaps, reading.error) == ([], "")
    assert reading.numbers == list(range(N))
    assert reading.pts_s == TIMES
    assert [frame.sequence for frame in reading.frames] == list(range(N))
    info = reading.info
    assert (info.width, info.height, info.codec, info.rate_hz) == (320, 240, told, RATE)
    assert info.container.startswith(container)
    assert info.duration_s is None or info.duration_s == pytest.approx(N / RATE, abs=4.5 / RATE)
    assert info.frames in (None, N)
    assert (info.live, info.has_audio, info.rotation_deg) == (False, False, 0)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_b_frames_come_in_the_order_of_showing(tmp_path: Path, name: str) -> None:
    options = {"bf": "3", "b_strategy": "0", "tune": "psnr"}
    path = write_video(tmp_path / name, [flat(index) for index in range(N)], options=options)
    with av.open(str(path)) as container:
        assert [packet.pts for packet in container.demux(video=0) if packet.size] != TIMES
        assert container.streams.video[0].codec_context.has_b_frames
    reading = read_file(path)
    assert reading.numbers == list(range(N))
    assert reading.pts_s == TIMES


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_time_comes_from_the_file_not_from_a_count(tmp_path: Path, name: str) -> None:
    ticks = [0, 1, 2, 10, 11, 90, 91, 92, 500, 501]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_video(tmp_path / name, [flat(index) for index in range(10)], codec=codec, pts=ticks)
    reading = read_file(path)
    assert reading.pts_s == pytest.approx([tick / RATE for tick in ticks], abs=0.0006)
    assert reading.numbers == list(range(10))
    assert reading.gaps == []  # a scene that stands still is no gap


def test_a_pause_in_a_transport_stream_is_a_gap(tmp_path: Path) -> None:
    ticks = [*range(20), *range(270, 280)]
    reading = read_file(write_video(tmp_path / "a.ts", [flat(index) for index in range(30)], pts=ticks))
    (gap,) = reading.gaps
    assert (gap.cause, gap.after_s, gap.seconds) == ("timestamp jump", 0.76, 10.0)
    assert reading.pts_s == pytest.approx([tick / RATE for tick in ticks])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.flv"])
def test_the_first_picture_is_time_zero(tmp_path: Path, name: str) -> None:
    ticks = range(50, 50 + N)
    options = {"avoid_negative_ts": "disabled"}
    path = write_video(
        tmp_path / name,
        [flat(index) for index in range(N)],
        pts=ticks,
        container_options=options,
        container="flv" if name == "a.flv" else None,
        codec="flv1" if name == "a.flv" else "libx264",
    )
    reading = read_file(path)
    assert reading.pts_s == TIMES
    assert (reading.gaps, reading.error) == ([], "")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.webm"])
def test_sound_is_noticed_and_ignored(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = write_video(tmp_path / name, [flat(index) for index in range(N)], codec=codec, audio_s=3.0)
    reading = read_file(path)
    assert reading.info.has_audio
    assert reading.info.duration_s == pytest.approx(3.0 if name == "a.ts" else N / RATE, abs=2.1)
    assert reading.numbers == list(range(N))
    assert (reading.gaps, reading.error) == ([], "")  # sound that lasts longer does not make a cut file


def test_wall_clock(tmp_path: Path) -> None:
    pictures = [flat(index) for index in range(3)]
    plain = write_video(tmp_path / "a.mp4", pictures)
    dated = write_video(tmp_path / "b.mp4", pictures, metadata={"creation_time": "2018-04-19T22:46:00Z"})
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    for path, options, iso, uncertainty_ns in [
        (plain, {}, "1970-01-01T00:00:00.080Z", None),
        (dated, {}, "2018-04-19T22:46:00.080Z", None),
        (dated, {"start_time": start}, "2026-03-01T08:00:00.080Z", 0),
    ]:
        moment = read_file(path, **options).frames[2].moment
        assert (moment.iso(), moment.clock, moment.uncertainty_ns) == (iso, Clock.FILE, uncertainty_ns)


def test_a_start_time_needs_a_zone() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        FileSource.Options.model_validate({"start_time": "2026-03-01T08:00:00"})


def test_the_run_is_the_content(tmp_path: Path) -> None:
    first = write_video(tmp_path / "a.mp4", [flat(index) for index in range(3)])
    same = tmp_path / "other name: 100 %d.bin"
    same.write_bytes(first.read_bytes())
    another = write_video(tmp_path / "b.mp4", [flat(index + 1) for index in range(3)])
    runs = [read_file(path).info.run for path in (first, f"file://{same}", another)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif"])
def test_a_single_image_is_a_video_of_one_picture(tmp_path: Path, suffix: str) -> None:
    import cv2

    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), flat(7))
    reading = read_file(path)
    assert (reading.numbers, reading.pts_s) == ([7], [0.0])
    assert (reading.info.frames, reading.info.duration_s, reading.info.rate_hz) == (1, None, None)


def test_frame_threads_give_the_same_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [busy(index) for index in range(N)])
    one, many = read_file(path), read_file(path, threads="frame")
    assert one.pts_s == many.pts_s
    for left, right in zip(one.frames, many.frames, strict=True):
        assert (left.picture.bgr() == right.picture.bgr()).all()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_files_are_closed_however_it_ends(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [flat(index) for index in range(N)])
    sound = write_sound(tmp_path / "b.m4a", 0.2)
    read_file(path)
    before = open_files()
    kept: list[object] = []
    for attempt in range(50):
        source = file_source(path)
        source.open()
        items = source.read()
        kept += [source, items]
        if attempt % 5 == 0:  # read to the end, without close
            list(items)
        elif attempt % 5 == 1:  # close in the middle
            next(items)
            source.close()
            source.close()
        elif attempt % 5 == 2:  # close before reading
            source.close()
            assert list(items) == []
        elif attempt % 5 == 3:  # the reader goes away
            next(items)
            items.close()  # type: ignore[attr-defined]
        else:
            source.close()
            with pytest.raises(SourceError):
                file_source(sound).open()
    assert open_files() == before


def test_close_from_another_thread_ends_reading(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [busy(index) for index in range(60)])
    for after in range(0, 40, 4):
        source = file_source(path)
        source.open()
        reached, count = threading.Event(), [0]

        def consume(
            source: FileSource = source,
            reached: threading.Event = reached,
            count: list[int] = count,
            after: int = after,
        ) -> None:
            for _ in source.read():
                count[0] += 1
                if count[0] > after:
                    reached.set()

        thread = threading.Thread(target=consume)
        thread.start()
        assert reached.wait(10)
        source.close()
        thread.join(10)
        assert not thread.is_alive()
        assert count[0] <= 60


def test_close_before_open_and_during_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [flat(0)])
    source = file_source(path)
    source.close()
    with pytest.raises(SourceError, match="closed while it was opened"):
        source.open()


def test_the_plugin_is_found_by_name() -> None:
    assert load_plugin("source", "file") is FileSource
    assert FileSource.live is False


@pytest.mark.parametrize(
    ("name", "size", "frames", "duration_s", "rate_hz"),
    [
        ("car-detection.mp4", (768, 432), 377, 30.16, 12.5),
        ("traffic_a.mp4", (640, 360), 250, 8.333, 30.0),
        ("dashcam_motorway.mp4", (960, 540), 221, 8.84, 25.0),
        ("dashcam_vehicles_720p.mp4", (1280, 720), 38, 1.52, 25.0),
        ("faces.mp4", (640, 360), 275, 9.176, 29.97),
    ],
)
def test_real_clips(name: str, size: tuple[int, int], frames: int, duration_s: float, rate_hz: float) -> None:
    source = file_source(shared(f"video/{name}"))
    info = source.open()
    assert ((info.width, info.height), info.frames, info.rate_hz) == (size, frames, rate_hz)
    assert info.duration_s == pytest.approx(duration_s, abs=0.001)
    times = []
    for item in source.read():
        assert isinstance(item, Frame), item
        times.append(item.moment.pts_s)
    assert len(times) == frames
    assert times == pytest.approx([index / rate_hz for index in range(frames)], abs=0.001)

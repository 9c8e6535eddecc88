"""Webcams: errors for real, reading through FFmpeg's test patterns and OpenCV's files, by the same class."""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import pytest
from pydantic import ValidationError

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.moment import Clock
from pipeline.registry import load_plugin
from streams.sources.box_clock import BoxClock
from streams.sources.media_file import Lost
from streams.sources.webcam.camera import CameraFormat, Shot
from streams.sources.webcam.devices import Device, chosen
from streams.sources.webcam.ffmpeg import FfmpegCamera
from streams.sources.webcam.opencv import OpencvCamera
from streams.sources.webcam.source import Opener, WebcamOptions, WebcamSource, _demuxer_options
from tests.streams.sources.fake_clock import FakeClock
from tests.streams.sources.media import flat, level, write_video

on_linux = pytest.mark.skipif(platform.system() != "Linux", reason="v4l2 is of Linux")
CAMERAS = [
    Device(0, "Integrated Camera", "/dev/video0"),
    Device(2, "Logitech BRIO", "/dev/video2"),
    Device(4, "Logitech C270", "/dev/video4"),
]
PATTERN = "testsrc2=size=64x48:rate=10:duration=1"


def source(url: str = "webcam://0", opener: Opener | None = None, **options: Any) -> WebcamSource:
    return WebcamSource(url, WebcamOptions(**options), "desk", opener=opener, devices=lambda: CAMERAS)


def pattern(graph: str, clock: BoxClock | None = None) -> Opener:
    """An opener of FFmpeg's test pattern in place of the device."""
    return lambda device, options: FfmpegCamera(
        "webcam://0", Device(0, "pattern", graph), "lavfi", {}, clock or BoxClock()
    )


def test_it_is_found_by_its_scheme_and_kept() -> None:
    assert load_plugin("source", "webcam") is WebcamSource
    assert WebcamSource.live


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("0", "Integrated Camera"),
        ("2", "Logitech BRIO"),
        ("c270", "Logitech C270"),
        ("/dev/null", "/dev/null"),
    ],
)
def test_which_camera(wanted: str, name: str) -> None:
    assert chosen("u", wanted, CAMERAS).name == name


@pytest.mark.parametrize(
    ("wanted", "devices", "said"),
    [
        ("7", CAMERAS, "no camera 7; there are 0 (Integrated Camera), 2 (Logitech BRIO), 4 (Logitech C270)"),
        ("sony", CAMERAS, "no camera has 'sony' in its name; there are 0 (Integrated Camera), 2"),
        ("logitech", CAMERAS, "several cameras have that name: 2 (Logitech BRIO), 4 (Logitech C270)"),
        ("/dev/nosuch", CAMERAS, "no such device; there are 0 (Integrated Camera)"),
        ("sony", [], "none is plugged in"),
    ],
)
def test_no_such_camera(wanted: str, devices: list[Device], said: str) -> None:
    with pytest.raises(SourceError, match="webcam://x: ") as caught:
        chosen("webcam://x", wanted, devices)
    assert said in str(caught.value)
    assert caught.value.reason is Reason.NO_DEVICE


@on_linux
@pytest.mark.parametrize("path", ["/dev/null", __file__, str(Path(__file__).parent)])
def test_what_is_no_camera(path: str) -> None:
    with pytest.raises(SourceError, match="is no camera") as caught:
        source(f"webcam://{path}").open()
    assert caught.value.reason is Reason.NOT_MEDIA


@on_linux
def test_no_permission(tmp_path: Path) -> None:
    closed = tmp_path / "video0"
    closed.touch(mode=0)
    importlib.import_module("grp")  # where Python itself cannot be read, it could not be imported later
    caught: list[Exception] = []

    def as_somebody() -> None:
        ctypes.CDLL(None).setfsuid(65534)  # of this thread only: root would be let in
        try:
            FfmpegCamera(
                "webcam://0",
                Device(0, "Cam", f"/proc/self/fd/{anchor}/video0"),
                "video4linux2,v4l2",
                {},
                BoxClock(),
            )
        except SourceError as error:
            caught.append(error)

    tmp_path.chmod(0o755)
    anchor = os.open(tmp_path, os.O_RDONLY)
    try:
        thread = threading.Thread(target=as_somebody)
        thread.start()
        thread.join()
    finally:
        os.close(anchor)
    assert "no permission to read 0 (Cam); add this user to the group" in str(caught[0])


def test_opencv_says_what_it_can() -> None:
    with pytest.raises(SourceError, match="not there, in use, or not allowed") as caught:
        OpencvCamera("webcam://63", 63, {}, BoxClock())
    assert caught.value.reason is Reason.NO_DEVICE


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [("webcam://", {}, "which camera"), ("webcam://0", {"width": 640}, "width and height go together")],
)
def test_refused_before_anything_is_opened(url: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        source(url, **options)


@pytest.mark.parametrize("options", [{"width": 0}, {"rate_hz": 0}, {"pixel_format": "a b"}, {"backend": "x"}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WebcamOptions(**options)


@pytest.mark.parametrize(
    ("options", "form", "wanted"),
    [
        ({}, "video4linux2,v4l2", {}),
        (
            {"width": 1280, "height": 720, "rate_hz": 30, "pixel_format": "MJPG"},
            "video4linux2,v4l2",
            {"video_size": "1280x720", "framerate": "30", "input_format": "mjpeg"},
        ),
        ({"pixel_format": "YUYV"}, "video4linux2,v4l2", {"pixel_format": "yuyv422"}),
        ({"pixel_format": "mjpeg"}, "dshow", {"vcodec": "mjpeg"}),
        ({"rate_hz": 7.5}, "avfoundation", {"framerate": "7.5"}),
    ],
)
def test_what_ffmpeg_is_asked_for(options: dict[str, Any], form: str, wanted: dict[str, str]) -> None:
    assert _demuxer_options(WebcamOptions(**options), form) == wanted


def test_pictures_with_the_kernels_times() -> None:
    clock = FakeClock(now_s=1000.0)
    stamped = (
        f"{PATTERN},settb=1/1000000,setpts=PTS+999000000"  # 999.0 s to 999.9 s on the clock that says 1000
    )
    camera = source(opener=pattern(stamped, clock))
    camera._clock = clock
    info = camera.open()
    assert (info.width, info.height, info.live, info.rate_hz) == (64, 48, True, 10.0)
    frames = list(camera.read())
    assert all(isinstance(frame, Frame) for frame in frames)
    taken = [frame for frame in frames if isinstance(frame, Frame)]
    assert [frame.sequence for frame in taken] == list(range(10))
    assert [frame.moment.pts_s for frame in taken] == pytest.approx([index / 10 for index in range(10)])
    first = taken[0]
    assert first.moment.time_ns == pytest.approx(clock.utc_ns() - 1_000_000_000, abs=1000)
    assert (first.moment.clock, first.moment.uncertainty_ns) == (Clock.ARRIVAL, 100_000_000)
    assert first.arrived_s == 1000.0
    assert {frame.run for frame in taken} == {info.run}


def test_pictures_with_times_of_arrival() -> None:
    camera = source(opener=pattern(f"{PATTERN},realtime"))  # stamps from 0: on no clock of this box
    began_s = time.monotonic()
    info = camera.open()
    taken = [frame for frame in camera.read() if isinstance(frame, Frame)]
    assert len(taken) == 10
    assert taken[0].moment.pts_s == 0
    assert all(a.moment.pts_s < b.moment.pts_s for a, b in pairwise(taken))
    assert taken[-1].moment.pts_s == pytest.approx(0.9, abs=0.3)
    assert all(frame.moment.uncertainty_ns is None for frame in taken)
    assert all(began_s <= (frame.arrived_s or 0) <= time.monotonic() for frame in taken)
    again = source(opener=pattern(PATTERN))
    assert again.open().run != info.run
    again.close()
    assert list(again.read()) == []


def test_opencv_reads_the_same(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [flat(index) for index in range(5)])
    camera = source(
        opener=lambda device, options: OpencvCamera(
            "webcam://0", str(clip), {"width": 64, "height": 48}, BoxClock(), api=cv2.CAP_FFMPEG
        )
    )
    info = camera.open()
    assert (info.width, info.height, info.live, info.container) == (64, 48, True, "ffmpeg")
    taken = [frame for frame in camera.read() if isinstance(frame, Frame)]
    means = [float(frame.picture.bgr().mean()) for frame in taken]
    assert means == pytest.approx([level(index) for index in range(5)], abs=4)
    assert means == sorted(set(means))
    assert [frame.sequence for frame in taken] == [0, 1, 2, 3, 4]


class Scripted:
    """A camera that hands out what a test says, and moves its clock meanwhile."""

    format = CameraFormat(rate_hz=10.0)

    def __init__(self, clock: FakeClock, script: Callable[[], Iterator[Shot | Lost | None]]) -> None:
        self._clock, self._script = clock, script
        self.closed = False

    def shots(self) -> Iterator[Shot | Lost | None]:
        for item in self._script():
            self._clock.now_s += 0.5
            yield item

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def scripted(script: Callable[[FakeClock], Iterator[Shot | Lost | None]]) -> tuple[WebcamSource, Scripted]:
    clock = FakeClock()
    camera = Scripted(clock, lambda: script(clock))
    made = WebcamSource(
        "webcam://0",
        WebcamOptions(),
        "desk",
        opener=lambda device, options: camera,
        devices=lambda: CAMERAS,
        clock=clock,
    )
    return made, camera


def shot(clock: FakeClock, width: int = 64) -> Shot:
    from pipeline.picture import BgrPicture

    return Shot(BgrPicture(flat(1, width)), clock.now_s)


def test_a_silent_camera_is_told_and_then_given_up() -> None:
    def script(clock: FakeClock) -> Iterator[Shot | None]:
        yield shot(clock)
        while True:
            yield None

    camera, device = scripted(script)
    camera.open()
    reading = camera.read()
    next(reading)
    with pytest.raises(
        SourceError, match="no picture for 10 s: the camera is there but sends nothing"
    ) as caught:
        next(reading)
    assert caught.value.reason is Reason.NO_DATA
    assert camera.progress.trouble == (Reason.NO_DATA, "the camera is there but sends nothing")
    assert device.closed


def test_damage_is_a_gap_and_another_size_an_end() -> None:
    def script(clock: FakeClock) -> Iterator[Shot | Lost | None]:
        yield Lost("decode error", "before the first")
        yield shot(clock)
        yield Lost("decode error", "damaged: a")
        yield Lost("decode error", "damaged: b")
        yield shot(clock)
        yield shot(clock, width=80)

    camera, device = scripted(script)
    camera.open()
    reading = camera.read()
    first, gap, second = next(reading), next(reading), next(reading)
    assert isinstance(first, Frame)
    assert isinstance(second, Frame)
    assert gap == Gap("decode error", 0.0, None, "damaged: a (2 pictures)")
    assert camera.progress.trouble is None
    with pytest.raises(SourceError) as caught:
        next(reading)
    assert caught.value.reason is Reason.CHANGED
    assert device.closed


def test_closed_while_it_waits_for_the_first_picture() -> None:
    def script(clock: FakeClock) -> Iterator[None]:
        for _ in range(3):
            yield None
        camera.close()
        while True:
            yield None

    camera, device = scripted(script)
    with pytest.raises(SourceError, match="was closed while it was opened"):
        camera.open()
    assert camera.progress.connected
    assert device.closed


def test_closed_after_it_was_opened_it_lets_go_of_the_camera() -> None:
    def script(clock: FakeClock) -> Iterator[Shot]:
        yield shot(clock)

    camera, device = scripted(script)
    camera.open()
    assert not device.closed
    camera.close()
    assert device.closed
    assert list(camera.read()) == []

"""FFmpeg's v4l2 as it is, on a camera that is pretended where the kernel begins (see `fake_v4l2.c`)."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.streams.sources.media import flat

ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.skipif(
    platform.system() != "Linux"
    or shutil.which("cc") is None
    or not Path("/usr/include/linux/videodev2.h").exists(),
    reason="needs Linux, a C compiler and the kernel's headers (apt-get install gcc linux-libc-dev)",
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("v4l2") / "fake_v4l2.so"
    source = Path(__file__).with_name("fake_v4l2.c")
    command = [
        "cc",
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        made,
        source,
        "-ldl",
        "-lpthread",
    ]
    subprocess.run(command, check=True, timeout=60)
    return made


def read(mode: str, library: Path, folder: Path) -> Any:
    camera = folder / "video0"
    os.mkfifo(camera)
    assert cv2.imwrite(str(folder / "picture.jpg"), flat(10))
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAKE_V4L2": str(camera),
        "FAKE_JPEG": str(folder / "picture.jpg"),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.streams.sources.webcam.v4l2_reader", mode, str(camera)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_it_plays_with_the_kernels_times(library: Path, tmp_path: Path) -> None:
    raw, jpeg = read("play", library, tmp_path)
    assert (raw["codec"], jpeg["codec"]) == ("rawvideo", "mjpeg")
    for found in (raw, jpeg):
        assert (found["size"], found["rate_hz"]) == ([64, 48], 20.0)
        assert found["pts_s"][0] == 0
        assert all(0 < b - a < 5 for a, b in pairwise(found["pts_s"]))
        assert all(-0.01 < late_s < 1 for late_s in found["late_s"])
        assert found["uncertainty_ns"] == 50_000_000
        assert found["left_open"] == 0


def test_a_format_it_does_not_have(library: Path, tmp_path: Path) -> None:
    said = read("refuse", library, tmp_path)
    assert said["reason"] == "REJECTED"
    assert "does not send nv12; it offers YUYV 64x48, MJPG 64x48; choose another" in said["message"]


def test_a_camera_in_use(library: Path, tmp_path: Path) -> None:
    said = read("busy", library, tmp_path)
    assert said["reason"] == "DEVICE_BUSY"
    assert "is in use by another program" in said["message"]
    assert said["still"] == 3


def test_a_camera_that_is_unplugged(library: Path, tmp_path: Path) -> None:
    said = read("unplug", library, tmp_path)
    assert said["reason"] == "NO_DEVICE"
    assert "the camera was unplugged" in said["message"]


@pytest.mark.parametrize(("mode", "reason"), [("silent", None), ("silent_open", "CLOSED")])
def test_a_silent_camera_can_be_left(mode: str, reason: str | None, library: Path, tmp_path: Path) -> None:
    said = read(mode, library, tmp_path)
    assert said.get("reason") == reason
    assert said["close_s"] < 0.2
    assert 0 < said["back_s"] < 3


def test_a_silent_camera_is_given_up(library: Path, tmp_path: Path) -> None:
    said = read("silent_for_ever", library, tmp_path)
    assert said["reason"] == "NO_DATA"
    assert "sends no picture" in said["message"]

"""The screen, taken for real from a virtual display that the test starts and draws on."""

from __future__ import annotations

import importlib.util
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock
from pipeline.picture import U8Array
from pipeline.registry import load_plugin
from streams.sources.screen import Region, ScreenOptions, ScreenSource, _region, _wanted
from tests.streams.sources.fake_clock import FakeClock

needs_display = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xsetroot") and importlib.util.find_spec("mss")),
    reason="needs Xvfb, xsetroot and mss (apt-get install xvfb x11-xserver-utils; extra 'screen')",
)
TILE = (np.arange(256).reshape(16, 16) * 7 % 5 < 2).astype(np.uint8)
BACK, FORE = (0x20, 0x60, 0xC0), (0xE0, 0x90, 0x10)  # RGB


def source(url: str, clock: FakeClock | None = None, **options: Any) -> ScreenSource:
    return ScreenSource(url, ScreenOptions(**options), "desk", clock or FakeClock())


def drawn(width: int, height: int) -> U8Array:
    """The BGR picture of the whole display: the root window is tiled."""
    tiles = np.tile(TILE, (height // 16 + 1, width // 16 + 1))[:height, :width]
    colours = np.array([BACK[::-1], FORE[::-1]], np.uint8)
    return colours[tiles]


def xbm(tile: U8Array) -> str:
    rows = np.packbits(tile, axis=1, bitorder="little").reshape(-1)
    data = ", ".join(f"0x{byte:02x}" for byte in rows)
    return f"#define t_width 16\n#define t_height 16\nstatic char t_bits[] = {{\n{data} }};\n"


def hex_of(rgb: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{level:02x}" for level in rgb)


def start_display() -> tuple[subprocess.Popen[bytes], str]:
    """Start Xvfb on a display number that it finds itself."""
    told, tell = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(tell), "-screen", "0", "320x200x24", "-noreset", "-nolisten", "tcp"],
        pass_fds=[tell],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(tell)
    with os.fdopen(told, "rb") as answer:  # whole: the server would die of writing into a closed pipe
        assert select.select([told], [], [], 30)[0], "Xvfb has not started within 30 s"
        return server, f":{answer.readline().decode().strip()}"


def stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server, name = start_display()
    try:
        bitmap: Path = tmp_path_factory.mktemp("screen") / "tile.xbm"
        bitmap.write_text(xbm(TILE), encoding="ascii")
        subprocess.run(
            ["xsetroot", "-display", name, "-fg", hex_of(FORE), "-bg", hex_of(BACK), "-bitmap", str(bitmap)],
            check=True,
            timeout=30,
        )
        yield name
    finally:
        stop(server)


def test_it_is_found_by_its_scheme_and_kept() -> None:
    assert load_plugin("source", "screen") is ScreenSource
    assert ScreenSource.live


@needs_display
@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("screen://", (0, 0, 320, 200)),
        ("screen://1", (0, 0, 320, 200)),
        ("screen://0", (0, 0, 320, 200)),
        ("screen://37,11,101x67", (37, 11, 101, 67)),
    ],
)
def test_the_pixels_that_are_there(display: str, url: str, region: tuple[int, int, int, int]) -> None:
    left, top, width, height = region
    screen = source(url, display=display)
    info = screen.open()
    assert (info.width, info.height, info.live, info.rate_hz) == (width, height, True, 10.0)
    assert screen.progress.connected
    frame = next(iter(screen.read()))
    assert isinstance(frame, Frame)
    expected = drawn(320, 200)[top : top + height, left : left + width]
    np.testing.assert_array_equal(frame.picture.bgr(), expected)
    assert (frame.run, frame.sequence, frame.moment.pts_s) == (info.run, 0, 0.0)
    assert frame.moment.clock is Clock.ARRIVAL
    screen.close()


@needs_display
def test_the_pace_and_what_a_slow_reader_misses(display: str) -> None:
    clock = FakeClock()
    screen = source("screen://0,0,16x16", clock, display=display, rate_hz=4)
    screen.open()
    reading = screen.read()
    times = []
    for busy_s in (0, 0, 0.6, 0, 10.0, 0):
        frame = next(reading)
        assert isinstance(frame, Frame)
        assert frame.arrived_s == clock.now_s
        times.append(frame.moment.pts_s)
        clock.now_s += busy_s  # what the reader does with it
    assert times == [0.0, 0.25, 0.5, 1.25, 1.5, 11.5]
    assert frame.sequence == 5
    screen.close()
    assert list(reading) == []


@needs_display
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("screen://7", "no monitor 7; there are 1 (320x200 at 0,0)"),
        ("screen://300,0,40x40", "not within the desktop; monitors: 1 (320x200 at 0,0)"),
    ],
)
def test_no_such_monitor(display: str, url: str, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        source(url, display=display).open()
    assert str(caught.value) == f"{url}: {said}"
    assert caught.value.reason is Reason.NO_DEVICE


@needs_display
def test_a_display_that_goes_away() -> None:
    server, name = start_display()
    try:
        screen = source("screen://", display=name)
        screen.open()
        reading = screen.read()
        next(reading)
    finally:
        stop(server)
    with pytest.raises(SourceError, match="can no longer be read") as caught:
        next(reading)
    assert caught.value.reason is Reason.CLOSED
    assert "\n" not in str(caught.value)


@needs_display
def test_closed_before_it_is_read(display: str) -> None:
    screen = source("screen://", display=display)
    screen.open()
    screen.close()
    assert list(screen.read()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only X11 has named displays")
@pytest.mark.skipif(importlib.util.find_spec("mss") is None, reason="needs the extra 'screen'")
@pytest.mark.parametrize(
    ("display", "said"),
    [
        (None, "there is no display; start it within a desktop session"),
        (":4711", "display :4711 cannot be opened"),
    ],
)
def test_no_display(monkeypatch: pytest.MonkeyPatch, display: str | None, said: str) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(SourceError, match=said) as caught:
        source("screen://", display=display).open()
    assert caught.value.reason is Reason.NO_DEVICE
    assert "\n" not in str(caught.value)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(SourceError, match=r'pip install "sightline\[screen\]"') as caught:
        source("screen://").open()
    assert caught.value.reason is Reason.MISSING_PACKAGE


@pytest.mark.parametrize(
    "url", ["screen://left", "screen://0,0,0x5", "screen://-1", "screen://1,2,3", "screen://0,0,99999x9999"]
)
def test_neither_monitor_nor_region(url: str) -> None:
    with pytest.raises(ConfigError, match="LEFT,TOP,WIDTHxHEIGHT"):
        source(url)


@pytest.mark.parametrize("options", [{"rate_hz": 0}, {"rate_hz": 1000}, {"display": ""}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScreenOptions(**options)


def test_monitors_left_of_the_first() -> None:
    monitors = [Region(-1920, 0, 3840, 1080), Region(0, 0, 1920, 1080), Region(-1920, 0, 1920, 1080)]
    assert _region("u", 2, monitors) == monitors[2]
    assert _region("u", _wanted("screen://-100,0,200x50"), monitors) == Region(-100, 0, 200, 50)

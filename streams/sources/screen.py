"""Source `screen`: what a monitor shows, or a part of it, as a live stream."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.picture import BgrPicture, U8Array
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.box_clock import ArrivalTimes, BoxClock
from streams.sources.lease import Lease

if TYPE_CHECKING:
    from mss import MSS

_REGION = re.compile(r"(-?\d+),(-?\d+),(\d+)x(\d+)")
_MOST_PIXELS = 1 << 26


class Region(NamedTuple):
    """A part of the desktop, px; the origin is the top left corner of the first monitor's desktop."""

    left: int
    top: int
    width: int
    height: int


class ScreenOptions(Options):
    """Options of the source `screen`.

    Attributes:
        rate_hz: pictures per second.
        display: X11 display such as ":1"; by default the environment's DISPLAY. Linux only.
    """

    rate_hz: float = Field(default=10.0, gt=0, le=240)
    display: str | None = Field(default=None, min_length=1)


class ScreenSource(Source):
    """Takes pictures of a monitor at a steady pace: `screen://`, `screen://2`, `screen://0,0,640x360`.

    `screen://` is the first monitor and `screen://0` all of them as one picture. When a picture takes longer
    than its turn, the next turns are left out: nothing queues up. A picture's time is the middle of the
    time in which it was taken, known to half of that.

    Raises:
        ConfigError: if the URL names neither a monitor nor a region.
    """

    Options = ScreenOptions
    emits = NO_EVENTS
    live = True
    options: ScreenOptions

    def __init__(
        self, url: SecretUrl | str, options: ScreenOptions, stream: str, clock: BoxClock | None = None
    ) -> None:
        super().__init__(url, options, stream)
        self._wanted = _wanted(self.address.reveal())
        self._clock = clock or BoxClock()
        self._closed = threading.Event()
        self._screen: MSS | None = None
        self._lease: Lease | None = None
        self._run = uuid.uuid4().hex

    def open(self) -> StreamInfo:
        """Connect to the display and find the monitor.

        Raises:
            SourceError: without the package, a display or such a monitor; monitors are listed.
        """
        screen = self._screen = _connected(self.url, self.options.display)
        lease = self._lease = Lease(lambda: _let_go(screen))
        try:
            self.progress.connected = True
            monitors = [Region(m["left"], m["top"], m["width"], m["height"]) for m in screen.monitors]
            self._region = _region(self.url, self._wanted, monitors)
        except BaseException:
            lease.give_up()
            raise
        if self._closed.is_set():
            lease.give_up()
        return StreamInfo(
            stream=self.stream,
            url=self.url,
            run=self._run,
            width=self._region.width,
            height=self._region.height,
            live=True,
            pixel_format="bgr0",
            rate_hz=self.options.rate_hz,
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield pictures at `rate_hz`, as far as the screen can be read that fast. There are no gaps.

        Raises:
            SourceError: if the display is gone, or the monitor has another size.
        """
        screen, lease = self._screen, self._lease
        if screen is None or lease is None:
            raise RuntimeError("read() before open()")
        if not lease.begin():
            return
        times = ArrivalTimes(self._clock)
        sequence = 0
        start_s = self._clock.monotonic_s()
        turn = 0
        try:
            while not self._clock.wait(self._closed, start_s + turn / self.options.rate_hz):
                before_s = self._clock.monotonic_s()
                picture = BgrPicture(self._grab(screen))
                arrived_s = self._clock.monotonic_s()
                half_s = (arrived_s - before_s) / 2
                moment = times.moment(before_s + half_s, max(1, round(half_s * 1e9)))
                if moment is not None:
                    yield Frame(self.stream, self._run, sequence, moment, picture, arrived_s=arrived_s)
                    sequence += 1
                done = (self._clock.monotonic_s() - start_s) * self.options.rate_hz
                turn = max(turn + 1, math.ceil(done - 1e-6))
        finally:
            lease.end()

    def close(self) -> None:
        """End `read` before its next picture; from any thread, in every state."""
        self._closed.set()
        if self._lease is not None:
            self._lease.give_up()

    def _grab(self, screen: MSS) -> U8Array:
        region = self._region
        try:
            shot = screen.grab(region._asdict())
        except Exception as error:  # mss asserts that there is an answer
            raise SourceError(
                f"{self.url}: the screen can no longer be read ({_line(error)}); the display is gone, or "
                "its monitors have changed",
                Reason.CLOSED,
            ) from None
        pixels = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, shot.width, 4)
        if (shot.width, shot.height) != (region.width, region.height):
            # Screens with a scale (Retina) give more pixels than their coordinates say.
            pixels = np.asarray(
                cv2.resize(pixels, (region.width, region.height), interpolation=cv2.INTER_AREA), np.uint8
            )
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), np.uint8)


def _wanted(address: str) -> int | Region:
    place = address.partition("://")[2].strip("/")
    if match := _REGION.fullmatch(place):
        region = Region(*map(int, match.groups()))
        if region.width and region.height and region.width * region.height <= _MOST_PIXELS:
            return region
    if re.fullmatch(r"\d{0,3}", place):
        return int(place or 1)
    raise ConfigError(
        f"{address}: expected screen://, screen://NUMBER of a monitor (0 for all), or a region "
        "screen://LEFT,TOP,WIDTHxHEIGHT in pixels"
    )


def _connected(url: str, display: str | None) -> MSS:
    try:
        from mss import MSS, ScreenShotError
    except ImportError:
        raise SourceError(
            f'{url}: reading the screen needs the package mss: pip install "sightline[screen]"',
            Reason.MISSING_PACKAGE,
        ) from None
    on_linux = sys.platform.startswith("linux")
    shown = display or os.environ.get("DISPLAY")
    if on_linux and not shown:
        raise SourceError(
            f"{url}: there is no display; start it within a desktop session, set DISPLAY, or give the "
            "option display, e.g. ':0'",
            Reason.NO_DEVICE,
        )
    try:
        return MSS(display=shown) if on_linux else MSS()
    except (ScreenShotError, OSError) as error:
        raise SourceError(
            f"{url}: display {shown or 'of this session'} cannot be opened ({_line(error)}); is it running, "
            "and may this user see it?",
            Reason.NO_DEVICE,
        ) from None


def _let_go(screen: MSS) -> None:
    from mss import ScreenShotError

    with contextlib.suppress(ScreenShotError):  # says that the display is gone, which is why it is closed
        screen.close()


def _region(url: str, wanted: int | Region, monitors: list[Region]) -> Region:
    """Return what to take; `monitors` has the whole desktop first."""
    listed = ", ".join(
        f"{number} ({monitor.width}x{monitor.height} at {monitor.left},{monitor.top})"
        for number, monitor in enumerate(monitors)
        if number
    )
    if isinstance(wanted, int):
        if wanted < len(monitors):
            return monitors[wanted]
        raise SourceError(f"{url}: no monitor {wanted}; there are {listed or 'none'}", Reason.NO_DEVICE)
    desktop = monitors[0]
    inside = (
        desktop.left <= wanted.left
        and desktop.top <= wanted.top
        and wanted.left + wanted.width <= desktop.left + desktop.width
        and wanted.top + wanted.height <= desktop.top + desktop.height
    )
    if not inside:
        raise SourceError(f"{url}: not within the desktop; monitors: {listed or 'none'}", Reason.NO_DEVICE)
    return wanted


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or "no answer"

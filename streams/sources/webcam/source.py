"""Source `webcam`: a camera of this box as a live stream."""

from __future__ import annotations

import platform
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import av
from pydantic import Field, field_validator

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.moment import Moment
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.box_clock import ArrivalTimes, BoxClock
from streams.sources.lease import Lease
from streams.sources.media_file import Lost
from streams.sources.webcam.camera import Camera, Shot
from streams.sources.webcam.devices import FORMATS, Device, all_devices, chosen
from streams.sources.webcam.ffmpeg import FfmpegCamera, stop_waiting
from streams.sources.webcam.opencv import OpencvCamera

_TROUBLE_S = 2.0
_SILENCE_S = 10.0
# FFmpeg's names of what cameras call by four letters.
_NAMES = {
    "mjpg": "mjpeg",
    "jpeg": "mjpeg",
    "yuyv": "yuyv422",
    "yuy2": "yuyv422",
    "uyvy": "uyvy422",
    "yu12": "yuv420p",
    "i420": "yuv420p",
    "grey": "gray",
}


class WebcamOptions(Options):
    """Options of the source `webcam`; what is left out is up to the camera.

    Attributes:
        width: of the pictures, px; together with `height`.
        height: of the pictures, px.
        rate_hz: pictures per second.
        pixel_format: what the camera sends: FFmpeg's name or the four letters, e.g. mjpeg or YUYV.
        backend: "ffmpeg", "opencv", or the better of the two on this box.
    """

    width: int | None = Field(default=None, ge=16, le=16384)
    height: int | None = Field(default=None, ge=16, le=16384)
    rate_hz: float | None = Field(default=None, gt=0, le=1000)
    pixel_format: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_]{2,16}$")
    backend: Literal["auto", "ffmpeg", "opencv"] = "auto"

    @field_validator("pixel_format")
    @classmethod
    def _named_as_ffmpeg_does(cls, value: str | None) -> str | None:
        return None if value is None else _NAMES.get(value.lower(), value.lower())


Opener = Callable[[Device, WebcamOptions], Camera]


class WebcamSource(Source):
    """Reads a camera of this box: `webcam://0`, `webcam:///dev/video2`, `webcam://part of its name`.

    Times are the kernel's, taken when it had the picture, where it uses the monotonic clock (Linux);
    otherwise when the picture was handed over.

    Args:
        url: see above.
        options: see `WebcamOptions`.
        stream: name of the stream.
        opener: opens a camera in place of FFmpeg and OpenCV.
        devices: lists the cameras there are.
        clock: of this box.

    Raises:
        ConfigError: if the URL names no camera, or only one of width and height is given.
    """

    Options = WebcamOptions
    emits = NO_EVENTS
    live = True
    options: WebcamOptions

    def __init__(
        self,
        url: SecretUrl | str,
        options: WebcamOptions,
        stream: str,
        *,
        opener: Opener | None = None,
        devices: Callable[[], Sequence[Device]] = all_devices,
        clock: BoxClock | None = None,
    ) -> None:
        super().__init__(url, options, stream)
        self._wanted = re.sub(r"^\w+://", "", self.address.reveal())
        if not self._wanted:
            raise ConfigError(
                f"{self.url}: which camera? webcam://0, webcam:///dev/video2 or a part of its name"
            )
        if (options.width is None) != (options.height is None):
            raise ConfigError(f"{self.url}: width and height go together; give both, or neither")
        self._clock = clock or BoxClock()
        self._opener = opener or self._opened
        self._devices = devices
        self._closed = threading.Event()
        self._device: Device | None = None
        self._camera: Camera | None = None
        self._lease: Lease | None = None
        self._first: Shot | None = None
        self._run = uuid.uuid4().hex

    def open(self) -> StreamInfo:
        """Open the camera and wait for its first picture, which decides the size.

        Raises:
            SourceError: no such camera, in use, not allowed, format refused, or no picture within 10 s.
        """
        device = self._device = chosen(self.url, self._wanted, self._devices())
        try:
            camera = self._camera = self._opener(device, self.options)
            first = self._first_of(camera)
            self._lease = Lease(camera.close)
            if self._closed.is_set():
                self._lease.give_up()
        except SourceError:
            if self._closed.is_set():
                raise SourceError(f"{self.url}: was closed while it was opened", Reason.CLOSED) from None
            raise
        picture = first.picture
        form = camera.format
        return StreamInfo(
            stream=self.stream,
            url=self.url,
            run=self._run,
            width=picture.width,
            height=picture.height,
            live=True,
            codec=form.codec,
            container=form.container,
            pixel_format=form.pixel_format,
            rate_hz=form.rate_hz,
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield pictures as they come, and a `Gap` before the next for damaged ones ("decode error").

        Raises:
            SourceError: if the camera is unplugged, silent for 10 s, or changes its pictures' size.
        """
        camera, first, lease = self._camera, self._first, self._lease
        if camera is None or first is None or lease is None:
            raise RuntimeError("read() before open()")
        if not lease.begin():
            return
        times = ArrivalTimes(self._clock)
        size = (first.picture.width, first.picture.height)
        shot: Shot | Lost | None = first
        lost: Lost | None = None
        sequence = 0
        try:
            while shot is not None and not self._closed.is_set():
                if isinstance(shot, Lost):
                    lost = shot.after(lost)
                elif (shot.picture.width, shot.picture.height) != size:
                    raise SourceError(f"{self.url}: the camera changed its pictures' size", Reason.CHANGED)
                else:
                    after_s = times.last_s
                    moment = self._moment(times, shot, camera.format.rate_hz)
                    if moment is None:
                        lost = Lost("timestamp jump", "a picture is no later than the one before it").after(
                            lost
                        )
                    else:
                        if lost is not None:
                            yield Gap(lost.cause, after_s, None, lost.detail)
                            lost = None
                        yield Frame(
                            self.stream, self._run, sequence, moment, shot.picture, arrived_s=shot.arrived_s
                        )
                        sequence += 1
                shot = next(self._shots, None)
        except SourceError:
            if not self._closed.is_set():  # what is closed fails, too
                raise
        finally:
            lease.end()

    def close(self) -> None:
        """End `open` and `read` soon, also while they wait for a picture."""
        self._closed.set()
        if self._lease is not None:
            self._lease.give_up()
        if self._camera is not None:
            self._camera.interrupt()
        elif self._device is not None:
            stop_waiting(self._device)

    def _first_of(self, camera: Camera) -> Shot:
        self.progress.connected = True
        try:
            self._shots = self._heard(camera.shots())
            self._first = next((shot for shot in self._shots if isinstance(shot, Shot)), None)
            if self._first is None:
                raise SourceError(f"{self.url}: the camera gives no picture", Reason.CLOSED)
        except BaseException:
            camera.close()
            raise
        return self._first

    def _heard(self, shots: Iterator[Shot | Lost | None]) -> Iterator[Shot | Lost]:
        """Pass on what comes, and complain of what does not."""
        last_s = self._clock.monotonic_s()
        for shot in shots:
            if self._closed.is_set():
                return
            now_s = self._clock.monotonic_s()
            if isinstance(shot, Shot):
                last_s = now_s
                self.progress.trouble = None
                yield shot
                continue
            if isinstance(shot, Lost):
                self.progress.trouble = (Reason.DECODE_ERRORS, shot.detail)
                yield shot
            elif now_s - last_s > _TROUBLE_S and self.progress.trouble is None:
                self.progress.trouble = (Reason.NO_DATA, "the camera is there but sends nothing")
            if now_s - last_s > _SILENCE_S:
                reason, what = self.progress.trouble or (Reason.NO_DATA, "it sends nothing")
                raise SourceError(
                    f"{self.url}: no picture for {_SILENCE_S:.0f} s: {what}; plug it in again, try another "
                    "port, or a smaller size",
                    reason,
                )

    def _moment(self, times: ArrivalTimes, shot: Shot, rate_hz: float | None) -> Moment | None:
        if shot.stamped_s is None:
            return times.moment(shot.arrived_s)
        # Exposure and transfer to the kernel take up to one picture's time.
        return times.moment(shot.stamped_s, round(1e9 / rate_hz) if rate_hz else None)

    def _opened(self, device: Device, options: WebcamOptions) -> Camera:
        form = FORMATS.get(platform.system())
        has_ffmpeg = form is not None and form in av.formats_available
        if options.backend == "opencv" or (options.backend == "auto" and not has_ffmpeg):
            given = options.model_dump(exclude={"backend"}, exclude_none=True)
            opened = device.address if device.number is None else device.number
            return OpencvCamera(self.url, opened, given, self._clock)
        if form is None or not has_ffmpeg:
            raise SourceError(f"{self.url}: this FFmpeg reads no cameras on this system; try backend: opencv")
        return FfmpegCamera(self.url, device, form, _demuxer_options(options, form), self._clock)


def _demuxer_options(options: WebcamOptions, form: str) -> dict[str, str]:
    wanted: dict[str, str] = {}
    if options.width is not None:
        wanted["video_size"] = f"{options.width}x{options.height}"
    if options.rate_hz is not None:
        wanted["framerate"] = f"{options.rate_hz:g}"
    if options.pixel_format is not None:
        is_codec = options.pixel_format in ("mjpeg", "h264", "hevc")
        by_codec = {"dshow": "vcodec", "avfoundation": "pixel_format"}.get(form, "input_format")
        wanted[by_codec if is_codec else "pixel_format"] = options.pixel_format
    return wanted

"""Cameras read by OpenCV, where FFmpeg has no way to them."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator

import cv2
import numpy as np

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.picture import BgrPicture
from streams.sources.box_clock import BoxClock
from streams.sources.media_file import Lost
from streams.sources.webcam.camera import CameraFormat, Shot

_FOURCC = {
    "mjpeg": "MJPG",
    "yuyv422": "YUYV",
    "uyvy422": "UYVY",
    "nv12": "NV12",
    "yuv420p": "YU12",
    "h264": "H264",
    "gray": "GREY",
}
_FAILURES_IN_A_ROW = 3


class OpencvCamera:
    """A camera as OpenCV gives it: without reasons and without times of its own.

    Args:
        url: for messages.
        device: number, or what else OpenCV opens.
        settings: width, height, rate_hz, pixel_format, as far as they are wanted.
        clock: of this box.
        api: OpenCV's number of the backend.

    Raises:
        SourceError: if OpenCV cannot open it; it does not say why.
    """

    def __init__(
        self,
        url: str,
        device: int | str,
        settings: dict[str, int | float | str],
        clock: BoxClock,
        api: int | None = None,
    ) -> None:
        self._url = url
        self._clock = clock
        self._stop = threading.Event()
        backend = _system_api() if api is None else api
        self._capture = cv2.VideoCapture()
        self._capture.setExceptionMode(False)
        self._capture.open(device, backend)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{url}: OpenCV cannot open camera {device}: it is not there, in use, or not allowed",
                Reason.NO_DEVICE,
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        code = str(settings.get("pixel_format", ""))
        if code:
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*_FOURCC.get(code, "MJPG")))
        for name, prop in (
            ("width", cv2.CAP_PROP_FRAME_WIDTH),
            ("height", cv2.CAP_PROP_FRAME_HEIGHT),
            ("rate_hz", cv2.CAP_PROP_FPS),
        ):
            if name in settings:
                self._capture.set(prop, float(settings[name]))
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self.format = CameraFormat(
            container=self._capture.getBackendName().lower(),
            pixel_format="bgr24",
            rate_hz=rate_hz if 0 < rate_hz < 1000 else None,
        )

    def shots(self) -> Iterator[Shot | Lost | None]:
        """See `Camera.shots`."""
        failures = 0
        while not self._stop.is_set():
            good, pixels = self._capture.read()
            arrived_s = self._clock.monotonic_s()
            if good:
                failures = 0
                yield Shot(BgrPicture(np.asarray(pixels, np.uint8)), arrived_s)
                continue
            failures += 1
            if failures >= _FAILURES_IN_A_ROW:
                return
            yield None

    def interrupt(self) -> None:
        """See `Camera.interrupt`."""
        self._stop.set()

    def close(self) -> None:
        """See `Camera.close`."""
        self._capture.release()


def _system_api() -> int:
    apis = {"Linux": cv2.CAP_V4L2, "Darwin": cv2.CAP_AVFOUNDATION, "Windows": cv2.CAP_DSHOW}
    return apis.get(platform.system(), cv2.CAP_ANY)

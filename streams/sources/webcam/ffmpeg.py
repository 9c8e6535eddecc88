"""Cameras read by FFmpeg: v4l2 on Linux, AVFoundation on macOS, DirectShow on Windows."""

from __future__ import annotations

import errno
import os
import platform
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.condition import Reason
from pipeline.errors import SourceError
from streams.sources.box_clock import BoxClock
from streams.sources.decode import PictureMaker
from streams.sources.media_file import Lost
from streams.sources.upright import Upright
from streams.sources.webcam.camera import CameraFormat, Shot
from streams.sources.webcam.devices import Device

_TIMEOUT_S = (5.0, 2.0)
_POLL_S = 0.2
_OLDEST_S = 5.0
# Without these it would read pictures to find out what the device has said already.
_PROBING = {"fpsprobesize": "0", "analyzeduration": "1", "probesize": "32"}
_GONE = (errno.ENODEV, errno.ENXIO, errno.ENOENT)


class FfmpegCamera:
    """A camera as FFmpeg's device demuxers give it.

    v4l2 waits for pictures inside the kernel, where FFmpeg's time-outs do not reach. So the device is read
    without waiting, and waited for outside. While it is opened, stopping the stream ends a wait.

    Args:
        url: for messages.
        device: the camera.
        form: FFmpeg's name of the demuxer.
        options: of the demuxer.
        clock: of this box; v4l2's stamps are on the same monotonic clock.

    Raises:
        SourceError: why the camera cannot be had.
    """

    def __init__(
        self, url: str, device: Device, form: str, options: Mapping[str, str], clock: BoxClock
    ) -> None:
        self._url = url
        self._clock = clock
        self._path = device.address if "v4l2" in form else None
        with _impatience(self._path) as silent:
            try:
                self._container: InputContainer = av.open(
                    device.address, format=form, options=_PROBING | dict(options), timeout=_TIMEOUT_S
                )
            except av.FFmpegError as error:
                raise (
                    _no_picture(url, device) if silent.is_set() else _refused(url, device, options, error)
                ) from None
        try:
            if silent.is_set():  # opened all the same, but it is stopped
                raise _no_picture(url, device)
            self._stream = _pictures(url, device, self._container)
            _check_format(url, device, options, self._stream)
        except BaseException:
            self._container.close()
            raise
        self._descriptor = None if self._path is None else _without_waiting(self._path)
        context = self._stream.codec_context
        rate = self._stream.average_rate
        self.format = CameraFormat(
            codec=context.codec.canonical_name,
            container=self._container.format.name,
            pixel_format=context.pix_fmt or "",
            rate_hz=float(rate) if rate else None,
        )

    def shots(self) -> Iterator[Shot | Lost | None]:
        """See `Camera.shots`."""
        pictures = PictureMaker(Upright())
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                arrived_s = self._clock.monotonic_s()
                frames = packet.decode()
            except (BlockingIOError, av.error.InvalidDataError) as error:
                packets = self._container.demux(self._stream)  # an error ends the iterator, not the camera
                if not isinstance(error, BlockingIOError):
                    yield Lost("decode error", f"damaged: {error.strerror}")
                elif not self._comes():
                    yield None
                continue
            except av.FFmpegError as error:
                gone = error.errno in _GONE
                raise SourceError(
                    f"{self._url}: the camera "
                    + ("was unplugged" if gone else f"can no longer be read ({error.strerror})"),
                    Reason.NO_DEVICE if gone else Reason.FAILED,
                ) from None
            for frame in frames:
                if frame.is_corrupt:
                    yield Lost("decode error", "damaged: errors in the picture's data")
                    continue
                stamped_s = None if frame.pts is None else frame.pts * float(frame.time_base or 0)
                if stamped_s is not None and not 0 <= arrived_s - stamped_s <= _OLDEST_S:
                    stamped_s = None  # on another clock than ours
                yield Shot(pictures.make(frame), arrived_s, stamped_s)

    def interrupt(self) -> None:
        """See `Camera.interrupt`; a wait lasts a fifth of a second, so there is nothing to do."""

    def close(self) -> None:
        """See `Camera.close`."""
        self._container.close()

    def _comes(self) -> bool:
        """Wait for a picture, but not for long; whether one is there."""
        if self._descriptor is None:
            return False
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(_POLL_S * 1000))


def stop_waiting(device: Device) -> None:
    """Make an opening of the device that waits for its first picture fail, in whatever thread it is."""
    if device.address.startswith("/") and platform.system() == "Linux":
        from streams.sources.webcam.v4l2 import stop_streaming

        stop_streaming(device.address)


@contextmanager
def _impatience(path: str | None) -> Iterator[threading.Event]:
    """Have a v4l2 device stopped that sends nothing while it is opened; the event tells whether it was."""
    silent = threading.Event()
    if path is None or platform.system() != "Linux":
        yield silent
        return
    from streams.sources.webcam.v4l2 import stop_streaming

    def give_up() -> None:
        silent.set()
        stop_streaming(path)

    timer = threading.Timer(_TIMEOUT_S[0], give_up)
    timer.daemon = True
    timer.start()
    try:
        yield silent
    finally:
        timer.cancel()


def _without_waiting(path: str) -> int | None:
    """Return the descriptor of a v4l2 device, set to fail rather than to wait; None if it is not found."""
    if platform.system() != "Linux":
        return None
    import fcntl

    from streams.sources.webcam.v4l2 import descriptors_of

    found = descriptors_of(path)
    for descriptor in found:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_NONBLOCK)
    return found[-1] if found else None


def _no_picture(url: str, device: Device) -> SourceError:
    return SourceError(
        f"{url}: {device} sends no picture; plug it in again, or try another port", Reason.NO_DATA
    )


def _pictures(url: str, device: Device, container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise SourceError(f"{url}: {device} has no pictures", Reason.NO_VIDEO)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise SourceError(f"{url}: FFmpeg cannot decode what {device} sends", Reason.UNKNOWN_CODEC)
    stream.codec_context.thread_type = "NONE"  # threads would add pictures of delay
    return stream


def _check_format(url: str, device: Device, options: Mapping[str, str], stream: VideoStream) -> None:
    """FFmpeg takes another format where the wanted one is refused; that is not what was asked for."""
    wanted = options.get("pixel_format") or options.get("input_format") or options.get("vcodec")
    context = stream.codec_context
    if wanted is not None and wanted not in (context.codec.canonical_name, context.pix_fmt):
        raise SourceError(
            f"{url}: {device} does not send {wanted}{_offered(device)}; choose another, or leave it out",
            Reason.REJECTED,
        )


def _refused(url: str, device: Device, options: Mapping[str, str], error: av.FFmpegError) -> SourceError:
    """Say in words why a camera could not be opened."""
    if error.errno in _GONE:
        return SourceError(f"{url}: {device}: no such device", Reason.NO_DEVICE)
    if error.errno == errno.EBUSY:
        return SourceError(
            f"{url}: {device} is in use by another program; close that, or let both read one restream",
            Reason.DEVICE_BUSY,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceError(f"{url}: no permission to read {device}; {_permission(device)}")
    if error.errno in (errno.ENOTTY, errno.EISDIR):
        return SourceError(f"{url}: {device.name} is no camera", Reason.NOT_MEDIA)
    if error.errno == errno.EINVAL and options:
        asked = ", ".join(f"{key} {value}" for key, value in options.items())
        return SourceError(
            f"{url}: {device} refuses {asked}{_offered(device)}; choose another, or leave it out",
            Reason.REJECTED,
        )
    if error.errno is not None and error.errno in errno.errorcode:
        return SourceError(f"{url}: {device} cannot be opened ({os.strerror(error.errno)})")
    return SourceError(f"{url}: {device} cannot be opened ({error.strerror})")


def _permission(device: Device) -> str:
    if platform.system() != "Linux":
        return "allow this program to use the camera in the system's settings"
    try:
        import grp
        from pathlib import Path

        group = grp.getgrgid(Path(device.address).stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "video"
    return f"add this user to the group {group} ('sudo usermod -aG {group} USER') and log in again"


def _offered(device: Device) -> str:
    if platform.system() != "Linux":
        return ""
    from streams.sources.webcam.v4l2 import formats_of

    formats = formats_of(device.address)
    return f"; it offers {', '.join(formats)}" if formats else ""

"""Cameras read by FFmpeg: v4l2 on Linux, AVFoundation on macOS, DirectShow on Windows."""

from __future__ import annotations

import errno
import os
import platform
import select
from collections.abc import Iterator, Mapping

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
_GONE = (errno.ENODEV, errno.ENXIO, errno.ENOENT)


class FfmpegCamera:
    """A camera as FFmpeg's device demuxers give it.

    v4l2 waits for pictures inside the kernel, where FFmpeg's time-outs do not reach. So the descriptor is
    watched before each read, and `interrupt` stops the stream, which ends a wait.

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
        try:
            self._container: InputContainer = av.open(
                device.address, format=form, options=dict(options), timeout=_TIMEOUT_S
            )
        except av.FFmpegError as error:
            raise _refused(url, device, options, error) from None
        try:
            self._stream = _pictures(url, device, self._container)
        except BaseException:
            self._container.close()
            raise
        self._descriptor = self._watched()
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
            if not self._ready():
                yield None
                continue
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                arrived_s = self._clock.monotonic_s()
                frames = packet.decode()
            except (BlockingIOError, av.error.InvalidDataError) as error:
                packets = self._container.demux(self._stream)  # an error ends the iterator, not the camera
                waits = isinstance(error, BlockingIOError)
                yield None if waits else Lost("decode error", f"damaged: {error.strerror}")
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
        """See `Camera.interrupt`."""
        if self._path is not None and platform.system() == "Linux":
            from streams.sources.webcam.v4l2 import stop_streaming

            stop_streaming(self._path)

    def close(self) -> None:
        """See `Camera.close`."""
        self._container.close()

    def _watched(self) -> int | None:
        if self._path is None or platform.system() != "Linux":
            return None
        from streams.sources.webcam.v4l2 import descriptors_of

        found = descriptors_of(self._path)
        return found[-1] if found else None

    def _ready(self) -> bool:
        if self._descriptor is None:
            return True
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(_POLL_S * 1000))


def _pictures(url: str, device: Device, container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise SourceError(f"{url}: {device} has no pictures", Reason.NO_VIDEO)
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise SourceError(f"{url}: FFmpeg cannot decode what {device} sends", Reason.UNKNOWN_CODEC)
    stream.codec_context.thread_type = "NONE"  # threads would add pictures of delay
    return stream


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

"""From FFmpeg's decoded frames to pictures: planes without a copy where possible, colours right always."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, VideoReformatter

from pipeline.errors import SourceError
from pipeline.picture import BgrPicture, Matrix, Picture, U8Array, YuvPicture
from streams.sources.upright import Upright

_PLANAR_420 = ("yuv420p", "yuvj420p")
_SEMIPLANAR_420 = "nv12"
"""What hardware decoders give: U and V side by side in one plane."""

# Matrix coefficients of ITU-T H.273, table 4. 4 (FCC) differs from BT.601 by less than a level.
_BT709, _UNSPECIFIED = 1, 2
_MATRICES: dict[int, Matrix] = {_BT709: "bt709", 4: "bt601", 5: "bt601", 6: "bt601"}
_BT470BG = 5

_HD_HEIGHT = 720


class PictureMaker:
    """Makes pictures of the decoded frames of one stream; used by one thread at a time.

    8-bit 4:2:0 becomes a `YuvPicture` whose planes are views of the decoder's own buffer, which they keep
    alive; U and V of NV12 are copies. Everything else (other chroma, more bits, grey, RGB, palettes, other
    matrices) goes through swscale into a `BgrPicture`.

    Args:
        upright: how to turn every picture.
    """

    def __init__(self, upright: Upright) -> None:
        self._upright = upright
        self._reformatter = VideoReformatter()

    def make(self, frame: VideoFrame) -> Picture:
        """Return the upright picture of a frame.

        Raises:
            SourceError: if FFmpeg cannot convert its pixel format.
        """
        if frame.colorspace == _UNSPECIFIED:  # H.273 leaves it to us; this is what encoders and players do
            frame.colorspace = _BT709 if frame.height >= _HD_HEIGHT else _BT470BG
        matrix = _MATRICES.get(frame.colorspace)
        pixel_format = frame.format.name
        planes = _planes(frame) if matrix is not None else None
        if planes is not None and matrix is not None:
            y, u, v = map(self._upright.apply, planes)
            full_range = pixel_format == "yuvj420p" or frame.color_range == ColorRange.JPEG
            return YuvPicture(y, u, v, matrix=matrix, full_range=full_range)
        try:
            bgr = self._reformatter.reformat(frame, format="bgr24", threads=1)
        except av.FFmpegError as error:
            raise SourceError(
                f"pixel format {pixel_format} cannot be converted ({error.strerror}); convert the video, "
                "e.g. to H.264"
            ) from error
        return BgrPicture(self._upright.apply(_view(bgr.planes[0], channels=3)))


def _planes(frame: VideoFrame) -> tuple[U8Array, U8Array, U8Array] | None:
    """Return Y, U and V of 8-bit 4:2:0; None for all else, and for what is stored bottom up."""
    pixel_format = frame.format.name
    if pixel_format not in (*_PLANAR_420, _SEMIPLANAR_420):
        return None
    if any(plane.line_size <= 0 for plane in frame.planes):
        return None
    if pixel_format == _SEMIPLANAR_420:
        y, uv = frame.planes
        u, v = cv2.split(_view(uv, channels=2))  # 0.08 ms of 1080p, without the GIL; numpy takes 0.29
        return _view(y), np.asarray(u, np.uint8), np.asarray(v, np.uint8)
    y, blue, red = frame.planes
    return _view(y), _view(blue), _view(red)


def _view(plane: VideoPlane, channels: int = 1) -> U8Array:
    """Return a plane's pixels, (H, W) or (H, W, channels) uint8, read-only, without its rows' padding."""
    # PyAV's planes are buffers, which its type stubs leave out.
    pixels: U8Array = np.frombuffer(memoryview(plane).toreadonly(), np.uint8)
    pixels = pixels.reshape(plane.height, plane.line_size)[:, : plane.width * channels]
    return pixels if channels == 1 else pixels.reshape(plane.height, plane.width, channels)

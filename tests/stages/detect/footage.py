"""Frames of a video file, decoded without the engine."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from pipeline.frame import Frame, Gap
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture, Picture, YuvPicture
from pipeline.plugin import StageContext

CONTEXT = StageContext("test")


def frames(path: Path) -> Iterator[Frame]:
    """Decode all frames; pictures are yuv420p planes as the engine makes them."""
    with av.open(str(path)) as container:
        for index, decoded in enumerate(container.decode(video=0)):
            planes = [
                np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
                for plane in decoded.planes
            ]
            yield frame(YuvPicture(*planes), float(decoded.time), index)


def frame(picture: Picture, pts_s: float, index: int = 0, gap: Gap | None = None) -> Frame:
    """Wrap a picture."""
    return Frame("test", "run", index, Moment(pts_s, round(pts_s * 1e9), Clock.FILE), picture, gap)


def grey(luma: np.ndarray) -> BgrPicture:
    """Make a picture of one luma plane."""
    return BgrPicture(np.repeat(luma[..., None], 3, axis=2))

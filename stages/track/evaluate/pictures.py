"""Reads the pictures of a MOTChallenge sequence one at a time: numbered files in img1/, or one video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import SourceError

U8Array = npt.NDArray[np.uint8]

_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_VIDEOS = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v"}


@dataclass(frozen=True)
class Pictures:
    """Where the pictures are.

    Attributes:
        path: a folder of images named by their frame's number, or a video whose k-th picture is frame k.
    """

    path: Path

    @classmethod
    def find(cls, folder: Path, images: str = "img1") -> Self | None:
        """Return the pictures in a sequence's folder, None when there are none.

        Raises:
            SourceError: if there are several videos and none is named like the folder.
        """
        if (folder / images).is_dir():
            return cls(folder / images)
        videos = sorted(path for path in folder.iterdir() if path.suffix.lower() in _VIDEOS)
        if len(videos) > 1:
            named = [path for path in videos if path.stem == folder.resolve().name]
            if len(named) != 1:
                raise SourceError(f"{folder}: {len(videos)} videos; which one is the sequence's?")
            videos = named
        return cls(videos[0]) if videos else None

    @property
    def kind(self) -> str:
        """Return "images" or "video"."""
        return "images" if self.path.is_dir() else "video"

    def read(self, frames: int) -> Iterator[U8Array]:
        """Yield the first `frames` pictures as (H, W, 3) uint8 BGR; only the latest is held.

        Raises:
            SourceError: if a picture is missing or cannot be decoded.
        """
        return _from_images(self.path, frames) if self.path.is_dir() else _from_video(self.path, frames)


def _from_images(folder: Path, frames: int) -> Iterator[U8Array]:
    import cv2

    numbered = {
        int(path.stem): path.name
        for path in folder.iterdir()
        if path.suffix.lower() in _IMAGES and path.stem.isdecimal()
    }
    for frame in range(1, frames + 1):
        if frame not in numbered:
            raise SourceError(f"{folder}: no picture of frame {frame}; wanted {frame:06d}.jpg or the like")
        path = folder / numbered[frame]
        # Not imread, which writes its complaints to stderr and cannot take every file name.
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
        if bgr is None:
            raise SourceError(f"{path}: cannot be decoded as a picture")
        yield np.asarray(bgr, np.uint8)


def _from_video(path: Path, frames: int) -> Iterator[U8Array]:
    import av

    decoded = 0
    try:
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                if decoded == frames:
                    return
                decoded += 1
                yield np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, IndexError) as error:
        raise SourceError(f"{path}: cannot be decoded: {error}") from error
    if decoded < frames:
        raise SourceError(f"{path}: {decoded} pictures, but seqinfo.ini says {frames}")

"""The view of a camera on disk, as it was before an outage, and pictures that prove what was told."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigError
from pipeline.moment import Moment
from pipeline.picture import Picture, U8Array
from stages.health.measure import WIDTH_PX, some_rows
from stages.health.view import MOST_LOOKS, Known
from stages.vision.halving import halved_luma
from stages.vision.sharpness import sharpness

logger = logging.getLogger(__name__)

_FILE = "view.json"
_REFERENCE = "reference.png"
_VERSION = 1
_MOST_SNAPSHOTS = 40
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 85)


class _Light(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)

    file: str = Field(pattern=r"^[a-z0-9-]+\.png$")
    sharpness: float | None
    offset_share: float = 0.0


class _Document(BaseModel):
    version: int
    width: int
    height: int
    lights: list[_Light] = Field(min_length=1, max_length=MOST_LOOKS)


class Store:
    """Keeps the view of one stream in `health/STREAM` of the folder of results.

    A disk that refuses is told once in the log; the camera is watched all the same.

    Args:
        folder: of the results; None to keep nothing.
        stream: name of the stream.
    """

    def __init__(self, folder: Path | None, stream: str) -> None:
        self._stream = stream
        self._base = folder
        self._folder = None if folder is None else folder / "health" / stream
        self._refused = self._kept = False

    @property
    def reference(self) -> str | None:
        """Path of the reference picture, relative to the folder of results; None if it is not kept."""
        path = None if self._folder is None else self._folder / _REFERENCE
        return self._relative(path) if path is not None and path.exists() else None

    def withdrawn(self) -> bool:
        """Return whether somebody has deleted the reference that was kept: the view is to be learned anew."""
        return self._kept and self._folder is not None and not (self._folder / _REFERENCE).exists()

    def load(self, width: int, height: int) -> list[Known]:
        """Return what was kept for pictures of this size (px), the reference first; empty if nothing fits."""
        if self._folder is None or not (self._folder / _FILE).exists():
            return []
        file = self._folder / _FILE
        try:
            document = _Document.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            self._warn("%s of stream '%s' is not readable and is learned anew: %s", file, self._stream, error)
            return []
        if (document.version, document.width, document.height) != (_VERSION, width, height):
            self._warn(
                "the view that was kept of stream '%s' is %d x %d px, its pictures are %d x %d px now: "
                "it is learned anew",
                self._stream,
                document.width,
                document.height,
                width,
                height,
            )
            return []
        known = []
        for light in document.lights:
            luma = cv2.imread(str(self._folder / light.file), cv2.IMREAD_GRAYSCALE)
            if luma is None:
                if light.file == _REFERENCE:  # deleted on purpose, or lost: either way there is no reference
                    return []
                continue
            known.append(Known(np.asarray(luma, np.uint8), light.sharpness, light.offset_share))
        if len({light.luma.shape for light in known}) != 1:
            return []
        self._kept = True
        return known

    def save(self, known: list[Known], width: int, height: int) -> None:
        """Keep what is known of the view; pictures first, so that the list names only what is there."""
        if self._folder is None:
            return
        lights = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for index, light in enumerate(known):
                name = _REFERENCE if index == 0 else f"light-{index + 1}.png"
                encoded = cv2.imencode(".png", light.luma)[1].tobytes()
                _replace(self._folder / name, encoded)
                lights.append(
                    _Light(file=name, sharpness=light.sharpness, offset_share=round(light.offset_share, 5))
                )
            document = _Document(version=_VERSION, width=width, height=height, lights=lights)
            text = json.dumps(document.model_dump(), indent=2) + "\n"
            _replace(self._folder / _FILE, text.encode())
            self._kept = True
            self._refused = False
        except OSError as error:
            self._refuse(error)

    def forget(self) -> None:
        """Delete what was kept of the view."""
        self._kept = False
        if self._folder is None:
            return
        try:
            for path in (self._folder / _FILE, *self._folder.glob("*.png")):
                path.unlink(missing_ok=True)
        except OSError as error:
            self._refuse(error)

    def snapshot(self, picture: Picture, moment: Moment, problem: str) -> str | None:
        """Keep a picture of a problem, and of all such pictures the latest 40.

        Returns:
            Its path relative to the folder of results, None if it is not kept.
        """
        if self._folder is None:
            return None
        path = self._folder / f"{moment.time_ns // 1_000_000:015d}-{problem}.jpg"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _replace(path, cv2.imencode(".jpg", picture.bgr(), _JPEG)[1].tobytes())
            for old in sorted(self._folder.glob("*-*.jpg"))[:-_MOST_SNAPSHOTS]:
                old.unlink(missing_ok=True)
        except OSError as error:
            self._refuse(error)
            return None
        self._refused = False
        return self._relative(path)

    def _relative(self, path: Path | None) -> str | None:
        if path is None or self._base is None or self._refused:
            return None
        return path.relative_to(self._base).as_posix()

    def _refuse(self, error: OSError) -> None:
        if not self._refused:
            self._warn(
                "the view of stream '%s' cannot be kept in %s: %s",
                self._stream,
                self._folder,
                error.strerror or error,
            )
        self._refused = True

    def _warn(self, message: str, *values: Any) -> None:
        logger.warning(message, *values)


def read_reference(path: Path, width: int, height: int) -> Known:
    """Read a picture of the view as it must be, and measure its focus.

    Args:
        path: an image file of the same shape as the stream's pictures.
        width: of the stream's pictures, px.
        height: px.

    Raises:
        ConfigError: if it is no picture, or has another shape.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if bgr is None:
        reason = "is no picture that can be read" if path.is_file() else "does not exist"
        raise ConfigError(f"health: reference {path} {reason}; name a picture of the camera's view")
    rows, columns = bgr.shape[:2]
    if abs(columns * height - rows * width) > max(width, height) or columns < width // 8:
        raise ConfigError(
            f"health: reference {path} is {columns} x {rows} px, the stream's pictures {width} x {height} "
            "px; it must show the whole picture, in the same shape"
        )
    luma = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), np.uint8)
    if (columns, rows) == (width, height):
        return Known(halved_luma(luma, WIDTH_PX)[0], sharpness(some_rows(luma)[::2]))
    return Known(_fitted(luma, width, height), None)  # another size has another focus


def _fitted(luma: U8Array, width: int, height: int) -> U8Array:
    full = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
    return halved_luma(np.asarray(full, np.uint8), WIDTH_PX)[0]


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it is there in full or as it was before."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)

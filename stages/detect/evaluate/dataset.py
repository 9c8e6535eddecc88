"""Labelled pictures, whatever format they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError, SourceError
from pipeline.picture import BgrPicture

F64Array = npt.NDArray[np.float64]
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True, eq=False)
class Labelled:
    """One picture and what is to be found in it.

    Attributes:
        path: the picture's file.
        xyxy: (N, 4) float64; px, or shares of width and height where `relative`.
        number: (N,) int, row in `Dataset.classes`.
        crowd: (N,) bool: a region of many, in which detections are neither right nor wrong.
        area: (N,) float64 px of the object itself, NaN where only the box is known.
        size: (width, height) px that the labels were made for, None when not said.
        relative: whether boxes are shares of the picture.
    """

    path: Path
    xyxy: F64Array
    number: npt.NDArray[np.intp]
    crowd: npt.NDArray[np.bool_]
    area: F64Array
    size: tuple[int, int] | None = None
    relative: bool = False


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures of some classes.

    Attributes:
        files: what was read, besides the pictures.
        kind: "COCO" or "YOLO".
        classes: names, in the order of their numbers.
        pictures: in the order of the files.
        notes: what a person should know, a line each.
    """

    files: tuple[Path, ...]
    kind: str
    classes: tuple[str, ...]
    pictures: tuple[Labelled, ...]
    notes: tuple[str, ...] = field(default=())

    def only(self, labels: Sequence[str]) -> Dataset:
        """Return the dataset with these classes alone; all pictures stay, as they can hold false boxes.

        Raises:
            ConfigError: if there is no such class.
        """
        unknown = [label for label in labels if label not in self.classes]
        if unknown:
            raise ConfigError(f"the dataset has no class '{unknown[0]}'; it has: {', '.join(self.classes)}")
        new = {self.classes.index(label): place for place, label in enumerate(dict.fromkeys(labels))}
        pictures = []
        for picture in self.pictures:
            kept = np.isin(picture.number, list(new))
            number = np.array([new[int(old)] for old in picture.number[kept]], np.intp)
            pictures.append(
                Labelled(
                    picture.path,
                    picture.xyxy[kept],
                    number,
                    picture.crowd[kept],
                    picture.area[kept],
                    picture.size,
                    picture.relative,
                )
            )
        return Dataset(self.files, self.kind, tuple(dict.fromkeys(labels)), tuple(pictures), self.notes)


def read_picture(labelled: Labelled) -> BgrPicture:
    """Decode a picture, upright as its EXIF says; a size that is known decides where that is in doubt.

    Raises:
        SourceError: if it is missing, cannot be decoded, or has another size than its labels.
    """
    path = labelled.path
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    turned = _decoded(data, cv2.IMREAD_COLOR)
    if turned is None:
        raise SourceError(f"{path}: cannot be decoded as a picture")
    if labelled.size is not None and turned.shape[1::-1] != labelled.size:
        # Many labels were made on pictures whose EXIF rotation nobody applied.
        plain = _decoded(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if plain is None or plain.shape[1::-1] != labelled.size:
            found = f"{turned.shape[1]} x {turned.shape[0]}"
            raise SourceError(f"{path}: is {found} px, its labels were made for {labelled.size} px")
        turned = plain
    return BgrPicture(turned)


def _decoded(data: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[np.uint8] | None:
    if not data.size:
        return None
    found = cv2.imdecode(data, flags)
    return None if found is None else np.asarray(found, np.uint8)

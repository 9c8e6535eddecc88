"""Still images as files: which they are, in which order they come, and one of them decoded."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.picture import Picture
from streams.sources.decode import PictureMaker
from streams.sources.media_file import MediaFile
from streams.sources.upright import Upright

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded image; fields as in `StreamInfo`."""

    picture: Picture
    codec: str
    pixel_format: str
    turn_deg: int


def load_image(path: Path) -> Image:
    """Decode an image, upright.

    Raises:
        SourceError: if it is damaged, incomplete, or no image.
    """
    with closing(MediaFile(path)) as file:
        lost, frame = next(file.runs())
        if frame is None or lost is not None:
            raise SourceError(f"{path}: {lost.reason if lost else 'holds no complete image'}")
        upright = Upright.of(frame)
        picture = PictureMaker(upright).make(frame)
        return Image(picture, file.facts.codec, frame.format.name, upright.turn_deg)


def natural_order(path: Path) -> tuple[str, list[tuple[int, str]], str]:
    """Return a key that sorts by folder, then numbers in the name by their value, then by the plain name."""
    parts = re.findall(r"(\d+)|(\D+)", path.name)
    return (
        str(path.parent),
        [(int(number), "") if number else (-1, text) for number, text in parts],
        path.name,
    )

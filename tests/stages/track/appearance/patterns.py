"""Made-up people: each has two colours and a stripe of their own, and no two crops of one are the same."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stages.track.appearance.cropset import CropSet


def person(identity: int, look: int, width: int = 16, height: int = 32) -> np.ndarray:
    """Return a (height, width, 3) uint8 crop, lit and placed by chance; the same for the same arguments."""
    clothes = np.random.default_rng([identity, 0])
    shirt, trousers = clothes.integers(20, 236, (2, 3))
    chance = np.random.default_rng([identity, look, 1])
    # What is behind fills most of the crop and changes with every look: colours alone mislead.
    picture = chance.integers(0, 256, 3) * np.ones((height, width, 3))
    picture[height // 2 :] = chance.integers(0, 256, 3)
    x, x1 = (round(width * share) + int(chance.integers(-1, 2)) for share in (0.3, 0.7))
    middle = height // 2 + int(chance.integers(-1, 2))
    picture[3:middle, x:x1], picture[middle:-3, x:x1] = shirt, trousers
    picture = picture * chance.uniform(0.7, 1.3) + chance.normal(0, 20, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def crop_set(identities: int, crops: int, width: int = 16, height: int = 32) -> CropSet:
    """Return so many crops of each of so many people."""
    patches = [person(who, k, width, height) for who in range(identities) for k in range(crops)]
    numbers = np.repeat(np.arange(identities), crops)
    return CropSet(np.stack(patches), numbers, tuple(map(str, range(identities))))


def write_crops(folder: Path, identities: int, crops: int, stream: str = "") -> Path:
    """Write them as FOLDER/[STREAM/]ID/FRAME.jpg and return FOLDER."""
    for who in range(identities):
        place = folder / stream / f"run-{who}"
        place.mkdir(parents=True)
        for k in range(crops):
            cv2.imwrite(str(place / f"{k}.jpg"), person(who, k, 32, 64))
    return folder

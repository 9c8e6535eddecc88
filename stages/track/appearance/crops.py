"""Crops of known objects for training: a folder of pictures, or MOTChallenge sequences."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import SourceError
from stages.track.appearance.cropset import CropSet, chosen, share_of_each
from stages.track.appearance.mot_crops import read_mot
from stages.track.appearance.patches import U8Array

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
MAX_CROPS = 20_000
"""Half a gigabyte at 128 x 64 px; there should be few of many identities rather than many of few."""

MAX_PER_IDENTITY = 100
_DEEPEST = 2
_MAX_IDENTITIES = MAX_CROPS // 2
_LARGEST_FILE = 64 << 20


def read_crops(
    folder: Path,
    width: int,
    height: int,
    *,
    max_crops: int = MAX_CROPS,
    max_per_identity: int = MAX_PER_IDENTITY,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> CropSet:
    """Read training crops, evenly spread in time where there are more than wanted.

    Args:
        folder: one MOTChallenge sequence or a folder of them (`gt/gt.txt` beside `img1/` or a video), or
            `<identity>/*.jpg` or `<stream>/<identity>/*.jpg`, as the stage `crops` leaves them.
        width: of the patches, px.
        height: likewise.
        max_crops: bound of all together.
        max_per_identity: bound of each identity.
        progress: called with how many crops have been read, and of how many.

    Raises:
        SourceError: if there is no such folder, a file in it cannot be read, or there are fewer than two
            identities of at least two crops.
    """
    try:
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise SourceError(f"{folder} {what}; give a folder of crops or MOTChallenge sequences")
        if (folder / "gt/gt.txt").is_file() or next(folder.glob("*/gt/gt.txt"), None):
            crops = read_mot(folder, width, height, max_crops, max_per_identity, progress)
        else:
            crops = _read_folder(folder, width, height, max_crops, max_per_identity, progress)
    except OSError as error:
        raise SourceError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error
    if len(crops.names) < 2:
        found = "only 1 identity has" if crops.names else "no identity has"
        raise SourceError(
            f"{folder}: {found} at least 2 crops; a training needs at least 2 such identities, "
            "a useful one hundreds"
        )
    return crops


def _read_folder(
    folder: Path,
    width: int,
    height: int,
    max_crops: int,
    max_per_identity: int,
    progress: Callable[[int, int], None],
) -> CropSet:
    found = _identities(folder)
    usable = {name: files for name, files in found.items() if len(files) >= 2}
    each = share_of_each(map(len, usable.values()), max_crops, max_per_identity)
    kept = [[files[k] for k in chosen(len(files), each)] for files in usable.values()]
    total = sum(map(len, kept))
    patches: U8Array = np.empty((total, height, width, 3), np.uint8)
    done = 0
    for files in kept:
        for path in files:
            bgr = _decoded(path)
            shrinks = bgr.shape[1] >= width and bgr.shape[0] >= height
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            cv2.resize(bgr, (width, height), dst=patches[done], interpolation=method)
            done += 1
            progress(done, total)
    identity = np.repeat(np.arange(len(kept)), list(map(len, kept)))
    return CropSet(patches, identity, tuple(usable), len(found) - len(usable))


def _identities(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures by identity; an identity is any folder, down to the second, that holds some."""
    found: dict[str, list[Path]] = {}
    stray = None
    level = [folder]
    for depth in range(_DEEPEST + 1):
        below: list[Path] = []
        for one in level:
            entries = sorted(one.iterdir(), key=_in_time)
            pictures = [path for path in entries if path.suffix.lower() in IMAGES and path.is_file()]
            if pictures and depth == 0:
                stray = pictures[0]
            elif pictures:
                found[one.relative_to(folder).as_posix()] = pictures
            below += [path for path in entries if path.is_dir() and not path.name.startswith(".")]
            if len(found) > _MAX_IDENTITIES:
                raise SourceError(f"{folder}: more than {_MAX_IDENTITIES} identities; split the folder")
        level = below
    if not found:
        hint = f"; {stray.name} lies in no folder of its own" if stray else ""
        raise SourceError(
            f"{folder}: no identities in it: wanted a folder of pictures for each, {folder.name}/ID/*.jpg "
            f"or {folder.name}/STREAM/ID/*.jpg, or SEQUENCE/gt/gt.txt{hint}"
        )
    return found


def _in_time(path: Path) -> list[tuple[int, str]]:
    """Sort 9.jpg before 10.jpg: the stage `crops` names them by their frame."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _decoded(path: Path) -> U8Array:
    if path.stat().st_size > _LARGEST_FILE:
        raise SourceError(f"{path}: {path.stat().st_size >> 20} MB are no crop of an object; remove it")
    # Not imread, which writes its complaints to stderr and cannot take every file name.
    data = np.fromfile(path, np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if bgr is None:
        raise SourceError(f"{path}: cannot be decoded as a picture; remove or replace it")
    return np.asarray(bgr, np.uint8)

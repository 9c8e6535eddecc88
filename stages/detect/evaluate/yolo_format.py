"""The YOLO format: pictures, for each a text file with a line for each object, and a YAML file of names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.errors import SourceError
from stages.detect.evaluate.dataset import IMAGES, Dataset, Labelled

_OUTSIDE = 0.01
"""By how much coordinates may lie outside 0..1: rounding, and labels drawn over the border."""


def find_description(folder: Path) -> Path | None:
    """Return the YAML file that describes the data set, None when there is none."""
    if folder.suffix.lower() in {".yaml", ".yml"} and folder.is_file():
        return folder
    found = [path for pattern in ("*.yaml", "*.yml") for path in sorted(folder.glob(pattern))]
    usual = [path for path in found if path.stem in {"data", "dataset"}]
    return next(iter(usual or found), None)


def read_yolo(folder: Path, split: str = "val") -> Dataset:
    """Read a data set of ultralytics' layout.

    Args:
        folder: the YAML file or its folder; without one, a folder with `images`, `labels` and `classes.txt`.
        split: key of the YAML file that says which pictures; `valid` stands for `val`, too.

    Raises:
        SourceError: if it cannot be read, pictures are missing, or a line is malformed.
    """
    description = find_description(folder)
    if description is None:
        names_file = folder / "classes.txt"
        if not names_file.is_file():
            raise SourceError(
                f"{folder}: neither COCO annotations (*.json) nor a YOLO data set (data.yaml, or classes.txt "
                f"with images and labels)"
            )
        names = tuple(line.strip() for line in _text(names_file).splitlines() if line.strip())
        roots, files = [folder / "images"], (names_file,)
    else:
        names, roots = _described(description, split)
        files = (description,)
    paths = [path for root in roots for path in _listed(root)]
    if not paths:
        raise SourceError(f"{', '.join(map(str, roots))}: no pictures there")
    pictures = tuple(_labelled(path, len(names)) for path in paths)
    bare = sum(not _labels_of(path).is_file() for path in paths)
    notes = (f"pictures without a label file, taken as empty: {bare}",) if bare else ()
    if bare == len(paths):
        raise SourceError(f"{_labels_of(paths[0])}: none of {len(paths)} pictures has a label file")
    return Dataset(files, "YOLO", names, pictures, notes)


def _described(path: Path, split: str) -> tuple[tuple[str, ...], list[Path]]:
    try:
        content: Any = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise SourceError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or "names" not in content:
        raise SourceError(f"{path}: no YOLO data set; wanted the keys names and {split}")
    names = content["names"]
    if isinstance(names, dict):
        if sorted(names) != list(range(len(names))):
            raise SourceError(f"{path}: names must be numbered from 0, found {sorted(names, key=str)}")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
        raise SourceError(f"{path}: names must be a list of different names")
    where = content.get(split, content.get("valid") if split == "val" else None)
    if where is None:
        there = [key for key in ("train", "val", "valid", "test") if content.get(key)]
        raise SourceError(f"{path}: has no split '{split}'; it has: {', '.join(there) or 'none'}")
    root = Path(str(content.get("path") or "."))
    base = root if root.is_absolute() else path.parent / root
    entries = where if isinstance(where, list) else [where]
    return tuple(map(str, names)), [_place(path, base, str(entry)) for entry in entries]


def _place(description: Path, base: Path, entry: str) -> Path:
    """Return where pictures are; exported sets often name a folder one level too high ("../valid/images")."""
    candidates = [base / entry, description.parent / entry, description.parent / entry.removeprefix("../")]
    found = next((place for place in candidates if place.exists()), None)
    if found is None:
        raise SourceError(f"{description}: there is no {candidates[0]}")
    return found


def _listed(place: Path) -> list[Path]:
    """Return the pictures of a folder, or those that a text file lists."""
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.suffix.lower() in IMAGES)
    if not place.is_file():
        raise SourceError(f"{place}: there is no such folder or list")
    lines = [line.strip() for line in _text(place).splitlines() if line.strip()]
    paths = [Path(line) if Path(line).is_absolute() else place.parent / line for line in lines]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise SourceError(f"{place}: lists {missing[0]}, which is missing, with {len(missing) - 1} others")
    return paths


def _labels_of(picture: Path) -> Path:
    """Return the label file: the last folder `images` of the path is `labels`, and the suffix .txt."""
    parts = list(picture.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _labelled(picture: Path, classes: int) -> Labelled:
    path = _labels_of(picture)
    rows = list(_rows(path, classes)) if path.is_file() else []
    xyxy = np.array([row[1] for row in rows], np.float64).reshape(-1, 4)
    return Labelled(
        picture,
        xyxy,
        np.array([row[0] for row in rows], np.intp),
        np.zeros(len(rows), np.bool_),
        np.full(len(rows), np.nan),
        relative=True,
    )


def _rows(path: Path, classes: int) -> Iterator[tuple[int, list[float]]]:
    """Yield class number and box, in shares of the picture; of an outline the box around it."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f"{path}:{number}"
        try:
            values = [float(word) for word in words]
        except ValueError:
            raise SourceError(f"{where}: wanted numbers, found {line.strip()[:80]!r}") from None
        kind, shares = values[0], values[1:]
        if not kind.is_integer() or not 0 <= kind < classes:
            raise SourceError(f"{where}: there is no class {words[0]}; there are 0 to {classes - 1}")
        is_outline = len(shares) >= 6 and len(shares) % 2 == 0
        if len(shares) != 4 and not is_outline:
            raise SourceError(
                f"{where}: wanted 'class x y width height' or an outline, found {len(words)} values"
            )
        if not all(math.isfinite(v) and -_OUTSIDE <= v <= 1 + _OUTSIDE for v in shares):
            raise SourceError(f"{where}: positions and sizes must be shares of the picture within 0..1")
        if is_outline:
            box = [min(shares[0::2]), min(shares[1::2]), max(shares[0::2]), max(shares[1::2])]
        else:
            x, y, width, height = shares
            box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        if box[0] > box[2] or box[1] > box[3]:
            raise SourceError(f"{where}: width and height must not be negative")
        yield int(kind), [min(max(v, 0.0), 1.0) for v in box]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is no UTF-8 text") from error

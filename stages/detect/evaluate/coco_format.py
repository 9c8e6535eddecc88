"""COCO's object detection format: one JSON file with images, annotations and categories."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import SourceError
from stages.detect.evaluate.dataset import Dataset, Labelled

_MOST_BYTES = 2 << 30
_TOLD = 3
_MOST_PX = 1e12


def find_annotations(folder: Path) -> list[Path]:
    """Return the JSON files of a folder that may be COCO annotations, by name."""
    if folder.suffix.lower() == ".json" and folder.is_file():
        return [folder]
    for place in (folder / "annotations", folder):
        found = sorted(place.glob("*.json")) if place.is_dir() else []
        if found:
            return found
    return sorted(folder.glob("*/*coco.json"))  # as Roboflow exports: train, valid, test


def read_coco(path: Path) -> Dataset:
    """Read an annotation file.

    Pictures are looked for beside it, and in the data set's folder (above `annotations`): there, in `images`,
    and in the folder named like the file (`instances_val2017.json`: `val2017`) of both.

    Raises:
        SourceError: if it cannot be read, is no such file, a value makes no sense, or pictures are missing.
    """
    content = _content(path)
    if not isinstance(content, dict) or not {"images", "annotations", "categories"} <= content.keys():
        raise SourceError(f"{path}: no COCO annotations; wanted the keys images, annotations, categories")
    categories = {
        _integer(path, c, "id"): str(c.get("name", "")) for c in _entries(path, content, "categories")
    }
    if "" in categories.values() or len(set(categories.values())) < len(categories):
        raise SourceError(f"{path}: each category needs an id and a name of its own")
    order = sorted(categories)
    place = {category: number for number, category in enumerate(order)}
    rows: dict[int, list[tuple[list[float], int, bool, float]]] = {}
    images = {_integer(path, image, "id"): image for image in _entries(path, content, "images")}
    if not images:
        raise SourceError(f"{path}: has no images")
    for annotation in _entries(path, content, "annotations"):
        image = _integer(path, annotation, "image_id")
        category = _integer(path, annotation, "category_id")
        if image not in images or category not in place:
            raise SourceError(
                f"{path}: annotation {annotation.get('id')} is of image {image} and category {category}, "
                f"which it does not list"
            )
        xyxy, area = _box(path, annotation)
        rows.setdefault(image, []).append((xyxy, place[category], bool(annotation.get("iscrowd", 0)), area))
    found = list(_pictures(path, images, rows))
    missing = [picture.path for picture in found if not picture.path.is_file()]
    if missing:
        names = ", ".join(str(name) for name in missing[:_TOLD])
        raise SourceError(f"{path}: {len(missing)} of its {len(found)} pictures are missing: {names} ...")
    return Dataset((path,), "COCO", tuple(categories[category] for category in order), tuple(found))


def _content(path: Path) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SourceError(f"{path}: larger than {_MOST_BYTES >> 30} GiB: are these annotations?")
        with path.open("rb") as file:
            return json.load(file)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: is no JSON: {error}") from error


def _entries(path: Path, content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = content[key]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SourceError(f"{path}: '{key}' is no list of objects")
    return entries


def _integer(path: Path, entry: Mapping[str, Any], key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise SourceError(f"{path}: {key} must be a whole number, found {value!r}")
    return value


def _box(path: Path, annotation: Mapping[str, Any]) -> tuple[list[float], float]:
    box = annotation.get("bbox")
    name = f"{path}: annotation {annotation.get('id')}"
    numbers = isinstance(box, list) and all(map(_is_number, box))
    if not isinstance(box, list) or not numbers or len(box) != 4 or min(box[2:]) < 0:
        raise SourceError(f"{name}: bbox must be [left, top, width, height], found {box!r}")
    area = annotation.get("area")
    if area is not None and not (_is_number(area) and area >= 0):
        raise SourceError(f"{name}: area must be a number, found {area!r}")
    left, top, width, height = map(float, box)
    return [left, top, left + width, top + height], math.nan if area is None else float(area)


def _is_number(value: object) -> bool:
    """Whether it is one that a picture can have; JSON knows infinities and integers of any length, too."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST_PX


def _pictures(
    path: Path,
    images: Mapping[int, Mapping[str, Any]],
    rows: Mapping[int, list[tuple[list[float], int, bool, float]]],
) -> Iterator[Labelled]:
    split = path.stem.removeprefix("instances_")
    base = path.parent.parent if path.parent.name == "annotations" else path.parent
    places = (path.parent, base / "images", base / split, base / "images" / split, base)
    for number, image in images.items():
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            raise SourceError(f"{path}: image {number} has no file_name")
        file = next((place / name for place in places if (place / name).is_file()), base / name)
        width, height = image.get("width"), image.get("height")
        of = rows.get(number, [])
        yield Labelled(
            file,
            np.array([row[0] for row in of], np.float64).reshape(-1, 4),
            np.array([row[1] for row in of], np.intp),
            np.array([row[2] for row in of], np.bool_),
            np.array([row[3] for row in of], np.float64),
            (width, height) if isinstance(width, int) and isinstance(height, int) else None,
        )

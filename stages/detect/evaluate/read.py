"""Which format a folder is in, and its labelled pictures."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import SourceError
from stages.detect.evaluate.coco_format import find_annotations, read_coco
from stages.detect.evaluate.dataset import Dataset
from stages.detect.evaluate.yolo_format import find_description, read_yolo


def read_dataset(folder: Path, split: str | None = None) -> Dataset:
    """Read a data set in COCO's or the YOLO format.

    Args:
        folder: its folder, or its JSON or YAML file.
        split: which part, where there are several: a word in the name of the JSON file, or a key of the YAML
            file, where it is `val` when left out.

    Raises:
        SourceError: if there is none, it is malformed, pictures are missing, or the split has to be named.
    """
    if not folder.exists():
        raise SourceError(f"{folder}: there is no such folder")
    described = find_description(folder) is not None
    annotations = [] if described else find_annotations(folder)
    if described or not annotations:
        return read_yolo(folder, split or "val")
    chosen = [path for path in annotations if split is None or split in _name(path, folder)]
    if len(chosen) != 1:
        names = ", ".join(_name(path, folder) for path in annotations)
        wanted = "name one with --split" if split is None else f"'{split}' fits {len(chosen)} of them"
        raise SourceError(f"{folder}: has several annotation files ({names}); {wanted}")
    return read_coco(chosen[0])


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path != folder else path.name

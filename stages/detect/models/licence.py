"""Under which licence a model is: what the catalogue knows, else what the file says of itself."""

from __future__ import annotations

import zipfile
from pathlib import Path

from pipeline.errors import ModelError
from stages.detect.models.catalogue import AGPL
from stages.detect.runtime.files import read_graph

UNKNOWN = "unknown"
_AGPL_MEANS = (
    "whoever offers a product or a service with it must publish the source of the whole, or buy a licence "
    "from Ultralytics (ultralytics.com/license)"
)
_MOST_CHARACTERS = 60
_MOST_BYTES = 16 << 20


def licence_within(path: Path) -> str:
    """Return the licence that a file notes (weights and exports of ultralytics do), else "unknown"."""
    if path.suffix.lower() == ".pt":
        return AGPL if _notes_agpl(path) else UNKNOWN
    if path.suffix.lower() not in {".onnx", ".xml"}:
        return UNKNOWN
    try:
        text = read_graph(path).metadata.get("license", "")
    except ModelError:  # whoever runs it says what is wrong with it
        return UNKNOWN
    words = " ".join(text.split())
    return AGPL if words.startswith(AGPL) else words[:_MOST_CHARACTERS] or UNKNOWN


def _notes_agpl(path: Path) -> bool:
    """Whether weights of ultralytics say so in their pickle, which is searched and not loaded."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if name is None:
                return False
            with archive.open(name) as file:
                return AGPL.encode() in file.read(_MOST_BYTES)
    except (
        OSError,
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
    ):  # whoever loads it says what is wrong
        return False


def notice(name: str, licence: str) -> str | None:
    """Return what whoever uses a model must know of its licence; None where there is nothing unusual."""
    return f"{name} is under {AGPL}: {_AGPL_MEANS}" if licence == AGPL else None

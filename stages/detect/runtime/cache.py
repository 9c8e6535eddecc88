"""What was found out about runtimes on this box, kept in the cache folder."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from stages.detect.models.cache import cache_folder, locked

logger = logging.getLogger(__name__)

_FILE = "runtimes.json"
_MOST_ENTRIES = 256
_MOST_BYTES = 1 << 20


def remembered() -> dict[str, dict[str, Any]]:
    """Return what was measured: key -> entry, oldest first. What cannot be read was never there."""
    try:
        with (cache_folder() / _FILE).open(encoding="utf-8") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, ModelError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: entry for key, entry in found.items() if isinstance(entry, dict)}


def remember(key: str, entry: Mapping[str, Any]) -> None:
    """Keep an entry and forget the oldest; if it cannot be written, it is measured again each time."""
    try:
        path = cache_folder() / _FILE
        with locked(path.with_suffix(".lock")):
            entries = remembered()
            entries.pop(key, None)
            entries[key] = dict(entry)
            _replace(path, dict(list(entries.items())[-_MOST_ENTRIES:]))
    except (OSError, ModelError) as error:
        logger.debug("the measurement of runtimes is not kept: %s", error)


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    """Write the file as a whole or not at all."""
    handle, name = tempfile.mkstemp(prefix=".runtimes-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise

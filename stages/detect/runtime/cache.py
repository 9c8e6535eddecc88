"""Where sightline keeps what it can make again, and what it found out about runtimes on this box."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_FILE = "runtimes.json"
_MOST_ENTRIES = 256
_MOST_BYTES = 1 << 20


def cache_folder() -> Path:
    """Return the folder: $SIGHTLINE_CACHE, else `sightline` in the user's cache folder (XDG)."""
    own = os.environ.get("SIGHTLINE_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sightline"


def remembered() -> dict[str, dict[str, Any]]:
    """Return what was measured: key -> entry, oldest first. What cannot be read was never there."""
    try:
        with (cache_folder() / _FILE).open(encoding="utf-8") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: no home folder
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: entry for key, entry in found.items() if isinstance(entry, dict)}


def remember(key: str, entry: Mapping[str, Any]) -> None:
    """Keep an entry and forget the oldest; if it cannot be written, it is measured again each time."""
    entries = remembered()
    entries.pop(key, None)
    entries[key] = dict(entry)
    kept = dict(list(entries.items())[-_MOST_ENTRIES:])
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".runtimes-", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(kept, file, indent=1)
            Path(name).replace(folder / _FILE)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except (OSError, RuntimeError) as error:
        logger.debug("the measurement of runtimes is not kept: %s", error)

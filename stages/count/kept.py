"""Totals of a live stream that survive a restart: one small JSON file in the folder of the results.

    kept = KeptTotals.of(context.folder, context.stream, "lines") if info.live else KeptTotals(None)
    totals = kept.restored({name: place_key(start=..., end=..., directions=...) for each line})
    kept.note(frame.moment, totals)     # at every frame; writes only what has changed, and not often
    kept.save()                         # at the end

A recording is not a live stream: its totals begin at nothing with every run, so that the same file gives the
same numbers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.moment import Moment, iso_utc

logger = logging.getLogger(__name__)

Totals = dict[str, dict[str, int]]
"""Direction (or whatever is told apart) -> label -> objects."""

FOLDER = "kept"
"""Within the folder of the results."""
SAVE_S = 5.0
"""Media time between two writes; a crash loses what was counted since the last one."""


class _Entry(BaseModel):
    """What the file holds of one line."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    since: str
    totals: dict[str, dict[str, Annotated[int, Field(ge=0)]]]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1, le=1)] = 1
    entries: dict[str, _Entry] = {}


def place_key(**what: Any) -> str:
    """Return a digest of what makes a total mean what it means: geometry, directions, classes.

    An edited line is another line, although its name is the same.

    Args:
        what: plain JSON values by name; sets are sorted.
    """
    text = json.dumps(what, sort_keys=True, default=sorted)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class KeptTotals:
    """Keeps totals by name over restarts, as long as each name's key stays the same.

    The file holds what is counted now, and nothing else: names that are gone are gone with the next write. It
    is replaced as a whole, so that a crash leaves the old one or the new one. Used by one thread.

    Args:
        path: the file; None keeps nothing.
        save_s: media time between two writes, s.
    """

    def __init__(self, path: Path | None, *, save_s: float = SAVE_S) -> None:
        self._path = path
        self._save_s = save_s
        self._entries: dict[str, _Entry] = {}
        self._keys: dict[str, str] = {}
        self._noted: object = None
        self._saved_s: float | None = None
        self._dirty = False
        self._has_failed = False

    @classmethod
    def of(cls, folder: Path | None, stream: str, part: str, *, save_s: float = SAVE_S) -> Self:
        """Return those of one part of one stream, kept in the folder of the results (None: nowhere)."""
        path = None if folder is None else folder / FOLDER / f"{stream}.{part}.json"
        return cls(path, save_s=save_s)

    @property
    def since(self) -> Mapping[str, str]:
        """Since when each total counts, by name, as ISO 8601 in UTC; names without a total are missing."""
        return {name: entry.since for name, entry in self._entries.items()}

    def restored(self, keys: Mapping[str, str]) -> dict[str, Totals]:
        """Return the totals, by name, that go on; those whose key is another begin anew, and the log says so.

        Args:
            keys: `place_key` of each that is counted from now on.
        """
        self._keys = dict(keys)
        known = self._entries or self._read()
        self._entries = {}
        for name, entry in known.items():
            if keys.get(name) == entry.key:
                self._entries[name] = entry
                continue
            self._dirty = True
            total = sum(count for labels in entry.totals.values() for count in labels.values())
            why = "is not counted any more" if name not in keys else "was edited and begins anew at 0"
            logger.warning(
                "%s: '%s' %s; its total since %s was %d", self._path, name, why, entry.since, total
            )
        return {
            name: {which: dict(labels) for which, labels in entry.totals.items()}
            for name, entry in self._entries.items()
        }

    def note(self, moment: Moment, totals: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
        """Take the totals as they stand; written when they have changed and `save_s` have passed.

        Args:
            moment: of the frame.
            totals: name -> direction -> label -> objects; only names given to `restored` are kept. The same
                object as last time means that nothing has changed: give a snapshot, such as `frame.counts`.
        """
        if self._path is None:
            return
        if totals is not self._noted:
            self._noted = totals
            self._take(moment, totals)
        if self._saved_s is None:
            self._saved_s = moment.pts_s
        # A media clock that began anew is no reason to wait for hours.
        if self._dirty and abs(moment.pts_s - self._saved_s) >= self._save_s:
            self._saved_s = moment.pts_s
            self._write(self._path)

    def save(self) -> None:
        """Write what has not been written yet; for the end."""
        if self._path is not None and self._dirty:
            self._write(self._path, durable=True)

    def _take(self, moment: Moment, totals: Mapping[str, Mapping[str, Mapping[str, int]]]) -> None:
        for name, key in self._keys.items():
            counted = totals.get(name)
            if counted is None:
                continue
            entry = self._entries.get(name)
            if entry is None:
                entry = self._entries[name] = _Entry(key=key, since=iso_utc(moment.time_ns), totals={})
                self._dirty = True
            if entry.totals != counted:
                entry.totals = {which: dict(labels) for which, labels in counted.items()}
                self._dirty = True

    def _read(self) -> dict[str, _Entry]:
        if self._path is None:
            return {}
        try:
            return _Document.model_validate_json(self._path.read_bytes()).entries
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no file of kept totals"
            logger.warning(
                "%s: cannot be read (%s); the totals begin anew at 0, and the file with them",
                self._path,
                reason,
            )
            return {}

    def _write(self, path: Path, *, durable: bool = False) -> None:
        """Replace the file. What cannot be written is told once: counting goes on without it."""
        beside = path.with_name(f"{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                file.write(_Document(entries=self._entries).model_dump_json(indent=1) + "\n")
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            beside.replace(path)
            if self._has_failed:
                logger.warning("%s: is written again", path)
            self._dirty = self._has_failed = False
        except OSError as error:
            if not self._has_failed:
                logger.warning(
                    "%s: cannot be written: %s; totals go on, but will not survive a restart",
                    path,
                    error.strerror or error,
                )
            self._has_failed = True

"""Recordings for whoever reads them: where they are, and which."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pipeline.errors import SinkError, SourceError
from streams.sinks.record.index import FILE, Index
from streams.sinks.record.reconcile import described
from streams.sinks.record.segment import KEEP, Segment, named

T = TypeVar("T")
Shown = Callable[[Sequence[T]], Iterable[T]]
"""Goes through things and shows how far it is."""
_DEFAULT = "recordings"
_DISTANCE_NS = 1_000_000_000
"""Less than this between two files is no gap: cameras are not that regular."""


@dataclass(frozen=True, slots=True)
class Recordings:
    """A folder of recordings that can be asked.

    Attributes:
        root: the folder.
        index: what is in it.
        is_indexed: False where the index was missing, and was made in memory from the files.
    """

    root: Path
    index: Index
    is_indexed: bool

    def of(
        self, stream: str | None = None, from_ns: int | None = None, to_ns: int | None = None
    ) -> list[Segment]:
        """Return what shows anything between two times (UTC), by stream and time; protected ones marked.

        Raises:
            SourceError: if there is no such stream; it tells the nearest.
        """
        try:
            if stream is not None:
                self._check(stream)
            found = list(self.index.find(stream, from_ns, to_ns))
        except sqlite3.Error as error:
            raise SourceError(f"{self.root}: its index cannot be read: {error}") from error
        marked = {path.relative_to(self.root).as_posix() for path in self.root.glob(f"*/*/*{KEEP}")}
        return [replace(segment, protected=f"{segment.path}{KEEP}" in marked) for segment in found]

    def is_still_so(self, segment: Segment) -> bool:
        """Whether the index says the same as before: retention or the recorder may have been there since.

        Raises:
            SourceError: if the index cannot be read.
        """
        try:
            now = self.index.get(segment.path)
        except sqlite3.Error as error:
            raise SourceError(f"{self.root}: its index cannot be read: {error}") from error
        return now is not None and replace(now, protected=segment.protected) == segment

    def path_of(self, segment: Segment) -> Path:
        """Return where its file is."""
        return self.root / segment.path

    def mark_of(self, segment: Segment) -> Path:
        """Return the file that protects it, if it exists."""
        path = self.root / segment.path
        return path.with_name(path.name + KEEP)

    def named(self, words: Iterable[str | Path]) -> list[Segment]:
        """Return the recordings of these files: paths, or names as `list` shows them.

        Raises:
            SourceError: naming one that is none, or lies elsewhere.
        """
        by_path = {segment.path: segment for segment in self.of()}
        by_name = {path.rpartition("/")[2]: segment for path, segment in by_path.items()}
        found = []
        for word in words:
            path = Path(word)
            segment = by_path.get(path.as_posix())
            if segment is None and len(path.parts) == 1:
                segment = by_name.get(path.name)
            if segment is None and path.exists():
                inside = path.resolve()
                root = self.root.resolve()
                if not inside.is_relative_to(root):
                    raise SourceError(f"{path} is not in {self.root}; only recordings there are meant")
                segment = by_path.get(inside.relative_to(root).as_posix())
            if segment is None:
                near = difflib.get_close_matches(path.name, by_name, n=1, cutoff=0.6)
                hint = f"the nearest is {near[0]}" if near else "`sightline recordings list` shows all"
                raise SourceError(f"{path} is no recording in {self.root}; {hint}")
            found.append(segment)
        return found

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def _check(self, stream: str) -> None:
        known = self.index.streams()
        if stream not in known:
            near = difflib.get_close_matches(stream, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known) or 'none'}"
            raise SourceError(f"{self.root}: there is no recording of a stream '{stream}'; {hint}")


def open_recordings(
    folder: Path, index: Path | None = None, shown: Shown[Path] = lambda paths: paths
) -> Recordings:
    """Open recordings to be read, also while they are written.

    Args:
        folder: that of the recordings, or of the run that has them in `recordings`.
        index: of the index where it is not in the folder.
        shown: goes through the files where there is no index and each must be looked into.

    Raises:
        SourceError: if there are none.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; give the output folder of a run, or its recordings")
    root = folder
    if not _is_root(folder) and _is_root(folder / _DEFAULT):
        root = folder / _DEFAULT
    path = index or root / FILE
    if path.is_file():
        try:
            return Recordings(root, Index.reading(path), is_indexed=True)
        except SinkError as error:
            if index is not None:
                raise SourceError(str(error)) from error
    elif index is not None:
        raise SourceError(f"{index}: there is no such file; the sink's option `index` names it")
    files = [path for path in sorted(root.glob("*/*/*")) if path.is_file() and named(path) is not None]
    if not files:
        raise SourceError(
            f"{folder}: there are no recordings in it; give the output folder of a run with the sink record, "
            "or the sink's `folder`"
        )
    made = Index.in_memory()
    for path in shown(files):
        made.put([described(path.relative_to(root).as_posix(), path, None)])
    return Recordings(root, made, is_indexed=False)


def gaps_between(segments: Iterable[Segment]) -> list[tuple[Segment, Segment]]:
    """Return the neighbours of one stream between which something is missing."""
    found = []
    before: Segment | None = None
    for segment in segments:
        if before is not None and before.stream == segment.stream:
            if segment.start_ns - before.end_ns > _DISTANCE_NS:
                found.append((before, segment))
            if segment.end_ns < before.end_ns:
                continue  # within the other
        before = segment
    return found


def _is_root(folder: Path) -> bool:
    return (folder / FILE).is_file() or any(named(path) is not None for path in folder.glob("*/*/*"))

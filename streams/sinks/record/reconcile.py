"""Sets the index right by what is on the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from streams.sinks.record.archive import Archive
from streams.sinks.record.probe import UNREADABLE, Found, mend, probe
from streams.sinks.record.segment import KEEP, Segment, State, named

logger = logging.getLogger(__name__)

_HEAD_BYTES = 64_000
"""More than the head of a file takes."""


@dataclass(slots=True)
class Differences:
    """What was set right.

    Attributes:
        adopted: files that the index did not have.
        dropped: entries without a file.
        mended: entries that said something else than the file: its recorder was killed, somebody changed it.
        empty: files that were begun, and whose recorder was killed before the first fragment; removed.
        damaged: files among these that cannot be read.
        foreign: files in the folder that are no recordings; they are left alone.
    """

    adopted: int = 0
    dropped: int = 0
    mended: int = 0
    empty: int = 0
    damaged: int = 0
    foreign: int = 0

    def __bool__(self) -> bool:
        return any(asdict(self).values())


def reconcile(archive: Archive, stopped: Callable[[], bool] = lambda: False) -> Differences:
    """Compare index and disk, day by day; what is being written is left alone.

    Args:
        archive: held by this process.
        stopped: looked at between two files; True ends it early.

    Raises:
        SinkError: if the index fails.
        OSError: if the folder cannot be read.
    """
    done = Differences()
    seen: set[str] = set()
    for folder in _folders(archive.root, done):
        if stopped():
            return done
        name = folder.relative_to(archive.root).as_posix()
        seen.add(name)
        _compare(archive, name, _files(folder, done), done, stopped)
    with archive.indexed() as index:
        gone = [name for name in index.folders() if name not in seen]
    for name in gone:
        _compare(archive, name, {}, done, stopped)
    archive.counted_anew()
    return done


def _folders(root: Path, done: Differences) -> Iterator[Path]:
    """Yield the folders of days."""
    for stream in sorted(root.iterdir()):
        if not stream.is_dir():
            continue  # the index lies here
        for day in sorted(stream.iterdir()):
            if day.is_dir():
                yield day
            else:
                done.foreign += 1


def _files(folder: Path, done: Differences) -> Mapping[str, Path]:
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith(KEEP):
            continue
        if path.is_symlink() or not path.is_file() or named(path) is None:
            done.foreign += 1
        else:
            found[path.name] = path
    return found


def _compare(
    archive: Archive,
    folder: str,
    files: Mapping[str, Path],
    done: Differences,
    stopped: Callable[[], bool],
) -> None:
    with archive.indexed() as index:
        entries = index.in_folder(folder)
    for name, path in files.items():
        if stopped():
            return
        relative = f"{folder}/{name}"
        entry = entries.pop(relative, None)
        if not archive.is_growing(relative):
            _set_right(archive, relative, path, entry, done)
    for relative in entries:
        with archive.indexed() as index:
            if not archive.is_growing(relative) and not (archive.root / relative).exists():
                index.remove([relative])
                done.dropped += 1


def _set_right(archive: Archive, relative: str, path: Path, entry: Segment | None, done: Differences) -> None:
    protected = path.with_name(path.name + KEEP).exists()
    try:
        size = path.stat().st_size
    except FileNotFoundError:  # retention was quicker
        return
    if entry is not None and entry.state is not State.OPEN and entry.size == size:
        if entry.protected != protected:
            with archive.indexed() as index:
                index.put([replace(entry, protected=protected)])
        return
    if entry is None or entry.state is State.OPEN:
        with suppress(OSError):
            mend(path)
    found = replace(described(relative, path, entry), protected=protected)
    with archive.indexed() as index:
        if archive.is_growing(relative) or not path.exists():
            return
        if _was_only_begun(entry, found):
            path.unlink()
            index.remove([relative])
            done.empty += 1
            return
        index.put([found])
    done.adopted += entry is None
    done.mended += entry is not None
    done.damaged += found.state is State.DAMAGED


def described(relative: str, path: Path, entry: Segment | None) -> Segment:
    """Return what file and name tell, and what the entry knew beyond that.

    Args:
        relative: path within the folder of recordings, with `/`.
        path: the file.
        entry: what was known of it.

    Raises:
        OSError: if it is no longer there.
    """
    stream, start_ns = named(path) or (path.parent.parent.name, 0)
    stat = path.stat()
    known = entry or Segment(relative, stream, start_ns, start_ns, stat.st_mtime_ns)
    if path.suffix != ".mp4" and path.suffix != ".mkv":  # encrypted: nobody here can look into it
        end_ns = max(known.end_ns, known.start_ns if entry else stat.st_mtime_ns)
        return replace(known, size=stat.st_size, state=State.CUT, end_ns=end_ns)
    try:
        found = probe(path)
    except UNREADABLE as error:
        logger.warning("recordings: %s cannot be read: %s", path, error)
        found = Found(0, 0, 0.0, stat.st_size, is_whole=False)
    said = found.said or {}
    start_ns = int(_number(said.get("time_ns"), known.start_ns))
    start_s = float(_number(said.get("pts_s"), known.start_s))
    state = State.WHOLE if found.is_whole else State.CUT
    return replace(
        known,
        start_ns=start_ns,
        end_ns=start_ns + round(found.seconds * 1e9),
        size=found.size,
        packets=found.packets,
        keys=found.keys,
        state=state if found.packets else State.DAMAGED,
        codec=found.codec or known.codec,
        width=found.width or known.width,
        height=found.height or known.height,
        run=str(said.get("run", known.run)),
        start_s=start_s,
        end_s=start_s + found.seconds,
        clock=str(said.get("clock", known.clock)),
    )


def _was_only_begun(entry: Segment | None, found: Segment) -> bool:
    if found.packets or found.protected:
        return False
    if entry is None:  # killed before it came into the index
        return found.size == 0
    return entry.state is State.OPEN and found.size <= _HEAD_BYTES


def _number(value: object, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise

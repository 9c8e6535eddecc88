"""Names of the files of trajectories, and what they say.

    FOLDER/stream=NAME/day=2026-03-01/SERIES-000017-000042.parquet

The day is that of UTC at which the trajectories of the file ended. Pieces that were written one by one,
numbered, are put together later into larger files, whose names say which pieces are in them. So a file whose
numbers lie within those of another is a leftover of a crash: it can be passed over, and removed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"([A-Za-z0-9]+)-(\d{6,})-(\d{6,})\.parquet")
_DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_STREAM = re.compile(r"stream=([A-Za-z0-9_-]{1,64})")


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """A file, by what its path says; in order they are oldest first.

    Attributes:
        day: e.g. "2026-03-01".
        series: pieces of one series are numbered through: "live", or a recording's run.
        first: number of the first piece in it.
        last: number of the last piece in it.
        path: where it is.
    """

    day: str
    series: str
    first: int
    last: int
    path: Path


def piece_path(folder: Path, day: str, series: str, first: int, last: int) -> Path:
    """Return where a piece of one stream's folder lies."""
    return folder / f"day={day}" / f"{series}-{first:06d}-{last:06d}.parquet"


def pieces_of(folder: Path) -> tuple[list[Piece], list[Path]]:
    """Return the pieces in one stream's folder, oldest first, and the leftovers that can be removed."""
    found, leftovers = [], []
    for day in sorted(folder.glob("day=*")):
        named = _DAY.fullmatch(day.name)
        if named is None or not day.is_dir():
            continue
        for path in sorted(day.iterdir()):
            match = _NAME.fullmatch(path.name)
            if match:
                found.append(Piece(named[1], match[1], int(match[2]), int(match[3]), path))
            elif path.name.endswith(".parquet.part"):
                leftovers.append(path)
    held = set(_held(found))
    leftovers += [piece.path for piece in found if piece in held]
    return sorted(piece for piece in found if piece not in held), leftovers


def _held(pieces: Iterable[Piece]) -> list[Piece]:
    together: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    for piece in pieces:
        together[piece.day, piece.series].append(piece)
    held = []
    for group in together.values():
        latest = -1
        # Of those that begin with the same number the longest comes first, so it is the one that holds.
        for piece in sorted(group, key=lambda piece: (piece.first, -piece.last)):
            if piece.last <= latest:
                held.append(piece)
            latest = max(latest, piece.last)
    return held


def streams_in(folder: Path) -> dict[str, Path]:
    """Return the streams of which trajectories are kept in a folder, and where, by name."""
    matches = ((_STREAM.fullmatch(path.name), path) for path in sorted(folder.glob("stream=*")))
    return {match[1]: path for match, path in matches if match and path.is_dir()}


def stream_folder(folder: Path, stream: str) -> Path:
    """Return where one stream's trajectories lie."""
    return folder / f"stream={stream}"

"""Training crops out of MOTChallenge sequences: the true boxes, cut out of the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import SourceError
from stages.track.appearance.cropset import CropSet, chosen, share_of_each
from stages.track.appearance.patches import U8Array, corners_within, covered_share, cut
from stages.track.boxes import FloatArray, IntArray
from stages.track.evaluate.motchallenge import sequence_folders
from stages.track.evaluate.pictures import Pictures
from stages.track.evaluate.rows import CLASS, FRAME, HEIGHT, ID, LEFT, SCORE, TOP, WIDTH, read_rows

_VISIBILITY = 8
_LEAST_VISIBLE = 0.5
"""Of an object that is half hidden, more than half of the picture is another one."""

_LEAST_WIDTH_PX, _LEAST_HEIGHT_PX = 8, 16


@dataclass(frozen=True, eq=False)
class _Sequence:
    """The usable boxes of a sequence, in order of identity and then time."""

    name: str
    pictures: Pictures
    frame: IntArray
    identity: IntArray
    xyxy: FloatArray


def read_mot(
    folder: Path,
    width: int,
    height: int,
    max_crops: int,
    max_per_identity: int,
    progress: Callable[[int, int], None],
) -> CropSet:
    """Read the sequences in a folder, or the one that it is; see `crops.read_crops`.

    Left out are boxes that the truth says to ignore, that are no pedestrians, or that are hidden by half: by
    the truth's own figure where there is one, else by how much other boxes cover them.

    Raises:
        SourceError: if a file is malformed, or a sequence has no pictures.
    """
    sequences = [_sequence(path) for path in sequence_folders(folder)]
    groups = [(one, rows) for one in sequences for rows in _by_identity(one)]
    usable = [(one, rows) for one, rows in groups if len(rows) >= 2]
    each = share_of_each((len(rows) for _, rows in usable), max_crops, max_per_identity)
    kept = [(one, rows[chosen(len(rows), each)]) for one, rows in usable]
    counts = [len(rows) for _, rows in kept]
    starts = np.cumsum([0, *counts])
    patches: U8Array = np.empty((int(starts[-1]), height, width, 3), np.uint8)
    done = 0
    for sequence in sequences:
        mine = [k for k, (one, _) in enumerate(kept) if one is sequence]
        if mine:
            rows = np.concatenate([kept[k][1] for k in mine])
            places = np.concatenate([np.arange(starts[k], starts[k + 1]) for k in mine])
            for count in _fill(sequence, rows, places, patches):
                done += count
                progress(done, len(patches))
    names = tuple(f"{one.name}/{one.identity[rows[0]]}" for one, rows in kept)
    return CropSet(patches, np.repeat(np.arange(len(kept)), counts), names, len(groups) - len(usable))


def _sequence(folder: Path) -> _Sequence:
    name = folder.resolve().name
    path = folder / "gt/gt.txt"
    pictures = Pictures.find(folder)
    if pictures is None:
        raise SourceError(f"{folder}: no pictures to cut crops from; wanted img1/000001.jpg ... or a video")
    rows = read_rows(path, (9, 10))
    considered = rows[:, SCORE] != 0
    if rows.shape[1] == 9:
        considered &= (rows[:, CLASS] == 1) & (rows[:, _VISIBILITY] >= _LEAST_VISIBLE)
    rows = rows[considered]
    large = (rows[:, WIDTH] >= _LEAST_WIDTH_PX) & (rows[:, HEIGHT] >= _LEAST_HEIGHT_PX)
    # Small ones may hide nothing, but neither can they be seen.
    rows = rows[large]
    xyxy = np.concatenate([rows[:, [LEFT, TOP]], rows[:, [LEFT, TOP]] + rows[:, [WIDTH, HEIGHT]]], axis=1)
    if rows.shape[1] == 10:
        visible = _uncovered(rows[:, FRAME], xyxy)
        rows, xyxy = rows[visible], xyxy[visible]
    order = np.lexsort((rows[:, FRAME], rows[:, ID]))
    frame, identity = (rows[order, column].astype(np.intp) for column in (FRAME, ID))
    return _Sequence(name, pictures, frame, identity, xyxy[order])


def _uncovered(frame: FloatArray, xyxy: FloatArray) -> IntArray:
    order = np.argsort(frame, kind="stable")
    starts = np.flatnonzero(np.diff(frame[order], prepend=np.nan))
    parts = [rows for rows in np.split(order, starts[1:]) if len(rows)]
    visible = [rows[covered_share(xyxy[rows]) <= 1 - _LEAST_VISIBLE] for rows in parts]
    return np.concatenate([np.empty(0, np.intp), *visible])


def _by_identity(sequence: _Sequence) -> list[IntArray]:
    rows = np.arange(len(sequence.identity))
    starts = np.flatnonzero(np.diff(sequence.identity)) + 1
    return [part for part in np.split(rows, starts) if len(part)]


def _fill(sequence: _Sequence, rows: IntArray, places: IntArray, patches: U8Array) -> Iterator[int]:
    """Cut the boxes of these rows into their places, picture by picture; yield how many at each."""
    order = np.argsort(sequence.frame[rows], kind="stable")
    rows, places = rows[order], places[order]
    frames = sequence.frame[rows]
    begins = np.searchsorted(frames, np.arange(1, int(frames[-1]) + 2))
    for index, bgr in enumerate(sequence.pictures.read(int(frames[-1]))):
        part = slice(begins[index], begins[index + 1])
        if part.start == part.stop:
            continue
        inside, corners = corners_within(bgr.shape[1], bgr.shape[0], sequence.xyxy[rows[part]])
        if len(inside) < part.stop - part.start:
            raise SourceError(
                f"{sequence.name}: a box of frame {index + 1} in gt.txt lies outside the picture"
            )
        out = np.empty((len(corners), *patches.shape[1:]), np.uint8)
        cut(bgr, corners, out)
        patches[places[part]] = out
        yield len(out)

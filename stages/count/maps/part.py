"""The part of the stage `count` that draws maps: one for each interval of the clock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import Options, StageContext, StreamInfo
from stages.count.fields import AnchorOption, Name
from stages.count.maps.files import FOLDER, MapFiles
from stages.count.maps.grid import PathGrid
from stages.count.seen import Seen

logger = logging.getLogger(__name__)

SAVE_S = 300.0
"""Media time between two notes of a live stream's open interval; a crash loses what came since."""


class MapsOptions(Options):
    """Options of the maps.

    Attributes:
        every_min: length of an interval, minutes; intervals begin at multiples of it since midnight UTC.
        cells: cells across the picture; they are square.
        anchor: the point of the box whose path is drawn.
        labels: only these classes; all when left out.
        keep: so many intervals are kept on the disk, the latest.
        scene: False to paint on black instead of on a picture of the camera, as is done where the
            configuration has `privacy`.
    """

    every_min: Literal[1, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440] = 60
    cells: Annotated[int, Field(ge=4, le=256)] = 64
    anchor: AnchorOption = "bottom_center"
    labels: Annotated[frozenset[Name], Field(min_length=1)] | None = None
    keep: Annotated[int, Field(ge=1, le=10_000)] = 168
    scene: bool = True


class Maps:
    """Adds up where objects are and which way they go; writes `maps/STREAM/...` when an interval is over.

    An interval in which nothing was seen has no files. At the end of the stream the open interval is written
    as far as it is; a live stream that is started again goes on with it, a recording begins anew.

    Args:
        options: see there.
        joined_s: observations further apart are not joined.
        context: of the stage; without a folder nothing is written.
    """

    def __init__(self, options: MapsOptions, joined_s: float, context: StageContext) -> None:
        self._options = options
        self._joined_s = joined_s
        self._labels = None if options.labels is None else sorted(options.labels)
        folder = context.folder
        self._files = (
            None if folder is None else MapFiles(folder / FOLDER / context.stream, keep=options.keep)
        )
        self._interval_ns = options.every_min * 60 * 10**9
        # Who passes at the end of an interval must not be on its map.
        self._has_scene = options.scene and context.privacy is None
        self._size = (1, 1)
        self._grid = PathGrid(1, 1, 1)
        self._number: int | None = None
        self._is_cleared = False
        self._is_live = False
        self._written = 0
        self._saved_s = 0.0

    def open(self, info: StreamInfo) -> None:
        """Prepare for pictures of this size; a map of another size is written first (by `finish`)."""
        self._is_live = info.live
        if (info.width, info.height) != self._size:
            self._size = (info.width, info.height)
            self._grid = PathGrid(info.width, info.height, self._options.cells, joined_s=self._joined_s)
            self._number = None

    def update(self, seen: Seen) -> list[Event]:
        """Add what the objects did since the frame before; makes no events."""
        number = seen.frame.moment.time_ns // self._interval_ns
        if number != self._number:
            self._write(seen.frame)
            self._grid.restart()
            self._begin(number)
            self._saved_s = seen.time_s
        elif self._is_live and abs(seen.time_s - self._saved_s) >= SAVE_S:
            self._saved_s = seen.time_s
            self._note()
        if seen.suspended is not None:
            self._grid.forget()
            return []
        points = seen.anchors(self._options.anchor)
        if self._labels is None:
            self._grid.add(seen.time_s, seen.ids, points)
        elif len(seen):
            chosen = np.isin(seen.labels, self._labels)
            ids = [one for one, is_in in zip(seen.ids, chosen.tolist(), strict=True) if is_in]
            self._grid.add(seen.time_s, ids, points[chosen])
        self._grid.forget(seen.ended)
        return []

    def finish(self, seen: Seen) -> list[Event]:
        """Write the open interval as far as it is; should it go on, it will be written again."""
        self._grid.forget()
        self._write(seen.frame)
        return []

    def statistics(self) -> Mapping[str, Any]:
        """Return how many maps were written."""
        return {"written": self._written} if self._files is not None else {}

    def close(self) -> None:
        """Forget everything."""
        self._grid.forget()

    def _begin(self, number: int) -> None:
        """Begin an interval, or go on with it: after a restart, or after pictures of another size."""
        self._number = number
        if self._files is None:
            return
        if not self._is_live and not self._is_cleared:
            try:
                self._files.clear()
            except OSError as error:
                self._warn(error)
        self._is_cleared = True
        before = self._files.read(number * self._interval_ns, self._grid.sums, width=self._size[0])
        if before is not None:
            self._grid.sums = before

    def _write(self, frame: Frame) -> None:
        sums = self._grid.sums
        if self._files is None or self._number is None or not sums.visitors.any():
            return
        scene = frame.picture if self._has_scene else None
        width, height = self._size
        if (frame.picture.width, frame.picture.height) != self._size:
            scene = None
        try:
            self._files.write(
                self._number * self._interval_ns,
                self._options.every_min * 60,
                sums,
                scene,
                width=width,
                height=height,
            )
            self._written += 1
        except OSError as error:
            self._warn(error)

    def _note(self) -> None:
        """Write the arrays of the open interval, so that a crash does not lose an hour."""
        sums = self._grid.sums
        if self._files is None or self._number is None or not sums.visitors.any():
            return
        start_ns, seconds = self._number * self._interval_ns, self._options.every_min * 60
        width, height = self._size
        try:
            self._files.write_arrays(start_ns, seconds, sums, width=width, height=height)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        """Tell what could not be written; counting goes on without maps."""
        logger.warning("maps cannot be written: %s", error)

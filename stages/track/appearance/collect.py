"""The stage `crops`: collects pictures of the tracked objects, to train an appearance network on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field, StringConstraints

from pipeline.errors import ConfigError, SinkError
from pipeline.frame import Frame
from pipeline.objects import Tracks
from pipeline.picture import U8Array
from pipeline.plugin import NO_EVENTS, Options, Stage, StageContext, StreamInfo
from stages.track.appearance.patches import corners_within, covered_share
from stages.track.boxes import IntArray

logger = logging.getLogger(__name__)

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class CropsOptions(Options):
    """Options of the stage `crops`.

    Attributes:
        folder: where the crops go, FOLDER/STREAM/RUN-ID/FRAME.jpg; relative to where you are.
        every_s: at least so many seconds lie between two crops of one track: neighbours teach nothing.
        max_per_track: most crops of one track.
        max_tracks: most tracks of the stream, with those that the folder holds already.
        max_mb: most megabytes of the stream, likewise.
        max_overlap: skip objects of which another box covers a larger share.
        min_height_px: skip smaller ones; a network looks at 128 px.
        labels: only these classes; all when left out.
        quality: of the JPEG files, 1 to 100.
    """

    folder: Path
    every_s: Seconds = 0.5
    max_per_track: Annotated[int, Field(ge=2, le=1000)] = 30
    max_tracks: Annotated[int, Field(ge=2, le=100_000)] = 2000
    max_mb: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 500.0
    max_overlap: Share = 0.2
    min_height_px: Annotated[int, Field(ge=8)] = 48
    labels: Annotated[frozenset[Name], Field(min_length=1)] | None = None
    quality: Annotated[int, Field(ge=1, le=100)] = 92


class CropsStage(Stage):
    """Saves crops of observed tracks that are well seen, and leaves the frame alone.

    Crops of one recording are collected once: where the folder has some of a run already, what another run of
    it calls track 5 may be somebody else.
    """

    Options: ClassVar[type[Options]] = CropsOptions
    emits = NO_EVENTS
    needs = frozenset({"tracks"})
    options: CropsOptions

    def __init__(self, options: CropsOptions, context: StageContext) -> None:
        super().__init__(options, context)
        if context.privacy is not None:
            raise ConfigError(
                "stage 'crops' keeps pictures of objects as they are, to train on, and the configuration's "
                "privacy hides them; take one of the two out"
            )
        self._folder = options.folder / context.stream
        self._run = ""
        self._next_s: dict[int, float] = {}
        self._saved: dict[int, int] = {}
        self._tracks = self._crops = self._bytes = 0
        self._full = False

    def open(self, info: StreamInfo) -> None:  # noqa: ARG002
        """Make the folder and see what it holds.

        Raises:
            SinkError: if it cannot be made or read.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._tracks = sum(path.is_dir() for path in self._folder.iterdir())
            self._bytes = sum(path.stat().st_size for path in self._folder.glob("*/*.jpg"))
        except OSError as error:
            raise self._refused(error) from error
        self._run, self._crops, self._full = "", 0, False
        self._next_s, self._saved = {}, {}

    def process(self, frame: Frame) -> None:
        """Save the crops that are due.

        Raises:
            ConfigError: if no stage before this one makes tracks.
            SinkError: if a crop cannot be written, or the folder has crops of this recording from before.
        """
        if frame.tracks is None:
            raise ConfigError("stage 'crops' needs tracks; put a stage 'track' before it")
        if frame.run != self._run:
            self._begin(frame.run)
        rows = self._due(frame.tracks, frame.moment.pts_s)
        if not len(rows):
            return
        rows, corners = self._well_seen(frame.tracks, rows, frame.picture.width, frame.picture.height)
        if not len(rows):
            return
        bgr = frame.picture.bgr()
        for track_id, (x0, y0, x1, y1) in zip(frame.tracks.id[rows].tolist(), corners.tolist(), strict=True):
            if self._full:
                return
            self._save(track_id, frame, bgr[y0:y1, x0:x1])

    def finish(self) -> tuple[()]:
        """Warn when nothing was saved."""
        if not self._crops and not self._full:
            logger.warning(
                "stream '%s': no crops were saved: no track was seen whole, apart from others and at least "
                "%d px high; see max_overlap and min_height_px",
                self.context.stream,
                self.options.min_height_px,
            )
        return ()

    def _begin(self, run: str) -> None:
        try:
            before = next(self._folder.glob(f"{_plain(run)}-*"), None)
        except OSError as error:
            raise self._refused(error) from error
        if before is not None:
            raise SinkError(
                f"{before.parent} has crops of this recording already; remove its folders "
                f"{_plain(run)}-* or set another folder, as ids of two runs would mix"
            )
        self._run = run
        self._next_s, self._saved = {}, {}

    def _due(self, tracks: Tracks, pts_s: float) -> IntArray:
        """Return the observed tracks that may have a crop now."""
        if self._full:
            return np.empty(0, np.intp)
        due = np.array([pts_s >= self._next_s.get(one, -np.inf) for one in tracks.id.tolist()], np.bool_)
        due &= tracks.detection >= 0
        if self.options.labels is not None:
            due &= np.isin(tracks.label, sorted(self.options.labels))
        return np.flatnonzero(due)

    def _well_seen(
        self, tracks: Tracks, rows: IntArray, width: int, height: int
    ) -> tuple[IntArray, IntArray]:
        """Return those of the rows that are whole, apart and large enough, and their corners in px."""
        xyxy = tracks.xyxy
        left, top, right, bottom = xyxy.T
        whole = (left > 0) & (top > 0) & (right < width) & (bottom < height)
        large = bottom - top >= self.options.min_height_px
        good = whole & large & (covered_share(xyxy) <= self.options.max_overlap)
        rows = rows[good[rows]]
        inside, corners = corners_within(width, height, xyxy[rows])
        return rows[inside], corners

    def _save(self, track_id: int, frame: Frame, crop: U8Array) -> None:
        saved = self._saved.get(track_id, 0)
        if saved == 0 and self._tracks >= self.options.max_tracks:
            self._stop(f"max_tracks ({self.options.max_tracks})")
            return
        _, jpeg = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, self.options.quality])
        if self._bytes + len(jpeg) > self.options.max_mb * 1e6:
            self._stop(f"max_mb ({self.options.max_mb:g})")
            return
        path = self._folder / f"{_plain(self._run)}-{track_id}" / f"{frame.sequence:08d}.jpg"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, jpeg.tobytes())
        except OSError as error:
            raise self._refused(error) from error
        self._tracks += saved == 0
        self._saved[track_id] = saved + 1
        self._crops += 1
        self._bytes += len(jpeg)
        done = saved + 1 >= self.options.max_per_track
        self._next_s[track_id] = np.inf if done else frame.moment.pts_s + self.options.every_s

    def _stop(self, bound: str) -> None:
        self._full = True
        logger.warning(
            "stream '%s': %s is reached; no more crops are saved to %s",
            self.context.stream,
            bound,
            self._folder,
        )

    def _refused(self, error: OSError) -> SinkError:
        return SinkError(
            f"cannot write crops to {self._folder}: {error.strerror or error}; "
            "free space there or set another folder for the stage 'crops'"
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _plain(run: str) -> str:
    """Return a run's id as it may stand in a file's name."""
    return "".join(sign if sign.isalnum() else "_" for sign in run) or "run"

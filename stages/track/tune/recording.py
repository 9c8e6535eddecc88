"""What a detector said of a recording, kept as tables so that trackers can run over it many times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipeline.errors import StageError
from pipeline.objects import Detections, F32Array, I64Array, StrArray
from stages.track.boxes import FloatArray, IntArray
from stages.track.methods import Tracker
from stages.track.population import BoolArray


@dataclass(frozen=True, eq=False)
class Recording:
    """F frames with N detections in all, sorted by frame; no pictures.

    Attributes:
        pts_s: (F,) media time of each frame, ascending.
        start: (F + 1,) frame k has the rows start[k]:start[k + 1].
        xyxy: (N, 4) float32 px.
        score: (N,) float32.
        label: (N,) str.
        embedding: (N, D) float32, or None.
        width: of the picture, px.
        height: of the picture, px.
    """

    pts_s: FloatArray
    start: IntArray
    xyxy: F32Array
    score: F32Array
    label: StrArray
    embedding: F32Array | None
    width: int
    height: int

    @classmethod
    def of(cls, pts_s: Sequence[float], tables: Sequence[Detections], width: int, height: int) -> Self:
        """Join the tables of all frames.

        Raises:
            ValueError: if embeddings change their length.
        """
        found = [table for table in tables if len(table)]
        lengths = {table.embedding.shape[1] for table in found if table.embedding is not None}
        if len(lengths) > 1:
            raise ValueError(f"embeddings change their length: {sorted(lengths)}")
        embedded = [table.embedding for table in found if table.embedding is not None]
        return cls(
            pts_s=np.array(pts_s, np.float64),
            start=np.concatenate([[0], np.cumsum([len(table) for table in tables])]).astype(np.intp),
            xyxy=np.concatenate([np.empty((0, 4), np.float32), *(table.xyxy for table in found)]),
            score=np.concatenate([np.empty(0, np.float32), *(table.score for table in found)]),
            label=np.concatenate([np.empty(0, np.str_), *(table.label for table in found)]),
            embedding=np.concatenate(embedded) if found and len(embedded) == len(found) else None,
            width=width,
            height=height,
        )

    def __len__(self) -> int:
        return len(self.xyxy)

    @property
    def frames(self) -> int:
        """F."""
        return len(self.pts_s)

    @property
    def seconds(self) -> float:
        """Media time from the first frame to the last."""
        return float(self.pts_s[-1] - self.pts_s[0]) if self.frames else 0.0

    @property
    def nbytes(self) -> int:
        """Memory that the tables take."""
        columns = (self.pts_s, self.start, self.xyxy, self.score, self.label, self.embedding)
        return sum(column.nbytes for column in columns if column is not None)

    @property
    def frame_of(self) -> IntArray:
        """(N,) the frame of each row."""
        return np.repeat(np.arange(self.frames), np.diff(self.start))

    @property
    def time_of(self) -> FloatArray:
        """(N,) the media time of each row."""
        return self.pts_s[self.frame_of]

    def rows_of(self, frame: int) -> slice:
        """Return the rows of a frame, from 0."""
        return slice(int(self.start[frame]), int(self.start[frame + 1]))

    def table(self, rows: slice | IntArray) -> Detections:
        """Return rows of one frame as a table of detections."""
        embedding = None if self.embedding is None else self.embedding[rows]
        return Detections(self.xyxy[rows], self.score[rows], self.label[rows], embedding)

    def track(self, tracker: Tracker, shown: BoolArray | None = None) -> I64Array:
        """Run a fresh tracker over the detections.

        Args:
            tracker: sees each frame once, at its true time.
            shown: (N,) bool, the detections that it may see; all when left out.

        Returns:
            (N,) int64: the id that each detection got, 0 for none.

        Raises:
            StageError: if the tracker refuses its detections.
        """
        id_of = np.zeros(len(self), np.int64)
        for frame in range(self.frames):
            rows = np.arange(self.start[frame], self.start[frame + 1])
            if shown is not None:
                rows = rows[shown[rows]]
            try:
                tracks = tracker.update(self.table(rows), float(self.pts_s[frame]))
            except ValueError as error:
                raise StageError(
                    f"the tracker refuses the picture at {self.pts_s[frame]:.2f} s: {error}"
                ) from error
            seen = tracks.detection >= 0
            id_of[rows[tracks.detection[seen]]] = tracks.id[seen]
        return id_of

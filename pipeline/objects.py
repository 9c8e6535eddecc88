"""What is seen in one frame, as validated tables of arrays: detections and tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

F32Array = npt.NDArray[np.float32]
I64Array = npt.NDArray[np.int64]
StrArray = npt.NDArray[np.str_]
ObjectArray = npt.NDArray[np.object_]
Rows = npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]] | Sequence[int] | slice


class _Table:
    """Columns of one length; a boolean mask, indices or a slice select rows."""

    def __len__(self) -> int:
        return len(self.xyxy)  # type: ignore[attr-defined]

    def __getitem__(self, rows: Rows) -> Self:
        """Return the chosen rows as a new table (`table[table.score > 0.5]`)."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        index = np.asarray(rows, dtype=np.int64) if isinstance(rows, list | tuple) else rows
        return type(self).unchecked(
            **{name: None if col is None else col[index] for name, col in columns.items()}
        )

    @classmethod
    def unchecked(cls, **columns: npt.NDArray[Any] | None) -> Self:
        """Return a table of columns that are right already, in shape, type and values: for hot loops."""
        table = object.__new__(cls)
        table.__dict__.update(columns)
        return table


@dataclass(frozen=True, eq=False)
class Detections(_Table):
    """The N detections of one frame.

    Attributes:
        xyxy: (N, 4) float32, corners (left, top, right, bottom) in pixels of the full picture.
        score: (N,) float32 in 0..1, the detector's confidence.
        label: (N,) str, the class name ("car").
        embedding: (N, D) float32 appearance vectors, or None when nobody made any.
        keypoints: (N, K, 3) float32, (x px, y px, score in 0..1) of the K points of a pose in the order of
            the model (COCO: 17), or None. A point that is not seen has a score near 0.
        corners: (N, 4, 2) float32 px, the corners of a turned box in order around it, or None; `xyxy` is
            then the upright box around them, cut at the picture's edges.
        outline: (N,) object, of each object the polygon (P, 2) float32 px around its mask, or None. P is 0
            where a mask is empty.
        attributes: (N,) object, of each object a mapping of names to values ("colour" -> "red"), or None when
            nobody told any.

    Raises:
        ValueError: if a column's shape does not fit, a value is not finite, a box has its corners swapped,
            or a score is outside 0..1.
    """

    xyxy: F32Array
    score: F32Array
    label: StrArray
    embedding: F32Array | None = None
    keypoints: F32Array | None = None
    corners: F32Array | None = None
    outline: ObjectArray | None = None
    attributes: ObjectArray | None = None

    def __post_init__(self) -> None:
        _set(self, "xyxy", _boxes(self.xyxy))
        n = len(self.xyxy)
        _set(self, "score", _scores(self.score, n))
        _set(self, "label", _column("label", self.label, np.str_, n))
        if self.embedding is not None:
            embedding = np.asarray(self.embedding, dtype=np.float32)
            if embedding.ndim != 2 or len(embedding) != n:
                raise ValueError(f"embedding must have shape ({n}, D), got {embedding.shape}")
            _set(self, "embedding", embedding)
        if self.keypoints is not None:
            _set(self, "keypoints", _keypoints(self.keypoints, n))
        if self.corners is not None:
            _set(self, "corners", _points("corners", self.corners, (n, 4, 2)))
        if self.outline is not None:
            _set(self, "outline", _outlines(self.outline, n))
        if self.attributes is not None:
            _set(self, "attributes", _attributes(self.attributes, n))

    def with_embedding(self, embedding: F32Array) -> Detections:
        """Return the same detections with these appearance vectors, (N, D) float32."""
        return replace(self, embedding=embedding)

    @classmethod
    @cache
    def empty(cls) -> Detections:
        """Return the table of no detections."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.str_))

    @classmethod
    def from_supervision(cls, detections: Any, names: Mapping[int, str] | None = None) -> Detections:
        """Convert a `supervision.Detections`.

        Labels come from `data["class_name"]`, else from `names[class_id]`, else the class number as text.
        A missing confidence counts as 1.
        """
        n = len(detections.xyxy)
        score = np.ones(n, np.float32) if detections.confidence is None else detections.confidence
        if "class_name" in detections.data:
            label = np.asarray(detections.data["class_name"], dtype=np.str_)
        else:
            classes = np.zeros(n, np.int64) if detections.class_id is None else detections.class_id
            known = names or {}
            label = np.array([known.get(int(c), str(int(c))) for c in classes], dtype=np.str_)
        return cls(np.asarray(detections.xyxy, np.float32), np.asarray(score, np.float32), label)

    def to_supervision(self) -> Any:
        """Return a `supervision.Detections` (needs the extra `supervision`).

        Class numbers follow the sorted labels of this table; the names are in `data["class_name"]`.
        """
        return _to_supervision(self.xyxy, self.score, self.label)


@dataclass(frozen=True, eq=False)
class Tracks(_Table):
    """The N confirmed tracks of one frame.

    Attributes:
        id: (N,) int64, unique within the stream's run; never used twice.
        xyxy: (N, 4) float32 px, the matched detection's box, or the predicted box.
        score: (N,) float32, confidence of the latest matched detection.
        label: (N,) str, the class the track's detections voted for.
        detection: (N,) int64, row in the frame's `Detections` that the track matched, -1 for predicted.
        missed_s: (N,) float32, seconds of media time since the latest matched detection (0 when matched).
        attributes: (N,) object, as those of `Detections`, of the detection that matched; empty for predicted.

    Raises:
        ValueError: if a column's shape does not fit, a box is not finite, or an id appears twice.
    """

    id: I64Array
    xyxy: F32Array
    score: F32Array
    label: StrArray
    detection: I64Array
    missed_s: F32Array
    attributes: ObjectArray | None = None

    def __post_init__(self) -> None:
        _set(self, "xyxy", _boxes(self.xyxy))
        n = len(self.xyxy)
        _set(self, "id", _column("id", self.id, np.int64, n))
        _set(self, "score", _scores(self.score, n))
        _set(self, "label", _column("label", self.label, np.str_, n))
        _set(self, "detection", _column("detection", self.detection, np.int64, n))
        _set(self, "missed_s", _column("missed_s", self.missed_s, np.float32, n))
        if self.attributes is not None:
            _set(self, "attributes", _attributes(self.attributes, n))
        if len(np.unique(self.id)) != n:
            raise ValueError(f"track ids must be unique within a frame, got {self.id.tolist()}")

    @classmethod
    @cache
    def empty(cls) -> Tracks:
        """Return the table of no tracks."""
        none = np.empty(0, np.int64)
        zero = np.empty(0, np.float32)
        return cls(none, np.empty((0, 4), np.float32), zero, np.empty(0, np.str_), none, zero)

    def with_attributes(self, detections: Detections) -> Tracks:
        """Return the same tracks with the attributes of the detections that they matched."""
        if detections.attributes is None:
            return self
        column = np.empty(len(self), np.object_)
        for row, matched in enumerate(self.detection.tolist()):
            column[row] = detections.attributes[matched] if matched >= 0 else {}
        return replace(self, attributes=column)

    @property
    def predicted(self) -> npt.NDArray[np.bool_]:
        """(N,) bool, True where no detection of this frame matched."""
        return self.detection < 0

    def to_supervision(self) -> Any:
        """Return a `supervision.Detections` with `tracker_id` set (needs the extra `supervision`)."""
        out = _to_supervision(self.xyxy, self.score, self.label)
        out.tracker_id = self.id.astype(int)
        return out


def _set(table: object, name: str, value: object) -> None:
    object.__setattr__(table, name, value)


def _boxes(xyxy: npt.ArrayLike) -> F32Array:
    boxes = np.asarray(xyxy, dtype=np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"xyxy must have shape (N, 4), got {boxes.shape}")
    # Counting is a third of the price of `all`, and most frames have few boxes.
    if np.count_nonzero(np.isfinite(boxes)) < boxes.size:
        raise ValueError(f"xyxy must be finite, got {boxes[~np.isfinite(boxes).all(axis=1)][0].tolist()}")
    in_order = boxes[:, :2] <= boxes[:, 2:]
    if np.count_nonzero(in_order) < in_order.size:
        swapped = boxes[~in_order.all(axis=1)][0].tolist()
        raise ValueError(f"xyxy must be (left, top, right, bottom), got {swapped}")
    return boxes


def _scores(score: npt.ArrayLike, n: int) -> F32Array:
    scores: F32Array = _column("score", score, np.float32, n)
    if n and not (scores.item(scores.argmin()) >= 0 and scores.item(scores.argmax()) <= 1):
        raise ValueError(f"score must be within 0..1, got {scores.min()}..{scores.max()}")
    return scores


def _points(name: str, values: npt.ArrayLike, shape: tuple[int | str, ...]) -> F32Array:
    """Return finite points; a text in `shape` stands for any length of that axis."""
    points = np.asarray(values, dtype=np.float32)
    fits = points.ndim == len(shape) and all(
        isinstance(wanted, str) or wanted == got for wanted, got in zip(shape, points.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(side) for side in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {points.shape}")
    if np.count_nonzero(np.isfinite(points)) < points.size:
        raise ValueError(f"{name} must be finite, got {points[~np.isfinite(points)].item(0)}")
    return points


def _keypoints(values: npt.ArrayLike, n: int) -> F32Array:
    keypoints = _points("keypoints", values, (n, "K", 3))
    score = keypoints[..., 2]
    if score.size and not (score.min() >= 0 and score.max() <= 1):
        raise ValueError(f"scores of keypoints must be within 0..1, got {score.min()}..{score.max()}")
    return keypoints


def _outlines(values: Sequence[npt.ArrayLike] | ObjectArray, n: int) -> ObjectArray:
    if len(values) != n:
        raise ValueError(f"outline must have shape ({n},) like xyxy's rows, got ({len(values)},)")
    column = np.empty(n, dtype=np.object_)
    for row, polygon in enumerate(values):
        column[row] = _points("each outline", polygon, ("P", 2))
    return column


def _attributes(values: Sequence[Mapping[str, str]] | ObjectArray, n: int) -> ObjectArray:
    if len(values) != n:
        raise ValueError(f"attributes must have shape ({n},) like xyxy's rows, got ({len(values)},)")
    column = np.empty(n, dtype=np.object_)
    for row, named in enumerate(values):
        if not isinstance(named, Mapping) or not all(
            isinstance(name, str) and isinstance(value, str) for name, value in named.items()
        ):
            raise ValueError(f"each attributes must map names to texts, got {named!r}")
        column[row] = named
    return column


def _column(name: str, values: npt.ArrayLike, dtype: type[np.generic], n: int) -> npt.NDArray[Any]:
    column = np.asarray(values, dtype=dtype)
    if column.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},) like xyxy's rows, got {column.shape}")
    return column


def _to_supervision(xyxy: F32Array, score: F32Array, label: StrArray) -> Any:
    import supervision

    _, class_id = np.unique(label, return_inverse=True)
    return supervision.Detections(
        xyxy=xyxy.copy(),
        confidence=score.copy(),
        class_id=class_id.astype(int),
        data={"class_name": label.copy()},
    )

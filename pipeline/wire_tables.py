"""Tables of detections and tracks as columns of a message: written, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from pipeline.objects import Detections, ObjectArray, Tracks

MAX_OUTLINE_POINTS = 50_000
"""Of one message: more of them are left out, so that the header stays within its bounds."""

Label = Annotated[str, Field(max_length=256)]  # a column of labels is as wide as its longest
Int64 = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Pixel = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
Point = Annotated[list[Number], Field(min_length=2, max_length=2)]
WholePoint = Annotated[list[Pixel], Field(min_length=2, max_length=2)]
Keypoint = Annotated[list[Number], Field(min_length=3, max_length=3)]


Attributes = Annotated[dict[Label, Label], Field(max_length=64)]


class Fields(BaseModel):
    """Base of what is read from a message: strict types, unknown fields ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class TrackColumns(Fields):
    """The columns of `tracks`."""

    id: list[Int64]
    xyxy: list[Box]
    score: list[Number]
    label: list[Label]
    detection: list[Int64]
    missed_s: list[Number]
    attributes: list[Attributes] | None = None


class DetectionColumns(Fields):
    """The columns of `detections`; those that the detector does not give are nil."""

    xyxy: list[Box]
    score: list[Number]
    label: list[Label]
    keypoints: list[list[Keypoint]] | None = None
    corners: list[Annotated[list[Point], Field(min_length=4, max_length=4)]] | None = None
    outline: list[list[WholePoint]] | None = None
    attributes: list[Attributes] | None = None


def track_columns(tracks: Tracks) -> dict[str, list[Any] | None]:
    """Return the tracks as plain lists, rounded to 0.01 px."""
    return {
        "id": tracks.id.tolist(),
        "xyxy": _rounded(tracks.xyxy, 2),
        "score": _rounded(tracks.score, 4),
        "label": tracks.label.tolist(),
        "detection": tracks.detection.tolist(),
        "missed_s": _rounded(tracks.missed_s, 4),
        "attributes": _plain(tracks.attributes),
    }


def detection_columns(detections: Detections) -> dict[str, list[Any] | None]:
    """Return the detections as plain lists: boxes rounded to 0.01 px, outlines to whole pixels."""
    outline = detections.outline
    if outline is not None and sum(map(len, outline)) > MAX_OUTLINE_POINTS:
        outline = None
    keypoints, corners = detections.keypoints, detections.corners
    return {
        "xyxy": _rounded(detections.xyxy, 2),
        "score": _rounded(detections.score, 4),
        "label": detections.label.tolist(),
        "keypoints": None if keypoints is None else _rounded(keypoints, 2),
        "corners": None if corners is None else _rounded(corners, 2),
        "outline": None if outline is None else [np.rint(one).astype(int).tolist() for one in outline],
        "attributes": _plain(detections.attributes),
    }


def read_tracks(columns: Mapping[str, list[Any] | None]) -> Tracks:
    """Return checked columns as a table. Raises ValueError if they do not belong together."""
    boxes = np.asarray(columns["xyxy"], np.float32).reshape(-1, 4)
    arrays = {name: np.asarray(columns[name]) for name in ("id", "score", "label", "detection", "missed_s")}
    return Tracks(**arrays, xyxy=boxes, attributes=_objects(columns["attributes"]))


def read_detections(columns: Mapping[str, list[Any] | None]) -> Detections:
    """Return checked columns as a table. Raises ValueError if they do not belong together."""
    boxes = np.asarray(columns["xyxy"], np.float32).reshape(-1, 4)
    keypoints, corners, outline = (columns[name] for name in ("keypoints", "corners", "outline"))
    outlines = None
    if outline is not None:
        outlines = np.empty(len(outline), np.object_)
        for row, polygon in enumerate(outline):
            outlines[row] = np.asarray(polygon, np.float32).reshape(-1, 2)
    return Detections(
        boxes,
        np.asarray(columns["score"], np.float32),
        np.asarray(columns["label"], np.str_),
        keypoints=None if keypoints is None else _points(keypoints, 3),
        corners=None if corners is None else np.asarray(corners, np.float32).reshape(-1, 4, 2),
        outline=outlines,
        attributes=_objects(columns["attributes"]),
    )


def _plain(attributes: ObjectArray | None) -> list[dict[str, str]] | None:
    return None if attributes is None else [dict(named) for named in attributes]


def _objects(attributes: list[Any] | None) -> ObjectArray | None:
    if attributes is None:
        return None
    column = np.empty(len(attributes), np.object_)
    column[:] = attributes
    return column


def _points(rows: list[Any], sides: int) -> npt.NDArray[np.float32]:
    """Return (N, K, `sides`); K is 0 where there are no rows."""
    return np.asarray(rows, np.float32) if rows else np.empty((0, 0, sides), np.float32)


def _rounded(values: npt.NDArray[np.floating[Any]], digits: int) -> list[Any]:
    rounded: list[Any] = np.round(values.astype(np.float64), digits).tolist()
    return rounded

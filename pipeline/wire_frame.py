"""A frame as a message, with its picture as JPEG: written, checked and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from pipeline.frame import Counts, Frame
from pipeline.moment import Moment
from pipeline.objects import Detections, Tracks
from pipeline.wire_fields import (
    VERSION,
    Header,
    Natural,
    Size,
    WireError,
    moment_fields,
    moment_of,
    printable,
)
from pipeline.wire_tables import (
    DetectionColumns,
    TrackColumns,
    detection_columns,
    read_detections,
    read_tracks,
    track_columns,
)

Table = TypeVar("Table", Detections, Tracks)

FRAME_TOPIC = "frame/"
_JPEG_START = b"\xff\xd8\xff"
_PLAIN_FIELDS = (
    "bus",
    "n",
    "stream",
    "run",
    "sequence",
    "width",
    "height",
    "quality",
    "counts",
    "carried_s",
)


@dataclass(frozen=True, slots=True, eq=False)
class FrameMessage:
    """A finished frame as it travels.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        stream: name of the stream.
        run: the stream's run, see `Frame.run`.
        sequence: number of the frame within the run.
        moment: both clocks.
        width: of the picture, px.
        height: of the picture, px.
        quality: of the JPEG, 1..100.
        counts: totals so far, or None when nobody counts.
        tracks: the tracks, rounded to 0.01 px, or None when nobody tracks.
        jpeg: the annotated picture.
        detections: likewise, without embeddings; None when nobody detects.
        carried_s: age of the detections, see `Frame.carried_s`.
    """

    bus: str
    n: int
    stream: str
    run: str
    sequence: int
    moment: Moment
    width: int
    height: int
    quality: int
    counts: Counts | None
    tracks: Tracks | None
    jpeg: bytes
    detections: Detections | None = None
    carried_s: float = 0.0

    @classmethod
    def of(cls, frame: Frame, jpeg: bytes, *, quality: int, bus: str, n: int) -> FrameMessage:
        """Make the message of a frame and its encoded picture."""
        return cls(
            bus=bus,
            n=n,
            stream=frame.stream,
            run=frame.run,
            sequence=frame.sequence,
            moment=frame.moment,
            width=frame.picture.width,
            height=frame.picture.height,
            quality=quality,
            counts=frame.counts,
            tracks=frame.tracks,
            jpeg=jpeg,
            detections=frame.detections,
            carried_s=frame.carried_s,
        )

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> FrameMessage:
        """Make the message of a checked header and its picture.

        Raises:
            WireError: if there is no picture, or the tables hold no objects.
        """
        if payload is None or not payload.startswith(_JPEG_START):
            raise WireError(f"{FRAME_TOPIC}{printable(checked['stream'])}: a frame message carries no JPEG")
        return cls(
            moment=moment_of(checked),
            tracks=_table("tracks", read_tracks, checked["tracks"]),
            detections=_table("detections", read_detections, checked["detections"]),
            jpeg=payload,
            **{name: checked[name] for name in _PLAIN_FIELDS},
        )

    @property
    def topic(self) -> str:
        """What subscribers name: `frame/<stream>`."""
        return FRAME_TOPIC + self.stream

    @property
    def payload(self) -> bytes | None:
        """The JPEG."""
        return self.jpeg

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        return {
            "v": VERSION,
            "type": "frame",
            "bus": self.bus,
            "n": self.n,
            "stream": self.stream,
            "run": self.run,
            "sequence": self.sequence,
            **moment_fields(self.moment),
            "width": self.width,
            "height": self.height,
            "encoding": "jpeg",
            "quality": self.quality,
            "counts": None if self.counts is None else _plain_counts(self.counts),
            "tracks": None if self.tracks is None else track_columns(self.tracks),
            "carried_s": round(self.carried_s, 6),
            "detections": None if self.detections is None else detection_columns(self.detections),
        }


def _plain_counts(counts: Counts) -> dict[str, dict[str, dict[str, int]]]:
    return {
        line: {direction: dict(labels) for direction, labels in directions.items()}
        for line, directions in counts.items()
    }


def _table(field: str, read: Callable[[Any], Table], columns: Any) -> Table | None:
    """Return a table of the message, None where it has none."""
    if columns is None:
        return None
    try:
        return read(columns)
    except ValueError as error:
        raise WireError(f"frame message, field {field}: {printable(str(error))}") from error


class FrameHeader(Header):
    """The fields of a frame message, in strict types."""

    type: Literal["frame"]
    width: Size
    height: Size
    encoding: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]
    counts: dict[str, dict[str, dict[str, Natural]]] | None
    tracks: TrackColumns | None
    detections: DetectionColumns | None = None
    carried_s: Annotated[float, Field(ge=0)] = 0.0

"""What messages of a finished frame have in common, however its picture travels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

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

_PLAIN_FIELDS = (
    "bus", "n", "stream", "run", "sequence", "width", "height", "counts", "carried_s", "suspended",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PictureMessage:
    """A finished frame as it travels, but for its pixels.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        stream: name of the stream.
        run: the stream's run, see `Frame.run`.
        sequence: number of the frame within the run.
        moment: both clocks.
        width: of the picture, px.
        height: of the picture, px.
        counts: totals so far, or None when nobody counts.
        tracks: the tracks, rounded to 0.01 px, or None when nobody tracks.
        detections: likewise, without embeddings; None when nobody detects.
        carried_s: age of the detections, see `Frame.carried_s`.
        suspended: why places in it cannot be trusted, see `Frame.suspended`.
    """

    bus: str
    n: int
    stream: str
    run: str
    sequence: int
    moment: Moment
    width: int
    height: int
    counts: Counts | None
    tracks: Tracks | None
    detections: Detections | None = None
    carried_s: float = 0.0
    suspended: str | None = None

    def picture_header(self, kind: str) -> dict[str, Any]:
        """Return the fields of its header that all of them have, as plain values."""
        return {
            "v": VERSION,
            "type": kind,
            "bus": self.bus,
            "n": self.n,
            "stream": self.stream,
            "run": self.run,
            "sequence": self.sequence,
            **moment_fields(self.moment),
            "width": self.width,
            "height": self.height,
            "counts": None if self.counts is None else _plain_counts(self.counts),
            "tracks": None if self.tracks is None else track_columns(self.tracks),
            "carried_s": round(self.carried_s, 6),
            "suspended": self.suspended,
            "detections": None if self.detections is None else detection_columns(self.detections),
        }


def facts_of(frame: Frame) -> dict[str, Any]:
    """Return what a message of this frame is made of, but for `bus`, `n` and its pixels."""
    return {
        "stream": frame.stream,
        "run": frame.run,
        "sequence": frame.sequence,
        "moment": frame.moment,
        "width": frame.picture.width,
        "height": frame.picture.height,
        "counts": frame.counts,
        "tracks": frame.tracks,
        "detections": frame.detections,
        "carried_s": frame.carried_s,
        "suspended": frame.suspended,
    }


def facts_in(checked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message of this checked header is made of, but for its pixels.

    Raises:
        WireError: if the tables hold no objects.
    """
    return {
        "moment": moment_of(checked),
        "tracks": _table(checked, "tracks", read_tracks),
        "detections": _table(checked, "detections", read_detections),
        **{name: checked[name] for name in _PLAIN_FIELDS},
    }


def _plain_counts(counts: Counts) -> dict[str, dict[str, dict[str, int]]]:
    return {
        line: {direction: dict(labels) for direction, labels in directions.items()}
        for line, directions in counts.items()
    }


def _table(checked: Mapping[str, Any], field: str, read: Callable[[Any], Table]) -> Table | None:
    """Return a table of the message, None where it has none."""
    columns = checked[field]
    if columns is None:
        return None
    try:
        return read(columns)
    except ValueError as error:
        where = f"{checked['type']} message, field {field}"
        raise WireError(f"{where}: {printable(str(error))}") from error


class PictureHeader(Header):
    """The fields that all of them have, in strict types."""

    width: Size
    height: Size
    counts: dict[str, dict[str, dict[str, Natural]]] | None
    tracks: TrackColumns | None
    detections: DetectionColumns | None = None
    carried_s: Annotated[float, Field(ge=0)] = 0.0
    suspended: str | None = None

"""A frame as a message whose pixels lie in shared memory: written, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.frame import Frame
from pipeline.picture import Planes
from pipeline.shared_ring import RingPlace
from pipeline.wire_fields import Natural, WireError, printable
from pipeline.wire_picture import PictureHeader, PictureMessage, facts_in, facts_of
from pipeline.wire_tables import Fields

RAW_TOPIC = "raw/"

Encoding = Literal["bgr", "yuv420"]
Coefficient = Annotated[float, Field(ge=-1e6, le=1e6)]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawMessage(PictureMessage):
    """A finished frame and where its pixels lie.

    Attributes:
        encoding: `bgr`, (height, width, 3); or `yuv420`: Y (height, width), then U and V, each
            (ceil(height / 2), ceil(width / 2)). uint8, without gaps.
        to_bgr: of `yuv420`: 3 rows of 4 that map (Y, U, V, 1) to (B, G, R), levels 0..255.
        drawn: whether it is the annotated picture.
        place: in shared memory.
    """

    encoding: Encoding
    to_bgr: tuple[tuple[float, ...], ...] | None
    drawn: bool
    place: RingPlace

    @classmethod
    def of(
        cls, frame: Frame, planes: Planes | None, place: RingPlace, *, drawn: bool, bus: str, n: int
    ) -> RawMessage:
        """Make the message of a frame and the place of its pixels, which are `planes` or, if None, BGR."""
        rows = None if planes is None else tuple(tuple(float(v) for v in row) for row in planes.to_bgr)
        return cls(
            **facts_of(frame),
            bus=bus,
            n=n,
            encoding="bgr" if planes is None else "yuv420",
            to_bgr=rows,
            drawn=drawn,
            place=place,
        )

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> RawMessage:
        """Make the message of a checked header.

        Raises:
            WireError: if what it says of its pixels does not fit together, or the tables hold no objects.
        """
        rows, encoding = checked["to_bgr"], checked["encoding"]
        ring = checked["ring"]
        size = bytes_of(encoding, checked["width"], checked["height"])
        if payload is not None or (rows is None) != (encoding == "bgr") or ring["bytes"] != size:
            stream = printable(checked["stream"])
            raise WireError(f"{RAW_TOPIC}{stream}: encoding, bytes and to_bgr do not fit together")
        return cls(
            **facts_in(checked),
            encoding=encoding,
            to_bgr=None if rows is None else tuple(tuple(row) for row in rows),
            drawn=checked["drawn"],
            place=RingPlace(ring["segment"], ring["offset"], ring["generation"], ring["bytes"]),
        )

    @property
    def topic(self) -> str:
        """What subscribers name: `raw/<stream>`."""
        return RAW_TOPIC + self.stream

    @property
    def payload(self) -> bytes | None:
        """It has none: the pixels stay where they are."""
        return None

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        place = self.place
        return {
            **self.picture_header("raw"),
            "encoding": self.encoding,
            "to_bgr": None if self.to_bgr is None else [list(row) for row in self.to_bgr],
            "drawn": self.drawn,
            "ring": {
                "segment": place.segment,
                "offset": place.offset,
                "generation": place.generation,
                "bytes": place.size,
            },
        }


def bytes_of(encoding: str, width: int, height: int) -> int:
    """Return what a picture takes."""
    if encoding == "bgr":
        return 3 * width * height
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)


class _Ring(Fields):
    segment: Annotated[str, Field(min_length=1, max_length=64)]
    offset: Natural
    generation: Natural
    bytes: Natural


class RawHeader(PictureHeader):
    """The fields of a raw message, in strict types."""

    type: Literal["raw"]
    encoding: Encoding
    to_bgr: (
        Annotated[
            list[Annotated[list[Coefficient], Field(min_length=4, max_length=4)]],
            Field(min_length=3, max_length=3),
        ]
        | None
    )
    drawn: bool
    ring: _Ring

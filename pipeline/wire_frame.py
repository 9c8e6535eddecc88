"""A frame as a message, with its picture as JPEG: written, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.frame import Frame
from pipeline.wire_fields import WireError, printable
from pipeline.wire_picture import PictureHeader, PictureMessage, facts_in, facts_of

FRAME_TOPIC = "frame/"
_JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FrameMessage(PictureMessage):
    """A finished frame and its annotated picture as a JPEG.

    Attributes:
        quality: of the JPEG, 1..100.
        jpeg: the annotated picture.
    """

    quality: int
    jpeg: bytes

    @classmethod
    def of(cls, frame: Frame, jpeg: bytes, *, quality: int, bus: str, n: int) -> FrameMessage:
        """Make the message of a frame and its encoded picture."""
        return cls(**facts_of(frame), bus=bus, n=n, quality=quality, jpeg=jpeg)

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> FrameMessage:
        """Make the message of a checked header and its picture.

        Raises:
            WireError: if there is no picture, or the tables hold no objects.
        """
        if payload is None or not payload.startswith(_JPEG_START):
            raise WireError(f"{FRAME_TOPIC}{printable(checked['stream'])}: a frame message carries no JPEG")
        return cls(**facts_in(checked), quality=checked["quality"], jpeg=payload)

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
        return {**self.picture_header("frame"), "encoding": "jpeg", "quality": self.quality}


class FrameHeader(PictureHeader):
    """The fields of a frame message, in strict types."""

    type: Literal["frame"]
    encoding: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]

"""What passes between a stream's three threads."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import StreamInfo


@dataclass(frozen=True, slots=True)
class Captured:
    """A frame and the connection that it came from.

    Attributes:
        info: of the connection.
        frame: the frame.
    """

    info: StreamInfo
    frame: Frame

    def fits(self, other: StreamInfo | None) -> bool:
        """Whether stages that were opened for `other` can take this frame as well."""
        mine = self.info
        return other is not None and (mine.width, mine.height) == (other.width, other.height)


Outgoing = Frame | Event | StreamInfo
"""What goes to the output thread: frames, events without a frame, and the format of what follows."""

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


_LOT_PICTURES = 16
_LOT_BYTES = 6 << 20


def lot_of(info: StreamInfo, batch: int) -> int:
    """Return how many pictures of a recording are handed from thread to thread at once, in whole batches.

    To wake a thread costs 50 us of CPU, a twentieth of what it takes to decode a small picture, and what it
    then does is slow until its code is back in the caches; large pictures are worth their waking, and would
    fill the memory.

    Args:
        info: of the recording.
        batch: most pictures that a stage processes at once.
    """
    fitting = _LOT_BYTES // max(1, info.width * info.height * 3 // 2)
    return batch * -(-min(_LOT_PICTURES, max(1, fitting)) // batch)

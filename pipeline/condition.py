"""How a source is: the states it passes through, why it is in them, and what it tells its keeper."""

from __future__ import annotations

from enum import StrEnum


class SourceState(StrEnum):
    """Where a source stands."""

    CONNECTING = "connecting"
    WAITING = "waiting for first picture"
    """Connected, but nothing was decoded yet."""
    PLAYING = "playing"
    STALLED = "stalled"
    """Connected, but media time does not advance; it is about to be given up."""
    LOST = "lost"
    BACKING_OFF = "backing off"
    """The next try has a time."""
    REFUSED = "refused"
    """The peer said no, and will again until somebody changes something; tried again now and then."""
    ENDED = "ended"


class Reason(StrEnum):
    """Why a source cannot be had, or why it ended."""

    UNKNOWN_HOST = "unknown host"
    NO_ROUTE = "no route"
    CONNECTION_REFUSED = "connection refused"
    NO_ANSWER = "no answer"
    UNAUTHORIZED = "401 unauthorized"
    FORBIDDEN = "403 forbidden"
    NOT_FOUND = "404 not found"
    REJECTED = "rejected"
    """Another answer that means no."""
    NOT_MEDIA = "not a media stream"
    NO_VIDEO = "no video track"
    UNKNOWN_CODEC = "unknown codec"
    NO_KEY_FRAME = "no key frame"
    DECODE_ERRORS = "decode errors"
    FROZEN_CLOCK = "frozen clock"
    NO_DATA = "no data"
    CLOSED = "closed by the peer"
    CHANGED = "picture changed"
    """The picture's size or format is another; a new connection takes it as it is now."""
    EXPIRED = "link expired"
    NO_DEVICE = "no device"
    DEVICE_BUSY = "device busy"
    MISSING_PACKAGE = "missing package"
    FAILED = "failed"
    """Anything else; the message says what."""

    @property
    def is_refusal(self) -> bool:
        """Whether trying again soon is of no use: the answer stays, and wrong passwords lock accounts."""
        return self in _REFUSALS

    @property
    def is_about_rights(self) -> bool:
        """Whether it is the user who is refused, and not the stream."""
        return self in (Reason.UNAUTHORIZED, Reason.FORBIDDEN)


_REFUSALS = {
    Reason.UNAUTHORIZED,
    Reason.FORBIDDEN,
    Reason.NOT_FOUND,
    Reason.REJECTED,
    Reason.NOT_MEDIA,
    Reason.NO_VIDEO,
    Reason.UNKNOWN_CODEC,
    Reason.MISSING_PACKAGE,
}


class Progress:
    """What a source tells while it opens and reads; written by its thread, read by its keeper's.

    Attributes:
        connected: True once the peer has answered, so that only a picture is missing.
        trouble: why there is no picture, or no new one, as far as the source knows: a reason and one line
            for a person. None while nothing is wrong.
    """

    __slots__ = ("connected", "trouble")

    def __init__(self) -> None:
        self.connected = False
        self.trouble: tuple[Reason, str] | None = None

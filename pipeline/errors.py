"""Errors by situation: each message is one plain line that says what, where, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pipeline.condition import Reason


class SightlineError(Exception):
    """Base of every error that a person can act on; shown to users without a traceback.

    Attributes:
        exit_code: of a process that ends with it: 1 where it depends on the world, 2 where only another
            configuration helps.
    """

    exit_code: ClassVar[int] = 1


class ConfigError(SightlineError):
    """The configuration or the command line is wrong: nothing can run until it is changed."""

    exit_code = 2


class ModelError(ConfigError):
    """Model weights are missing, are no weights, or need a package that is not installed."""


class FetchError(ModelError):
    """A model cannot be fetched or kept now: no network, a full disk. Later the same may work."""

    exit_code = 1


class SourceError(SightlineError):
    """A source cannot be opened or read: missing, empty, damaged, or of an unknown format.

    Attributes:
        reason: what kind of failure it is, for those who decide whether and when to try again.
    """

    def __init__(self, message: str, reason: Reason = Reason.FAILED) -> None:
        super().__init__(message)
        self.reason = reason


class StageError(SightlineError):
    """A stage failed on a frame: a defect of the stage, or a picture it cannot handle."""


class FrameLost(SightlineError):  # noqa: N818 - no failure of the stream
    """A stage has lost this frame, and only this one: the ledger counts it, the next frame has a gap.

    Attributes:
        cause: a few short words, always the same for the same cause ("model hung"); the ledger counts by it.
        detail: one line for a person.
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail


class FramesLost(SightlineError):  # noqa: N818 - as above
    """Some frames of a batch are lost, the others are done.

    Attributes:
        losses: place in the batch -> why.
    """

    def __init__(self, losses: Mapping[int, FrameLost]) -> None:
        super().__init__("; ".join(dict.fromkeys(map(str, losses.values()))))
        self.losses = dict(losses)


class SinkError(SightlineError):
    """Results cannot be delivered: a folder is not writable, an encoder or a socket refuses."""


class Unwritable(SinkError):  # noqa: N818 - it passes
    """A disk takes nothing now: it is full, read-only, broken or gone. Later it may take it again.

    What a `FileSink` raises it for, a live stream survives.
    """


class EventsRefused(SightlineError):  # noqa: N818 - no failure of the sink
    """The other end will never take some of these events, whatever is tried; the others it might.

    Attributes:
        reasons: place in the batch -> why.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__("; ".join(dict.fromkeys(reasons.values())))
        self.reasons = dict(reasons)

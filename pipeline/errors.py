"""Errors by situation: each message is one plain line that says what, where, and what to do."""

from __future__ import annotations

from pipeline.condition import Reason


class SightlineError(Exception):
    """Base of every error that a person can act on; shown to users without a traceback."""


class ConfigError(SightlineError):
    """The configuration or the command line is wrong: nothing can run until it is changed."""


class ModelError(ConfigError):
    """Model weights are missing, are no weights, or need a package that is not installed."""


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


class SinkError(SightlineError):
    """Results cannot be delivered: a folder is not writable, an encoder or a socket refuses."""

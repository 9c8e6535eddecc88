"""Errors by situation: each message is one plain line that says what, where, and what to do."""


class SightlineError(Exception):
    """Base of every error that a person can act on; shown to users without a traceback."""


class ConfigError(SightlineError):
    """The configuration or the command line is wrong: nothing can run until it is changed."""


class ModelError(ConfigError):
    """Model weights are missing, are no weights, or need a package that is not installed."""


class SourceError(SightlineError):
    """A source cannot be opened or read: missing, empty, damaged, or of an unknown format."""


class StageError(SightlineError):
    """A stage failed on a frame: a defect of the stage, or a picture it cannot handle."""


class SinkError(SightlineError):
    """Results cannot be delivered: a folder is not writable, an encoder or a socket refuses."""

"""Why a muxer failed, in words."""

from __future__ import annotations

import av


def cause_of(error: BaseException) -> BaseException:
    """Return what the file below a muxer raised, where that is behind an error of FFmpeg."""
    while isinstance(error, av.FFmpegError) and (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def reason_of(error: BaseException) -> str:
    """Return why in a few words."""
    cause = cause_of(error)
    if isinstance(cause, av.FFmpegError | OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(cause).split())

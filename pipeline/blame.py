"""Whose failure it was, in one line: whatever a plug-in raises becomes an error that a person can act on."""

from __future__ import annotations

from types import TracebackType

from pipeline.errors import SightlineError
from pipeline.secret import without_credentials


class blaming:  # noqa: N801 - it reads as a function, `with blaming(...)`; a generator would cost three times as much
    """Turn whatever a plug-in raises into one line that says whose failure it is; our own errors pass."""

    __slots__ = ("_kind", "_what")

    def __init__(self, kind: type[SightlineError], what: str) -> None:
        self._kind, self._what = kind, what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(value, Exception) and not isinstance(value, SightlineError):
            raise self._kind(f"{self._what}: {one_line(value)}") from value


def one_line(error: BaseException) -> str:
    """Return an error's type and message on one line, without credentials.

    What sightline says itself is meant for people, who have no use for the type.
    """
    type_of = "" if isinstance(error, SightlineError) and str(error) else f"{type(error).__name__}: "
    return without_credentials(" ".join(f"{type_of}{error}".split()))

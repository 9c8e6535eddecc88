"""Whose failure it was, in one line: whatever a plug-in raises becomes an error that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import SightlineError
from pipeline.secret import without_credentials


@contextmanager
def blaming(kind: type[SightlineError], what: str) -> Iterator[None]:
    """Turn whatever a plug-in raises into one line that says whose failure it is; our own errors pass."""
    try:
        yield
    except SightlineError:
        raise
    except Exception as error:
        raise kind(f"{what}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return an error's type and message on one line, without credentials."""
    return without_credentials(" ".join(f"{type(error).__name__}: {error}".split()))

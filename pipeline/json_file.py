"""A file for figures, made sure of before the work and written after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import SinkError
from pipeline.secret import without_credentials


@contextmanager
def json_target(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield what writes a document to the file; a no-op without one.

    That it can be written shows before an hour of work; when the work fails, a file that was not there is not
    left behind.

    Raises:
        SinkError: if the file cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    is_new = not path.exists()

    def write(text: str, mode: str) -> None:
        try:
            with path.open(mode, encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise SinkError(f"{path}: cannot be written: {error.strerror or error}") from error

    write("", "a")
    try:
        yield lambda document: write(without_credentials(json.dumps(document, indent=2)) + "\n", "w")
    except BaseException:
        if is_new:
            path.unlink(missing_ok=True)
        raise

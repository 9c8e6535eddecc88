"""What a person has marked, and the file in which that is kept."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import SightlineError, SinkError, SourceError

MAX_BYTES = 32_000_000
_MOST = 200_000

Text = Annotated[str, Field(max_length=400)]
Why = Literal["double", "nothing", "direction", "class"]
"""What is wrong: counted before; nothing crossed; it went the other way; it is of another class."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Verdict(_Strict):
    """What a person says of one count.

    Attributes:
        verdict: right or wrong.
        why: what is wrong with it; "nothing" when left out.
    """

    verdict: Literal["right", "wrong"]
    why: Why | None = None

    @property
    def is_misassigned(self) -> bool:
        """Whether something did cross, but the other way or of another class."""
        return self.verdict == "wrong" and self.why in ("direction", "class")


class Missed(_Strict):
    """A crossing that was not counted.

    Attributes:
        window: in which it was seen.
        time_ms: UTC, milliseconds since 1970-01-01.
        along: where on the line, 0 to 1.
        direction: name of the direction.
        label: class, "" when nobody said.
    """

    window: Text
    time_ms: float
    along: Annotated[float, Field(ge=0, le=1)]
    direction: Text
    label: Text = ""


class Marks(_Strict):
    """All that was marked in one run.

    Attributes:
        format: of the file.
        revision: one more with each change, so that two pages do not undo each other's marks.
        counts: event id -> verdict.
        missed: what was not counted.
        reviewed: ids of the windows that were looked through: nothing else was missed in them.
    """

    format: Literal[1] = 1
    revision: Annotated[int, Field(ge=0)] = 0
    counts: Annotated[dict[Text, Verdict], Field(max_length=_MOST)] = {}
    missed: Annotated[tuple[Missed, ...], Field(max_length=_MOST)] = ()
    reviewed: Annotated[frozenset[Text], Field(max_length=_MOST)] = frozenset()


class Outdated(SightlineError):  # noqa: N818 - it says what the marks are
    """Somebody else has changed the marks meanwhile."""


class MarksFile:
    """The file RUN/audit/marks.json; safe to use from several threads.

    Raises:
        SourceError: if it is there and cannot be read, or holds no marks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._marks = _read(path)

    @property
    def marks(self) -> Marks:
        """What is marked now."""
        return self._marks

    def replace(self, text: bytes) -> Marks:
        """Take new marks, as JSON, in the place of those with the same revision; return them as kept.

        Raises:
            ValueError: if it holds no marks.
            Outdated: if they were made from another revision.
            SinkError: if the file cannot be written; the marks stay as they were.
        """
        try:
            new = Marks.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(_first(error)) from error
        with self._lock:
            if new.revision != self._marks.revision:
                raise Outdated(
                    f"the marks were changed meanwhile (revision {self._marks.revision}, not {new.revision})"
                )
            new = new.model_copy(update={"revision": new.revision + 1})
            self._write(new)
            self._marks = new
            return new

    def _write(self, marks: Marks) -> None:
        part = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(marks.model_dump_json(indent=1) + "\n", encoding="utf-8")
            os.replace(part, self.path)  # noqa: PTH105 - the same call, but this name says "atomic"
        except OSError as error:
            raise SinkError(f"{self.path}: cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> Marks:
    try:
        if not path.exists():
            return Marks()
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(f"{path}: is larger than marks ever are ({MAX_BYTES // 10**6} MB)")
        return Marks.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise SourceError(f"{path}: holds no marks: {_first(error)}; move it away to begin anew") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])

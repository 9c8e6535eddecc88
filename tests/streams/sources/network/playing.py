"""Reads network sources for the tests, bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import Source, StreamInfo
from pipeline.registry import load_plugin, scheme_of

PATIENCE_S = 20.0


def source_of(url: str, **options: Any) -> Source:
    """Make the source that is registered for a URL's scheme."""
    kind = load_plugin("source", scheme_of(url))
    made: Source = kind(url, kind.Options(**options), "cam")
    return made


@contextmanager
def closing_in_time(source: Source, seconds: float = PATIENCE_S) -> Iterator[Source]:
    """Close a source at the end, and in any case after `seconds`."""
    timer = threading.Timer(seconds, source.close)
    timer.daemon = True
    timer.start()
    try:
        yield source
    finally:
        timer.cancel()
        source.close()


@dataclass
class Played:
    """What a source delivered.

    Attributes:
        info: of the stream.
        items: frames and gaps in order.
        error: what it ended with.
        opened_s: how long `open` took.
        first_s: time from the start to the first frame.
    """

    info: StreamInfo
    items: list[Frame | Gap] = field(default_factory=list)
    error: SourceError | None = None
    opened_s: float = 0.0
    first_s: float = 0.0

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    @property
    def times_s(self) -> list[float]:
        return [frame.moment.pts_s for frame in self.frames]


def play(url: str, frames: int | None = None, *, seconds: float = PATIENCE_S, **options: Any) -> Played:
    """Read a URL to its end, or up to so many frames."""
    with closing_in_time(source_of(url, **options), seconds) as source:
        start_s = time.monotonic()
        played = Played(source.open())
        played.opened_s = time.monotonic() - start_s
        try:
            for item in source.read():
                played.items.append(item)
                played.first_s = played.first_s or time.monotonic() - start_s
                if len(played.frames) == frames:
                    break
        except SourceError as error:
            played.error = error
        return played

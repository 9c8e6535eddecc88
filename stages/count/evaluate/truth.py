"""What truly happened at the lines of one clip, whoever counted it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

Watched = Mapping[str, frozenset[str] | None]
"""Line -> the directions that were watched; None for all that it has."""


@dataclass(frozen=True, slots=True)
class Event:
    """One object that went over a line.

    Attributes:
        time_s: media time, or seconds since 1970 (UTC), as the truth has it.
        line: its name.
        direction: its name.
        label: the class, None where nobody noted it.
    """

    time_s: float
    line: str
    direction: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """What the truth says of the clip that it belongs to; None for what it does not say.

    Attributes:
        stream: its name in the run.
        source: how it is called, for people.
        run: digest of the file's content, see `Frame.run`.
        width: of the picture, px.
        height: of the picture, px.
        duration_s: its length, seconds.
    """

    stream: str | None = None
    source: str | None = None
    run: str | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The true crossings of one clip.

    Attributes:
        origin: where it comes from, for messages.
        events: by time.
        watched: the lines that were watched.
        clip: what it belongs to.
        is_utc: whether times are seconds since 1970 rather than media time.
        from_s: when watching began, None for with the clip; `is_utc` holds for it too.
        to_s: when watching ended, None for with the clip.
        notes: what a person should know of it, a line each.
    """

    origin: str
    events: tuple[Event, ...]
    watched: Watched
    clip: Clip = Clip()
    is_utc: bool = False
    from_s: float | None = None
    to_s: float | None = None
    notes: tuple[str, ...] = ()

    def shown(self, time_s: float) -> str:
        """Return a time as a person writes it."""
        if not self.is_utc:
            return f"{time_s:.2f} s"
        text = datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")


def lines_of(events: Iterable[Event]) -> dict[str, frozenset[str] | None]:
    """Return the lines of events, each watched in all of its directions."""
    return dict.fromkeys(event.line for event in events)

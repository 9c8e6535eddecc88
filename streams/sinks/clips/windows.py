"""Which time a clip shows: windows around events, merged where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

MOST_NAMED = 1000
"""Events that a clip names; of further ones it tells how many there were."""


@dataclass(frozen=True, slots=True)
class Request:
    """A wish for a clip.

    Attributes:
        run: whose packets are meant; "" where UTC decides.
        event_id: of the event.
        kind: of the event.
        stream: of the event.
        at_s: media time of the event in the stream of the packets; None where UTC decides, because the event
            is of another stream.
        time_ns: its UTC.
    """

    run: str
    event_id: UUID
    kind: str
    stream: str
    at_s: float | None
    time_ns: int

    def offsets_s(self, window: Window) -> tuple[float, float]:
        """Return how long before and after the event a window begins and ends, s."""
        at_s = window.end_s if self.at_s is None else self.at_s
        return at_s - window.start_s, window.end_s - at_s


@dataclass(slots=True)
class Window:
    """A time to be shown, and the events that ask for it.

    Attributes:
        run: whose packets.
        start_s: media time, s.
        end_s: media time, s.
        requests: the first events, in the order in which they became known; never empty.
        count: how many events there were.
    """

    run: str
    start_s: float
    end_s: float
    requests: list[Request] = field(default_factory=list)
    count: int = 0

    @property
    def first(self) -> Request:
        """The event that asked first."""
        return self.requests[0]

    def take(self, request: Request) -> None:
        """Note an event."""
        self.count += 1
        if len(self.requests) < MOST_NAMED:
            self.requests.append(request)


@dataclass(frozen=True, slots=True)
class Rule:
    """How windows lie around events, s.

    Attributes:
        pre_s: before an event.
        post_s: after an event.
        most_s: longest window that events are merged into.
    """

    pre_s: float
    post_s: float
    most_s: float


def place(request: Request, windows: Sequence[Window], rule: Rule) -> Window | None:
    """Put a request into the window that it overlaps; return a new window if it needs one.

    One that would make a window too long begins where that ends, so that nothing is shown twice.

    Raises:
        ValueError: if its media time is not known.
    """
    at_s = request.at_s
    if at_s is None:
        raise ValueError("a request is placed by media time")
    start_s, end_s = at_s - rule.pre_s, at_s + rule.post_s
    for window in windows:
        if window.run != request.run or start_s > window.end_s or end_s < window.start_s:
            continue
        if max(end_s, window.end_s) - min(start_s, window.start_s) <= rule.most_s:
            window.start_s, window.end_s = min(start_s, window.start_s), max(end_s, window.end_s)
            window.take(request)
            return None
        if window.start_s <= at_s and end_s > window.end_s:
            start_s = max(start_s, window.end_s)
    made = Window(request.run, min(start_s, end_s), end_s)
    made.take(request)
    return made

"""Events as JSON texts, and which of them none can be made of."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pipeline.errors import EventsRefused
from pipeline.event import Event


def json_of(event: Event) -> str:
    """Return `Event.to_dict()` as one line of JSON, without the end of line.

    Raises:
        ValueError: if the event holds something that JSON cannot carry; the message says what.
    """
    try:
        text = json.dumps(event.to_dict(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as error:
        what = f"event '{event.kind}' of stream '{event.stream}'"
        raise ValueError(f"{what} holds something that JSON cannot carry: {error}") from error
    return text


def json_of_all(events: Sequence[Event]) -> list[str]:
    """Return `json_of` each.

    Raises:
        EventsRefused: naming those that JSON cannot carry.
    """
    texts, reasons = [], {}
    for place, event in enumerate(events):
        try:
            texts.append(json_of(event))
        except ValueError as error:
            reasons[place] = str(error)
    if reasons:
        raise EventsRefused(reasons)
    return texts

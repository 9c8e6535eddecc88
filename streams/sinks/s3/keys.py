"""What an object in the bucket is called: a template, filled in with names that cannot leave their place."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from string import Formatter

from pipeline.event import Event

FIELDS = ("host", "stream", "kind", "label", "line", "date", "hour", "time", "id", "role", "name")
"""What the key of a file may be made of."""
BATCH_FIELDS = ("host", "date", "hour", "time", "id")
"""What the key of a batch of events may be made of: the first of them says when and which."""
MOST_BYTES = 1024
"""A key's limit in S3 (Amazon S3 User Guide, "Naming objects")."""
_MOST_CHARACTERS = 255
"""Of a level: the name of a file has no more, and without its end it would have no suffix."""


def cleaned(text: str) -> str:
    """Return a text as one level of a key: letters, digits and `-_.=` stay, the rest becomes "_"."""
    clean = "".join(sign if sign.isalnum() or sign in "-_.=" else "_" for sign in text)[:_MOST_CHARACTERS]
    return clean if clean.strip(".") else "_" * max(1, len(clean))


def checked(template: str, fields: tuple[str, ...], needed: str) -> str:
    """Return a template as it is.

    Raises:
        ValueError: if it has another field, lacks the one that makes keys differ, or leads elsewhere.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}") from None
    names = {name for _, name, _, _ in parts if name is not None}
    known = ", ".join(f"{{{name}}}" for name in fields)
    unknown = sorted(names.difference(fields))
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is unknown; known: {known}")
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError("fields are written without formats: {name}")
    if needed not in names:
        raise ValueError(f"it needs {{{needed}}}, or objects would replace each other")
    levels = template.split("/")
    if any(level.strip(".") == "" for level in levels) or not template.isprintable():
        raise ValueError(f"{template!r}: each level needs a name")
    return template


def key_of(template: str, event: Event, *, role: str = "", name: str = "") -> str:
    """Return the key of what belongs to an event.

    Args:
        template: see `checked`.
        event: whose it is, or the first of a batch.
        role: what it is to the event: snapshot, clip.
        name: of its file.
    """
    moment = datetime.fromtimestamp(event.moment.time_ns // 1_000_000 / 1e3, UTC)
    values = {
        "host": socket.gethostname(),
        "stream": event.stream,
        "kind": event.kind,
        "label": event.label or "",
        "line": str(event.data.get("line", "")),
        "date": moment.strftime("%Y-%m-%d"),
        "hour": moment.strftime("%H"),
        "time": f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z",
        "id": str(event.id),
        "role": role,
        "name": name,
    }
    return template.format(**{field: cleaned(value) for field, value in values.items()})

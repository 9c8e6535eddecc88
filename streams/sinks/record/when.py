"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from pipeline.errors import ConfigError
from streams.sinks.counts.calendar import zone_named

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def zone_of(name: str) -> tzinfo:
    """Return a time zone of the IANA database.

    Raises:
        ConfigError: if there is none of this name.
    """
    try:
        return zone_named(name)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def moment_ns(text: str, zone: tzinfo = UTC, *, end: bool = False) -> int:
    """Return UTC in ns of what a person writes: 2026-03-01, 2026-03-01T08:00, with `Z` or +01:00.

    Args:
        text: what was written.
        zone: whose clock is meant where none is written.
        end: whether a bare date means the end of that day.

    Raises:
        ConfigError: if it is no moment.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"'{text}' is no moment; write 2026-03-01, 2026-03-01T08:00, 2026-03-01T08:00:30Z or "
            "2026-03-01T08:00+01:00"
        ) from None
    if end and len(text.strip()) == len("2026-03-01"):
        moment += timedelta(days=1)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    if moment.tzinfo is None and len(text.strip()) > len("2026-03-01"):
        _check_clock(text, aware)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def _check_clock(text: str, aware: datetime) -> None:
    """Refuse what a clock never shows, or shows twice, when it is changed.

    Raises:
        ConfigError: if it does.
    """
    offsets = [aware.replace(fold=fold).strftime("%z") for fold in (0, 1)]
    if offsets[0] == offsets[1]:
        return
    again = aware.astimezone(UTC).astimezone(aware.tzinfo)
    first, second = (f"{offset[:3]}:{offset[3:5]}" for offset in offsets)
    if again.replace(tzinfo=None) == aware.replace(tzinfo=None):
        raise ConfigError(
            f"'{text}' is twice in {aware.tzinfo}; write {text}{first}, or later {text}{second}"
        )
    raise ConfigError(f"'{text}' is never in {aware.tzinfo}: its clock leaps from {first} to {second}")


def local(time_ns: int, zone: tzinfo) -> str:
    """Return a moment as that clock shows it, in whole seconds: `2026-03-01 09:00:00+01:00`."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, zone).isoformat(" ")

"""When something happened: the media clock and the wall clock, with what is known of their quality."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Clock(StrEnum):
    """Where a wall-clock time comes from."""

    CAMERA = "camera"
    """The camera's own clock, from RTCP sender reports."""
    ARRIVAL = "arrival"
    """The clock of this box when the data came in."""
    FILE = "file"
    """The file's start time (given, or from its metadata, else 1970-01-01) plus the media time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One point in time on both clocks.

    Attributes:
        pts_s: media clock in seconds; the only clock that speeds, ages and durations use.
        time_ns: UTC in nanoseconds since 1970-01-01.
        clock: where `time_ns` comes from.
        uncertainty_ns: half width of the interval `time_ns` is known to, or None when unknown.
    """

    pts_s: float
    time_ns: int
    clock: Clock
    uncertainty_ns: int | None = None

    def shifted(self, seconds: float) -> Moment:
        """Return this moment moved by `seconds` (may be negative) on both clocks."""
        return Moment(
            self.pts_s + seconds, self.time_ns + round(seconds * 1e9), self.clock, self.uncertainty_ns
        )

    def iso(self) -> str:
        """Return the UTC time as ISO 8601 with milliseconds, e.g. `2026-03-01T08:00:00.040Z`."""
        return iso_utc(self.time_ns)


def iso_utc(time_ns: int) -> str:
    """Format UTC nanoseconds as ISO 8601 with milliseconds (rounded down) and the suffix `Z`."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest_ns // 1_000_000:03d}Z"

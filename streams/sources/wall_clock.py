"""The wall clock of stored media: when its media time 0 was, as far as anybody says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pipeline.moment import Clock, Moment


@dataclass(frozen=True, slots=True)
class WallClock:
    """Converts media time to moments; the same file always gives the same ones.

    Attributes:
        start_ns: UTC of media time 0, ns.
        uncertainty_ns: 0 when the user gave the start, None when the file or nobody did.
    """

    start_ns: int
    uncertainty_ns: int | None

    @classmethod
    def starting(cls, given: datetime | None, written: str | None = None) -> Self:
        """Start at the given time, else at the one written in the file, else at 1970-01-01.

        Args:
            given: with its zone.
            written: ISO 8601, UTC where it names no zone; ignored if it is no time.
        """
        if given is not None:
            return cls(_utc_ns(given), 0)
        try:
            start = datetime.fromisoformat(written or "")
        except ValueError:
            return cls(0, None)
        return cls(_utc_ns(start if start.tzinfo else start.replace(tzinfo=UTC)), None)

    def moment(self, pts_s: float) -> Moment:
        """Return the moment of a media time."""
        return Moment(pts_s, self.start_ns + round(pts_s * 1e9), Clock.FILE, self.uncertainty_ns)


def _utc_ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000

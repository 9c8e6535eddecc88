"""Puts moments into intervals of local time, which may have 23 or 25 hours a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from pipeline.errors import ConfigError
from stages.count.history.path import I64Array

By = Literal["minute", "5min", "15min", "hour", "day"]

_STEPS_S: dict[str, int] = {"minute": 60, "5min": 300, "15min": 900, "hour": 3600, "day": 86_400}
_QUARTER_NS = 900 * 10**9  # clocks are changed at whole quarters of an hour


@dataclass(frozen=True, slots=True)
class Bins:
    """Intervals of one length.

    Attributes:
        by: their length; None is one interval for all time.
        zone: whose days and hours.
    """

    by: By | None
    zone: ZoneInfo

    def numbers(self, times_ns: I64Array) -> I64Array:
        """Return the number of the interval of each moment (N,) of UTC."""
        if self.by is None:
            return np.zeros(len(times_ns), np.int64)
        step_ns = _STEPS_S[self.by] * 10**9
        quarters, where = np.unique(times_ns // _QUARTER_NS, return_inverse=True)
        offsets_ns = np.array([self._offset_s(int(quarter) * 900) for quarter in quarters], np.int64) * 10**9
        local = times_ns + offsets_ns[where]
        if self.by == "day":
            return local // step_ns
        # Of the hour that comes twice, each one is an interval of its own: they are told apart by UTC.
        return local // step_ns * step_ns - offsets_ns[where]

    def text(self, number: int) -> str:
        """Return the beginning of an interval as a person writes it; "" where there is only one."""
        if self.by is None:
            return ""
        if self.by == "day":
            return (date(1970, 1, 1) + timedelta(days=number)).isoformat()
        return datetime.fromtimestamp(number // 10**9, self.zone).isoformat(timespec="minutes")

    def _offset_s(self, time_s: int) -> int:
        offset = datetime.fromtimestamp(time_s, self.zone).utcoffset()
        return 0 if offset is None else round(offset.total_seconds())


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        ConfigError: if there is none of this name; it tells the nearest one.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else "; names are like Europe/Berlin"
        raise ConfigError(f"there is no time zone '{name}'{hint}") from None


def moment_ns(text: str, zone: ZoneInfo) -> int:
    """Return what a person writes as UTC nanoseconds: 2026-03-01, 2026-03-01T08:00 or with +01:00.

    Raises:
        ConfigError: if it is no date.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"'{text}' is no moment; write 2026-03-01, 2026-03-01T08:00 or 2026-03-01T08:00+01:00"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return round((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) * 1000


INTERVALS: tuple[str, ...] = get_args(By)

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from pipeline.moment import Clock
from streams.sources.wall_clock import WallClock

GIVEN = datetime(2026, 3, 1, 9, 0, 0, 40_000, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("given", "written", "iso", "uncertainty_ns"),
    [
        (GIVEN, None, "2026-03-01T08:00:00.040Z", 0),
        (GIVEN, "2018-04-19T22:46:00.000000Z", "2026-03-01T08:00:00.040Z", 0),
        (None, "2018-04-19T22:46:00.000000Z", "2018-04-19T22:46:00.000Z", None),
        (None, "2018-04-19T22:46:00+02:00", "2018-04-19T20:46:00.000Z", None),
        (None, "2018-04-19 22:46:00", "2018-04-19T22:46:00.000Z", None),
        (None, "yesterday", "1970-01-01T00:00:00.000Z", None),
        (None, None, "1970-01-01T00:00:00.000Z", None),
    ],
)
def test_start(given: datetime | None, written: str | None, iso: str, uncertainty_ns: int | None) -> None:
    moment = WallClock.starting(given, written).moment(0.0)
    assert (moment.iso(), moment.uncertainty_ns, moment.clock) == (iso, uncertainty_ns, Clock.FILE)


def test_media_time_is_added() -> None:
    assert WallClock.starting(GIVEN).moment(2.5).iso() == "2026-03-01T08:00:02.540Z"

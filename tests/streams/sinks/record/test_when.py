from __future__ import annotations

import pytest

from pipeline.errors import ConfigError
from streams.sinks.record.when import local, moment_ns, zone_of

EIGHT_NS = 1_772_352_000 * 10**9  # 2026-03-01 08:00 UTC
BERLIN = zone_of("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "after_ns"),
    [
        ("2026-03-01T08:00", 0),
        ("2026-03-01 08:00:30.25Z", 30_250_000_000),
        ("2026-03-01T09:00+01:00", 0),
        ("2026-03-01", -8 * 3600 * 10**9),
        (" 2026-03-01T08:00:00.000001 ", 1000),
    ],
)
def test_moments(text: str, after_ns: int) -> None:
    assert moment_ns(text) == EIGHT_NS + after_ns


def test_the_clock_of_a_place() -> None:
    assert moment_ns("2026-03-01T09:00", BERLIN) == EIGHT_NS
    assert moment_ns("2026-03-01T08:00Z", BERLIN) == EIGHT_NS
    assert local(EIGHT_NS, BERLIN) == "2026-03-01 09:00:00+01:00"


def test_a_date_as_an_end_is_that_whole_day() -> None:
    assert moment_ns("2026-03-01", end=True) == EIGHT_NS + 16 * 3600 * 10**9
    # The clocks go forward on the 29th: that day has 23 hours.
    begin, end = moment_ns("2026-03-29", BERLIN), moment_ns("2026-03-29", BERLIN, end=True)
    assert end - begin == 23 * 3600 * 10**9


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "8:00"])
def test_no_moments(text: str) -> None:
    with pytest.raises(ConfigError, match="is no moment; write"):
        moment_ns(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-10-25 02:30", r"is twice in Europe/Berlin; write .* 02:30\+02:00, or later .* 02:30\+01:00"),
        ("2026-03-29T02:30", r"is never in Europe/Berlin: its clock leaps from \+01:00 to \+02:00"),
    ],
)
def test_hours_that_are_twice_or_never(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        moment_ns(text, BERLIN)
    assert moment_ns(f"{text}+01:00", BERLIN) == moment_ns(f"{text}+01:00")
    assert moment_ns("2026-10-25 03:00", BERLIN) - moment_ns("2026-10-25 01:59", BERLIN) == 7260 * 10**9

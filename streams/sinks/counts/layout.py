"""The layout of the tables: one row for each interval, place, direction or movement, and class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streams.sinks.counts.bins import Bin, Tally, percentile_kmh
from streams.sinks.counts.calendar import Calendar
from streams.sinks.textfile import writing

COLUMNS = (
    "stream",
    "bin_s",
    "start",
    "end",
    "line",
    "direction",
    "movement",
    "class",
    "count",
    "complete",
    "observed_s",
    "suspended_s",
    "missing_s",
    "speeds",
    "mean_speed_kmh",
    "v85_kmh",
    "start_utc",
    "end_utc",
)
COMPLETE = 0.99
"""An interval is complete when at least so much of it was observed."""

Row = tuple[str | int, ...]


def rows_of(stream: str, calendar: Calendar, counted: Bin) -> Iterator[Row]:
    """Yield an interval's rows, in a fixed order.

    One of which no frame was seen has rows for what was counted late, with nothing said of how much of it was
    observed: these counts add to those that were written before.
    """
    when = counted.interval
    start, end = (calendar.local(second).isoformat() for second in (when.start_s, when.end_s))
    start_utc, end_utc = (utc_text(second) for second in (when.start_s, when.end_s))
    observed = _observed(counted) if counted.seen else ("", "", "", "")
    tallies = sorted(counted.tallies.items())
    if counted.counting and not tallies:
        yield (
            stream,
            counted.length_s,
            start,
            end,
            "",
            "",
            "",
            "",
            0,
            *observed,
            0,
            "",
            "",
            start_utc,
            end_utc,
        )
    for key, classes in tallies:
        if not classes and not counted.seen:
            continue
        for name, tally in sorted(classes.items()) or [("", Tally())]:
            yield (
                stream,
                counted.length_s,
                start,
                end,
                *key,
                name,
                tally.count,
                *observed,
                *_speeds(tally.speeds),
                start_utc,
                end_utc,
            )


def csv_text(rows: Iterable[Row]) -> str:
    """Return rows as CSV (RFC 4180, but lines end with LF)."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_parquet(table: Path) -> None:
    """Write the table of a CSV file beside it as Parquet, in whole or not at all (needs pyarrow).

    Text columns stay text, `start` and `end` too, as a column of time stamps cannot hold two offsets;
    `start_utc` and `end_utc` are time stamps.

    Raises:
        SinkError: if it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    number, seconds = pa.int64(), pa.float64()
    kinds: dict[str, Any] = dict.fromkeys(COLUMNS, pa.string())
    kinds |= {"bin_s": number, "count": number, "speeds": number, "v85_kmh": number, "complete": pa.bool_()}
    kinds |= dict.fromkeys(("observed_s", "suspended_s", "missing_s", "mean_speed_kmh"), seconds)
    kinds |= dict.fromkeys(("start_utc", "end_utc"), pa.timestamp("s", "UTC"))
    convert = pyarrow.csv.ConvertOptions(column_types=kinds, null_values=[""], strings_can_be_null=False)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    target = table.with_suffix(".parquet")
    beside = target.with_name(f"{target.name}.new")
    with writing(target):
        try:
            content = pyarrow.csv.read_csv(table, parse_options=parse, convert_options=convert)
            pyarrow.parquet.write_table(content, beside, compression="zstd")
            beside.replace(target)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def _observed(counted: Bin) -> tuple[str, str, str, str]:
    """Return whether an interval is complete, and the seconds observed, suspended and missing.

    A clock that was set back passes the same time twice, so each is held within the interval's length.
    """
    length_s = counted.interval.seconds
    observed_s = min(counted.observed_ns / 1e9, length_s)
    suspended_s = min(counted.suspended_ns / 1e9, length_s - observed_s)
    missing_s = length_s - observed_s - suspended_s
    complete = "true" if observed_s >= COMPLETE * length_s else "false"
    return complete, f"{observed_s:.2f}", f"{suspended_s:.2f}", f"{missing_s:.2f}"


def _speeds(speeds: Mapping[int, int]) -> tuple[int, str, str]:
    """Return how many speeds are known, their mean, and the one that 85 % do not exceed (v85)."""
    number = sum(speeds.values())
    if not number:
        return 0, "", ""
    mean_kmh = sum(speed * count for speed, count in speeds.items()) / number
    return number, f"{mean_kmh:.1f}", str(percentile_kmh(speeds, 0.85))


def utc_text(second: int) -> str:
    """Return a second of UTC as ISO 8601, which is also how the tables have it."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Events per second into the sinks that keep them, and into PostgreSQL while it is restarted and killed.

    python -m benchmarks.sinks [--events 20000] [--rounds 3] [--storm-s 60] [--rate 1000] [--restart-s 3]

The first table is flat out, in batches as the journal hands them over, each waiting for the disk: `JSON
alone` is what writing the events as JSON costs and nothing else, `COPY alone` what sending them into a
temporary table costs. The second has events flow at a steady rate through the journal into PostgreSQL
(Debian's, on loopback, fsync on), which is shut down or killed (`kill -9`), in turn, every few seconds, and
started again: how many arrived, how long after they were written into the journal, and how long after a
restart all were there that had waited. Each event is a line crossing with a trail of 32 points, about 1.2 KB.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.events import crossing
from pipeline.event import Event
from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.plugin import EventSink, SinkContext
from streams.sinks.body import json_of
from streams.sinks.jsonl import JsonlOptions, JsonlSink
from streams.sinks.postgres.options import PostgresOptions
from streams.sinks.postgres.sink import PostgresSink
from streams.sinks.sqlite import SqliteOptions, SqliteSink
from tests.servers.postgres import PostgresServer

_PATIENCE_S = 120.0


def rate(sink: EventSink, events: Sequence[Event]) -> float:
    """Return events per second that a sink takes, batch by batch."""
    sink.deliver(events[:1])
    begun_s = time.perf_counter()
    for start in range(1, len(events), sink.batch):
        sink.deliver(events[start : start + sink.batch])
    spent_s = time.perf_counter() - begun_s
    sink.close()
    return (len(events) - 1) / spent_s


def json_rate(events: Sequence[Event]) -> float:
    """Return events per second of JSON alone."""
    begun_s = time.perf_counter()
    for event in events:
        json_of(event)
    return len(events) / (time.perf_counter() - begun_s)


def copy_rate(dsn: str, events: Sequence[Event]) -> float:
    """Return events per second of COPY alone, with JSON made before."""
    bodies = [json_of(event) for event in events]
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE bare (id uuid, body jsonb)")
        begun_s = time.perf_counter()
        for start in range(0, len(events), PostgresSink.batch):
            with cursor.copy("COPY bare FROM STDIN") as copy:
                for place in range(start, min(start + PostgresSink.batch, len(events))):
                    copy.write_row((events[place].id, bodies[place]))
            connection.commit()
        return len(events) / (time.perf_counter() - begun_s)


def flat_out(count: int, rounds: int) -> None:
    """Print the first table."""
    events = [crossing(number) for number in range(count)]
    found: dict[str, list[float]] = {}
    with PostgresServer(fsync=True) as server:
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                context = SinkContext(Path(folder))
                rows: dict[str, Callable[[], float]] = {
                    "JSON alone": lambda: json_rate(events),
                    "jsonl": lambda: rate(JsonlSink(JsonlOptions(), context), events),  # noqa: B023
                    "sqlite": lambda: rate(SqliteSink(SqliteOptions(), context), events),  # noqa: B023
                    "COPY alone": lambda: copy_rate(server.dsn(), events),
                    "postgres": lambda: rate(_postgres(server, f"events_{number}"), events),  # noqa: B023
                }
                for name, measure in rows.items():
                    found.setdefault(name, []).append(measure())
    print("| | events/s | lowest to highest |\n|---|---:|---|")
    for name, rates in found.items():
        print(f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} |")


@dataclass
class Storm:
    """What happened to the events of a storm; times are monotonic seconds, by the event's number."""

    written_s: list[float] = field(default_factory=list)
    stored_s: dict[int, float] = field(default_factory=dict)
    away_s: float = 0.0
    up_s: list[float] = field(default_factory=list)


def storm(length_s: float, per_s: int, restart_s: float) -> None:
    """Print the second table."""
    found = Storm()
    with tempfile.TemporaryDirectory() as folder, PostgresServer(fsync=True) as server:
        journal = Journal(Path(folder) / "journal.sqlite3", keep_s=1e6, keep_bytes=10**10)
        sink = _postgres(server, "sightline_events")

        def deliver(events: Sequence[Event]) -> None:
            sink.deliver(events)
            now_s = time.monotonic()
            for event in events:
                found.stored_s.setdefault(event.sequence, now_s)

        feeder = Feeder("postgres", journal, deliver, batch=sink.batch, from_start=True)
        feeder.start()
        ends_s = time.monotonic() + length_s
        producer = threading.Thread(target=_produce, args=(journal, found, ends_s, per_s))
        producer.start()
        while time.monotonic() + restart_s < ends_s:
            time.sleep(restart_s)
            gone_s = time.monotonic()
            server.kill() if len(found.up_s) % 2 else server.stop()
            server.start()
            found.up_s.append(time.monotonic())
            found.away_s += found.up_s[-1] - gone_s
        producer.join()
        all_taken = feeder.stop(journal.newest, _PATIENCE_S)
        with server.connect() as connection:
            row = connection.execute("SELECT count(*), count(DISTINCT id) FROM sightline_events").fetchone()
        sink.close()
        journal.close()
    _print_storm(found, all_taken, row, length_s)


def _produce(journal: Journal, found: Storm, ends_s: float, per_s: int) -> None:
    begun_s = time.monotonic()
    while (now_s := time.monotonic()) < ends_s:
        due = int(per_s * (now_s - begun_s))
        for number in range(len(found.written_s), due):
            found.written_s.append(time.monotonic())
            journal.append([crossing(number)])
        time.sleep(0.002)


def _print_storm(found: Storm, all_taken: bool, row: Any, length_s: float) -> None:
    count = len(found.written_s)
    behind = sorted(found.stored_s[number] - found.written_s[number] for number in found.stored_s)
    rows, distinct = row
    print("\n| | |\n|---|---:|")
    print(f"| events written, per second | {count:,}, {count / length_s:,.0f} |")
    print(f"| shut down or killed, and started again | {len(found.up_s)} times, away {found.away_s:.1f} s |")
    print(f"| rows, of them doubles | {rows:,}, {rows - distinct} |")
    print(f"| lost | {count - distinct}{'' if all_taken else ' (not all taken in time)'} |")
    if behind:
        middle, most = behind[len(behind) // 2], behind[int(len(behind) * 0.99)]
        print(f"| in the table after, median, 99 %, longest | {middle:.2f}, {most:.2f}, {behind[-1]:.2f} s |")
        pairs = [(found.written_s[number], stored_s) for number, stored_s in found.stored_s.items()]
        caught = sorted(max(late for early, late in pairs if early < up_s) - up_s for up_s in found.up_s)
        print(
            f"| nothing waits any more after a restart: median, longest | {caught[len(caught) // 2]:.2f},"
            f" {caught[-1]:.2f} s |"
        )


def _postgres(server: PostgresServer, table: str) -> PostgresSink:
    return PostgresSink(PostgresOptions(dsn=server.dsn(), table=table), SinkContext(Path()))


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--storm-s", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--restart-s", type=float, default=3.0)
    asked = parser.parse_args()
    if asked.rounds:
        flat_out(asked.events, asked.rounds)
    if asked.storm_s:
        storm(asked.storm_s, asked.rate, asked.restart_s)


if __name__ == "__main__":
    main()

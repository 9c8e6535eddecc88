"""Events per second into the journal, and out of it to a program that acknowledges.

    python -m benchmarks.events [--events 50000] [--rounds 3]

Rows: `msgpack alone` is what packing costs and nothing else, the limit; `into the journal` writes the events
of one picture at once (1 or 10 of them); `to a consumer` has another process receive and acknowledge all of
them over TCP while they are written. Each event is a line crossing with a trail of 32 points, about 1.2 KB.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgpack

from pipeline.event import Event, Producer
from pipeline.journal import Journal
from pipeline.moment import Clock, Moment
from pipeline.reliable import ReliableServer

_TRAIL = [[round(0.04 * k, 6), 100.25 + k, 200.5 + 2 * k] for k in range(32)]
_READER = """
import sys, time
from pipeline.client import ReliableListener
with ReliableListener(sys.argv[1], "bench", from_start=True) as listener:
    print("ready", flush=True)
    for _ in range(int(sys.argv[2])):
        listener.receive()
    listener.acknowledge()
print("done", flush=True)
"""


def crossing(number: int) -> Event:
    """Return an event as the counter makes them."""
    return Event(
        id=UUID(int=number),
        kind="line.crossing",
        stream="gate",
        run="run",
        sequence=number,
        moment=Moment(number / 30, number * 10**7, Clock.FILE),
        producer=Producer("count", "main", "c0ffee"),
        track_id=number,
        label="car",
        position=(101.5, 202.25),
        data={"line": "main", "direction": "in", "label": "car"},
        evidence={"trail": _TRAIL},
    )


def packing(events: list[Event]) -> float:
    """Return events per second of msgpack alone."""
    begun_s = time.perf_counter()
    for event in events:
        msgpack.packb(event.to_dict())
    return len(events) / (time.perf_counter() - begun_s)


def writing(events: list[Event], at_once: int) -> float:
    """Return events per second into the journal."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
        begun_s = time.perf_counter()
        for start in range(0, len(events), at_once):
            journal.append(events[start : start + at_once])
        spent_s = time.perf_counter() - begun_s
        journal.close()
    return len(events) / spent_s


def delivering(events: list[Event], at_once: int) -> float:
    """Return events per second from the first write to the last receipt in another process."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
        server = ReliableServer(journal, "tcp://127.0.0.1:*")
        command = [sys.executable, "-c", _READER, server.endpoint, str(len(events))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            reader.stdout.readline()
            begun_s = time.perf_counter()
            for start in range(0, len(events), at_once):
                journal.append(events[start : start + at_once])
            reader.stdout.readline()
            spent_s = time.perf_counter() - begun_s
        server.close()
        journal.close()
    return len(events) / spent_s


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    events = [crossing(number) for number in range(asked.events)]
    rows: dict[str, Callable[[], float]] = {
        "msgpack alone": lambda: packing(events),
        "into the journal, 1 at once": lambda: writing(events, 1),
        "into the journal, 10 at once": lambda: writing(events, 10),
        "to a consumer, 1 at once": lambda: delivering(events, 1),
        "to a consumer, 10 at once": lambda: delivering(events, 10),
    }
    found: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(asked.rounds):
        for name, measure in rows.items():
            found[name].append(measure())
    print("| | events/s | lowest to highest |\n|---|---:|---|")
    for name, rates in found.items():
        print(f"| {name} | {statistics.median(rates):,.0f} | {min(rates):,.0f} to {max(rates):,.0f} |")


if __name__ == "__main__":
    main()

"""Every part of a box killed (-9) at random moments, and what each sink has afterwards.

    python -m benchmarks.storm [--kills 100] [--seed 1]

A daemon counts a synthetic street (each life another one) into all its sinks at once: jsonl, csv, sqlite,
parquet, PostgreSQL, Redis, MQTT (mosquitto), a webhook receiver, Kafka (a pretended broker, which goes away
instead of being killed), two programs that take reliable events, and `sightline sink sqlite` in a process
of its own. At random, seeded moments one of daemon, programs, mosquitto, PostgreSQL, Redis and receiver is
killed and comes back up to half a second later, others meanwhile being away too. In the end every event
that anybody ever saw must be in every store. `again` counts entries whose id is there already.

What MQTT's broker had acknowledged and not passed on when it was killed is its own loss: it takes nothing
before its subscriber is back.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.storm import World


def main() -> None:
    """Let the storm rage, and print what is left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), asked.seed) as world:
        world.rage(asked.kills, lambda text: print(text, file=sys.stderr))
        raged_s = time.monotonic() - begun_s
        world.settle()
        found, events = world.found, world.settled
    kills = ", ".join(f"{part} {count}" for part, count in sorted(found.kills.items()))
    print(f"{asked.kills} kills in {raged_s:.0f} s ({kills}); {len(events):,} events were ever visible,")
    print(f"all were everywhere {found.wait_s:.1f} s after the last part was back.\n")
    lost, doubles = found.lost(events), found.doubles()
    print("| store | entries | again | lost |\n|---|---:|---:|---:|")
    for name, ids in sorted(found.stores.items()):
        print(f"| {name} | {len(ids):,} | {doubles[name]:,} | {lost.get(name, 0)} |")


if __name__ == "__main__":
    main()

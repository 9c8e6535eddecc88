"""Whatever anybody saw of a run that is killed again and again, a reliable consumer has."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.client import ReliableListener
from pipeline.listen import Listener
from pipeline.wire import EventMessage
from tests.servers.daemons import free_port

KILLS = 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_anybody_saw_is_delivered_although_the_daemon_is_killed(tmp_path: Path) -> None:
    events, reliable = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    sets = (f"bus.events={events}", f"bus.reliable={reliable}", "sinks=[]")
    words = ["run", "demo", "--out", str(tmp_path)]
    words += [word for one in sets for word in ("--set", one)]
    command = [sys.executable, "-c", "from pipeline.cli.entry import main; main()", *words]
    seen: set[str] = set()
    had: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        with Listener([events]) as listener:
            while not stop.is_set():
                received = listener.receive(0.1)
                if received is not None and isinstance(received.message, EventMessage):
                    seen.add(str(received.message.event.id))

    def consume(until: threading.Event) -> None:
        with ReliableListener(reliable, "shop", from_start=True) as listener:
            while not until.is_set():
                found = listener.receive(0.1)
                if found is not None:
                    had.append(str(found.event.id))

    watcher = threading.Thread(target=watch)
    watcher.start()
    rng = random.Random(7)
    for number in range(KILLS + 1):
        last = number == KILLS
        done = threading.Event()
        # Another street each time: the same one would make the same events again, also those that were lost.
        street = [
            "--source",
            f"street=synthetic://street?seed={number}&width=320&height=180&rate_hz=10&duration_s=3600",
        ]
        with subprocess.Popen(
            [*command, *street], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as daemon:
            consumer = threading.Thread(target=consume, args=(done,))
            # The consumer is away in every third life of the daemon, too.
            if number % 3 or last:
                consumer.start()
            if last:
                stop.set()  # what would be seen from here on might reach nobody else before the kill
                watcher.join()
                deadline_s = time.monotonic() + 60
                while not seen <= set(had) and time.monotonic() < deadline_s:
                    time.sleep(0.05)
            else:
                before, life_s, begun_s = len(seen), rng.uniform(0.0, 1.5), time.monotonic()
                while len(seen) == before and time.monotonic() - begun_s < 20:
                    time.sleep(0.01)  # so that each life shows something
                time.sleep(life_s)
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()
            done.set()
            if consumer.ident is not None:
                consumer.join()
    assert len(seen) > KILLS, "there was something to lose"
    assert seen <= set(had), f"{len(seen - set(had))} of {len(seen)} events are missing"

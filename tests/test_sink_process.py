"""A sink in a process of its own: whatever is killed, what anybody saw is in its table."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.listen import Listener
from pipeline.wire import EventMessage
from tests.servers.daemons import free_port

KILLS = 10


class Process:
    """A command of sightline that is killed and started again.

    Args:
        words: of the command.
        each: further words, of its n-th life.
    """

    def __init__(self, *words: object, each: Callable[[int], tuple[str, ...]] = lambda _: ()) -> None:
        self._each = each
        self._lives = 0
        self._command = [
            sys.executable,
            "-c",
            "from pipeline.cli.entry import main; main()",
            *map(str, words),
        ]
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [*self._command, *self._each(self._lives)]
        self._lives += 1
        self._running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._running is not None:
            os.kill(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None


def another_street(life: int) -> tuple[str, ...]:
    return (
        "--source",
        f"street=synthetic://street?seed={life}&width=320&height=180&rate_hz=10&duration_s=3600",
    )


def stored(path: Path) -> set[str]:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
            return {row[0] for row in database.execute("SELECT id FROM events")}
    except sqlite3.OperationalError:  # not there yet
        return set()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_although_box_and_sink_are_killed_at_random_moments(tmp_path: Path) -> None:
    events, reliable = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    sets = (f"bus.events={events}", f"bus.reliable={reliable}", "sinks=[]")
    words = ["run", "demo", "--out", tmp_path / "box"]
    # Another street each time: the same one would make the same events again, also those that were lost.
    box = Process(*words, *(word for one in sets for word in ("--set", one)), each=another_street)
    sink = Process(
        "sink", "sqlite", "--connect", reliable, "--out", tmp_path / "sink", "--set", "from_start=true"
    )
    table = tmp_path / "sink" / "events.sqlite3"
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        with Listener([events]) as listener:
            while not stop.is_set():
                received = listener.receive(0.1)
                if received is not None and isinstance(received.message, EventMessage):
                    seen.add(str(received.message.event.id))

    watcher = threading.Thread(target=watch)
    watcher.start()
    rng = random.Random(11)
    try:
        box.start()
        sink.start()
        for number in range(KILLS):
            before, begun_s = len(seen), time.monotonic()
            while len(seen) == before and time.monotonic() - begun_s < 20:
                time.sleep(0.01)  # so that each life of the box shows something
            time.sleep(rng.uniform(0.0, 0.8))
            victims = rng.choice([[box], [sink], [sink], [box, sink]])
            for victim in victims:
                victim.kill()
            if number % 4 == 3:
                time.sleep(rng.uniform(0.0, 0.5))
            for victim in victims:
                victim.start()
        deadline_s = time.monotonic() + 60
        while (len(seen) <= KILLS or not seen <= stored(table)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
    finally:
        box.kill()
        sink.kill()
        stop.set()
        watcher.join()
    # What came after the last look is in the box's journal: the sink fetches it when both are there again.
    box.start()
    sink.start()
    try:
        deadline_s = time.monotonic() + 60
        while not seen <= stored(table) and time.monotonic() < deadline_s:
            time.sleep(0.1)
    finally:
        box.kill()
        sink.kill()
    assert len(seen) > KILLS, "there was something to lose"
    missing = seen - stored(table)
    assert not missing, f"{len(missing)} of {len(seen)} events are missing"

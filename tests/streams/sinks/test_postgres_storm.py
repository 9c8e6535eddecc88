"""Events flow while the database, or what feeds it, is killed again and again: nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.plugin import SinkContext
from streams.sinks.postgres.options import PostgresOptions
from streams.sinks.postgres.sink import PostgresSink
from tests.pipeline.messages import make_event
from tests.servers.postgres import PostgresServer

PATIENCE_S = 90.0


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


def stored(server: PostgresServer) -> tuple[set[str], int]:
    """The ids that are there, and the number of rows."""
    with server.connect() as connection:
        rows = connection.execute("SELECT id::text FROM sightline_events").fetchall()
    return {row[0] for row in rows}, len(rows)


@pytest.mark.slow
def test_a_server_that_is_killed_and_restarted_again_and_again(
    server: PostgresServer, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
    sink = PostgresSink(PostgresOptions(dsn=server.dsn()), SinkContext(tmp_path))
    feeder = Feeder("postgres", journal, sink.deliver, batch=sink.batch, from_start=True)
    over, rng = threading.Event(), random.Random(11)

    def produce() -> None:
        number, begun_s = 0, time.monotonic()
        while not over.is_set():
            due = int(1000 * (time.monotonic() - begun_s))
            for start in range(number, due, 10):
                journal.append([make_event(one) for one in range(start, min(due, start + 10))])
            number = due
            over.wait(0.005)

    feeder.start()
    producer = threading.Thread(target=produce)
    producer.start()
    for number in range(9):
        time.sleep(rng.uniform(0.3, 2.5))
        server.stop() if number % 3 == 2 else server.kill()
        time.sleep(rng.uniform(0.0, 0.5))
        server.start()
    over.set()
    producer.join()
    assert feeder.stop(journal.newest, PATIENCE_S), feeder.status
    journal_ids = {str(entry.event().id) for entry in journal.read(0, 10**6)}
    ids, rows = stored(server)
    sink.close()
    journal.close()
    assert len(journal_ids) > 9000
    assert ids == journal_ids
    assert rows == len(ids)
    assert feeder.status.refused == 0


_BOX = """
import sys
from pathlib import Path
from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.plugin import SinkContext
from streams.sinks.postgres.options import PostgresOptions
from streams.sinks.postgres.sink import PostgresSink
from tests.pipeline.messages import make_event

folder, dsn, first, most = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
journal = Journal(folder / "journal.sqlite3", keep_s=1e6, keep_bytes=10**9)
sink = PostgresSink(PostgresOptions(dsn=dsn), SinkContext(folder))
feeder = Feeder("postgres", journal, sink.deliver, batch=100, from_start=True)
feeder.start()
for number in range(first, first + most):
    journal.append([make_event(number)])
    print(number + 1, flush=True)
assert feeder.stop(journal.newest, 60), feeder.status
journal.close()
sink.close()
"""


@pytest.mark.slow
def test_a_box_and_its_database_are_killed_in_turn(server: PostgresServer, tmp_path: Path) -> None:
    rng, written, lives = random.Random(5), 0, 10
    for life in range(lives):
        last = life == lives - 1
        words = [str(tmp_path), server.dsn(), str(written), "100" if last else "1000000"]
        with subprocess.Popen([sys.executable, "-c", _BOX, *words], stdout=subprocess.PIPE, text=True) as box:
            assert box.stdout is not None
            until = written + rng.randrange(50, 1500)
            if life % 2:
                server.kill()
                server.start()
            for line in box.stdout:
                written = int(line)
                if written >= until and not last:
                    os.kill(box.pid, signal.SIGKILL)
            assert box.wait() == (0 if last else -signal.SIGKILL)
    ids, rows = stored(server)
    assert {str(make_event(number).id) for number in range(written)} <= ids
    assert rows == len(ids)
    assert written > 2000

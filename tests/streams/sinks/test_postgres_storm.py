"""Events flow while the database, or what feeds it, is killed again and again: nothing is lost."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.feeder import Feeder
from pipeline.journal import Journal
from pipeline.plugin import SinkContext
from streams.sinks.postgres.options import PostgresOptions
from streams.sinks.postgres.sink import PostgresSink
from tests.pipeline.messages import make_event
from tests.servers.daemons import free_port
from tests.servers.postgres import PASSWORD, USER, PostgresServer

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
@pytest.mark.timeout(600)
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
    assert len(journal_ids) > 3000  # some 13 000 where the box keeps up
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
@pytest.mark.timeout(600)
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


@pytest.fixture
def pooled(server: PostgresServer) -> Iterator[str]:
    """The server behind PgBouncer, which gives each transaction another of three connections."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        reason = "needs PgBouncer (Debian package pgbouncer)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sightline-pgbouncer-") as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        (folder / "settings").write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port}\n[pgbouncer]\nauth_type = plain\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nauth_file = users\nunix_socket_dir =\n"
            "pool_mode = transaction\ndefault_pool_size = 3\n"
        )
        role: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            role = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            for path in (folder, *folder.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        dsn = server.dsn().replace(f":{server.port}/", f":{port}/")
        with subprocess.Popen([program, "-q", "settings"], cwd=folder, **role) as pooler:
            ends_s = time.monotonic() + 20
            while time.monotonic() < ends_s:
                with suppress(psycopg.OperationalError), psycopg.connect(dsn):
                    break
                time.sleep(0.02)
            yield dsn
            pooler.terminate()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_several_boxes_behind_a_pooler(server: PostgresServer, pooled: str, tmp_path: Path) -> None:
    def feed() -> None:
        sink = PostgresSink(PostgresOptions(dsn=pooled), SinkContext(tmp_path))
        for start in range(0, 2000, 50):
            sink.deliver([make_event(number) for number in range(start, start + 60)])
        sink.close()

    boxes = [threading.Thread(target=feed) for _ in range(5)]
    for box in boxes:
        box.start()
    for box in boxes:
        box.join()
    ids, rows = stored(server)
    assert ids == {str(make_event(number).id) for number in range(2010)}
    assert rows == len(ids)

"""A PostgreSQL server on loopback to stop, kill and start again: Debian's, as a child process."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

from tests.servers.daemons import free_port

USER, PASSWORD = "sight", "gar:den/w@ll"
QUOTED = "gar%3Aden%2Fw%40ll"
_START_S = 60.0
_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "max_connections=20",
    "shared_buffers=16MB",
    "log_min_messages=fatal",
    "wal_level=minimal",
    "max_wal_senders=0",
)


@functools.cache
def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    where = shutil.which("initdb")
    return Path(where).resolve().parent if where else None


def needed() -> Path:
    """Return the folder of the server's programs, or skip the test; in CI nothing may be missing."""
    folder = _binaries()
    if folder is None:
        reason = "needs PostgreSQL (Debian package postgresql)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    assert folder is not None
    return folder


class PostgresServer:
    """One cluster on one port, which it keeps over restarts; as a context manager it runs within the block.

    The server refuses to run as root: then it runs as the user postgres of Debian's package.

    Args:
        fsync: False spares the disk; what was committed still survives `kill -9`, but not a power failure.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._programs = needed()
        self._settings = (*_SETTINGS, f"fsync={'on' if fsync else 'off'}")
        self._as: dict[str, Any] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="sightline-postgres-"))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        secret = self._folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run(
            "initdb", "-D", "data", "-U", USER, "-A", "scram-sha-256", "--pwfile=secret", "-E", "UTF8",
            "--locale=C", "--no-sync",
        )  # fmt: skip
        self.port = free_port()
        self._child: subprocess.Popen[bytes] | None = None

    def dsn(self, database: str = "postgres", user: str = USER, password: str = QUOTED) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.dsn(database), autocommit=True, connect_timeout=5)

    def create(self, database: str, options: str = "") -> str:
        """Make a database; return its DSN."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {database} {options}".encode())
        return self.dsn(database)

    def start(self) -> None:
        """Start it, and wait until it answers; after a kill it recovers first."""
        settings = [word for setting in self._settings for word in ("-c", setting)]
        command = [
            str(self._programs / "postgres"),
            "-D",
            "data",
            "-p",
            str(self.port),
            "-k",
            str(self._folder),
        ]
        deadline = time.monotonic() + _START_S
        while True:
            if self._child is None or self._child.poll() is not None:
                # Right after a kill the old server's memory may still be held for a moment.
                with (self._folder / "log").open("ab") as log:
                    self._child = subprocess.Popen(
                        [*command, *settings], cwd=self._folder, stdout=log, stderr=log, **self._as
                    )
            try:
                self.connect().close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    log_text = (self._folder / "log").read_text()[-2000:]
                    raise AssertionError(f"PostgreSQL does not start: {error}; {log_text}") from error
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Shut it down, ending all connections."""
        if self._child is not None:
            self._child.send_signal(how)
            self._child.wait(_START_S)
            self._child = None

    def kill(self) -> None:
        """`kill -9` of all its processes."""
        assert self._child is not None
        for pid in (self._child.pid, *self.processes()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait(_START_S)
        self._child = None

    def freeze(self) -> None:
        """Stop all its processes: it neither answers nor closes anything."""
        assert self._child is not None
        for pid in (self._child.pid, *self.processes()):
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._child is not None
        for pid in (self._child.pid, *self.processes()):
            os.kill(pid, signal.SIGCONT)

    def processes(self) -> list[int]:
        """Return the ids of the server's children."""
        assert self._child is not None
        pid = self._child.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self._programs / program, *words], cwd=self._folder, capture_output=True, text=True, **self._as
        )
        assert done.returncode == 0, done.stdout + done.stderr

"""Servers of other projects on loopback, as child processes to kill (-9) and to start again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers.footprint import until

_START_SECONDS = 60.0


def free_port() -> int:
    """Return a port of loopback that nobody listens at.

    It is none of those that the kernel gives to clients: one that tries such a port again and again while its
    server is down gets it as its own one day, is connected with itself, and the server cannot come back.
    """
    for _ in range(100):
        with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20000, 32000))) as probe:
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")


def binary(name: str, package: str) -> str:
    """Return the path of a program; without it the test is skipped, or fails where CI says so."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        why = f"{name} is missing: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


class Daemon:
    """A server on a port of loopback; use it as a context manager, which does not start it yet.

    Args:
        command: of the server, which stays in the foreground.
        port: where it listens when it is ready.
        folder: its working directory.
    """

    def __init__(self, command: Sequence[str], port: int, folder: Path) -> None:
        self.command = list(command)
        self.port = port
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._output.close()

    def start(self) -> Self:
        """Start it and wait until it listens; on the same port each time."""
        process = subprocess.Popen(
            self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output
        )
        self._process = process
        until(lambda: self._listens() or process.poll() is not None, _START_SECONDS, self._said)
        assert process.poll() is None, self._said()
        return self

    def kill(self) -> None:
        """Kill it (-9), if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP makes it hang, SIGCONT go on."""
        assert self._process is not None
        self._process.send_signal(number)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _said(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")[-2000:]


def mosquitto(folder: Path, *lines: str, password: bool = False) -> Daemon:
    """Return a mosquitto with more lines of configuration.

    With `password` only user "gate" with password "right" may come in.
    """
    port = free_port()
    broker = binary("mosquitto", "mosquitto")
    settings = [f"listener {port} 127.0.0.1", "allow_anonymous " + ("false" if password else "true"), *lines]
    if os.geteuid() == 0:
        settings.append("user root")  # else it becomes a user that may not write to the folder
    if password:
        (folder / "users").touch(mode=0o600)
        tool = binary("mosquitto_passwd", "mosquitto")
        subprocess.run([tool, "-b", str(folder / "users"), "gate", "right"], check=True, capture_output=True)
        settings.append(f"password_file {folder / 'users'}")
    (folder / "mosquitto.conf").write_text("\n".join([*settings, ""]))
    return Daemon([broker, "-c", str(folder / "mosquitto.conf")], port, folder)


def redis(folder: Path, *options: str) -> Daemon:
    """Return a Redis server that writes each command to a file before it answers, with more options.

    Not `appendfsync everysec`, its default: while the disk is busy with that, it answers first and writes up
    to two seconds later, so that a kill loses what it had answered for.
    """
    port = free_port()
    server = binary("redis-server", "redis-server")
    fixed = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
    fixed += ["--appendfsync", "no"]
    return Daemon([server, *fixed, *options], port, folder)


def rtmp(folder: Path, *, record: bool = False) -> Daemon:
    """Return an RTMP server (nginx) whose application `live` takes streams and shows them.

    With `record` it also writes them to folder/NAME.flv.
    """
    recording = f"record all; record_path {folder};" if record else ""
    port = free_port()
    server = binary("nginx", "nginx libnginx-mod-rtmp")
    module = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
    if not module.exists():
        binary("ngx_rtmp_module.so", "libnginx-mod-rtmp")
    (folder / "nginx.conf").write_text(
        f"""
        load_module {module};
        user root;
        daemon off;
        master_process off;
        pid {folder}/nginx.pid;
        error_log {folder}/error.log info;
        events {{ worker_connections 64; }}
        rtmp {{
            server {{
                listen 127.0.0.1:{port};
                application live {{ live on; {recording} }}
            }}
        }}
        """
    )
    return Daemon([server, "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder)


def receiver(folder: Path, *, seconds_per_request: float = 0.0) -> Daemon:
    """Return an HTTP server that writes the bodies that it gets into folder/got.jsonl, then answers 204."""
    port = free_port()
    script = Path(__file__).with_name("receiver.py")
    command = [sys.executable, "-S", "-I", str(script), str(port), str(folder / "got.jsonl")]
    return Daemon([*command, str(seconds_per_request)], port, folder)

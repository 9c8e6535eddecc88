"""A receiver of SRT: the system's ffmpeg, as PyAV's FFmpeg has no SRT."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.daemons import binary
from tests.servers.footprint import until


@contextmanager
def receiver(port: int, to: str, passphrase: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run one that takes a call, and sends what comes to a file or to a port of UDP."""
    secret = f"&passphrase={passphrase}" if passphrase else ""
    words = f"""-v error -y -probesize 32768 -analyzeduration 1 -f mpegts
        -i srt://127.0.0.1:{port}?mode=listener{secret}
        -map 0 -c copy -copyts -flush_packets 1 -f mpegts {to}"""
    command = [binary("ffmpeg", "ffmpeg"), *words.split()]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: f"{port:04X} " in Path("/proc/net/udp").read_text(), 10, "it does not listen")
            yield process
        finally:
            process.kill()

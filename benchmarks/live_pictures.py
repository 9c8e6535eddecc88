"""The sink `live`: how old the pictures in a browser are, and what watching costs the box.

    python -m benchmarks.live_pictures [--seconds 8] [--only NAME ...]

An RTSP server on loopback (a process of its own) shows 1280 x 720 pictures at 25 per second that carry their
own time. `sightline run` reads them, with the sink `live` and without any stage. Chromium shows the page; a
script on it reads the time out of what is on the screen. Age is what the clock says then: it holds encoder,
network, sightline, HTTP or WebRTC, and the browser's decoder and buffers. The CPU is that of the sightline
process alone, in parts of one core; the row `none` is without the sink, `nobody` with it.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.servers.rtsp import RtspServer, barcode
from tests.streams.sinks.live.browser import Watcher, chromium

PLAYERS = ("original-hls", "annotated-hls", "annotated-mjpeg", "original-webrtc", "annotated-webrtc")
MANY = 8
_PATIENCE_S = 30.0
_SETTLE_S = 3.0
_CONFIG = """
streams:
  gate: {{source: "{source}"}}
sinks: [{sinks}]
"""


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(folder: Path, source: str, port: int | None) -> Iterator[int]:
    """Run sightline on the camera; yields its process id once it has pictures."""
    sinks = "" if port is None else f"live: {{port: {port}, idle_s: 1}}"
    path = folder / "bench.yaml"
    path.write_text(_CONFIG.format(source=source, sinks=sinks))
    sightline = Path(sys.executable).with_name("sightline")
    command = [str(sightline), "run", str(path), "--out", str(folder / "out")]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if port is None:
            time.sleep(5)
        else:
            wait_for(f"http://127.0.0.1:{port}/gate/annotated/picture.jpg")
        yield child.pid
    finally:
        child.terminate()
        child.wait(_PATIENCE_S)


def wait_for(address: str) -> None:
    """Wait until something is served there."""
    end_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end_s:
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing is served at {address}")


def used(pid: int, seconds: float) -> float:
    """Return the part of a core that a process uses, percent."""
    begin_s, begin_cpu = time.monotonic(), cpu_s(pid)
    time.sleep(seconds)
    return 100 * (cpu_s(pid) - begin_cpu) / (time.monotonic() - begin_s)


def watch(browser: Any, pid: int, url: str, player: str, seconds: float) -> str:
    """Return a row: ages while a browser plays, and the CPU meanwhile."""
    time.sleep(_SETTLE_S)  # what was made for the one before is made no more
    watcher = Watcher(browser, url)
    begin_s = time.monotonic()
    watcher.choose(player)
    watcher.ages_ms(1)
    first_s = time.monotonic() - begin_s
    watcher.page.wait_for_timeout(1000 * _SETTLE_S)
    begin_s, begin_cpu = time.monotonic(), cpu_s(pid)
    ages: list[float] = []
    while time.monotonic() - begin_s < seconds:
        ages += watcher.ages_ms(5)
    part = 100 * (cpu_s(pid) - begin_cpu) / (time.monotonic() - begin_s)
    watcher.choose(player)
    watcher.close()
    ages.sort()
    p95 = ages[int(0.95 * len(ages))]
    return f"{statistics.median(ages):7.0f} {p95:7.0f} {first_s:7.2f} {part:8.1f}"


def many(pid: int, port: int, path: str, viewers: int, seconds: float) -> float:
    """Return the CPU while so many watch MJPEG."""
    stopping = threading.Event()

    def read() -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            while not stopping.is_set():
                connection.recv(1 << 16)

    threads = [threading.Thread(target=read, daemon=True) for _ in range(viewers)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    part = used(pid, seconds)
    stopping.set()
    for thread in threads:
        thread.join()
    return part


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="of each row")
    parser.add_argument("--only", nargs="*", default=list(PLAYERS), choices=PLAYERS, help="players")
    asked = parser.parse_args()
    print("                      p50 ms  p95 ms first s    CPU %")
    with (
        tempfile.TemporaryDirectory() as name,
        RtspServer({"/cam": barcode(1280, 720, 25, key_every=25)}) as camera,
    ):
        folder, port = Path(name), free_port()
        with running(folder, camera.url("/cam"), None) as pid:
            print(f"{'none':20} {'':23} {used(pid, asked.seconds):8.1f}", flush=True)
        with running(folder, camera.url("/cam"), port) as pid, chromium() as browser:
            time.sleep(_SETTLE_S)
            print(f"{'nobody':20} {'':23} {used(pid, asked.seconds):8.1f}", flush=True)
            for player in asked.only:
                row = watch(browser, pid, f"http://127.0.0.1:{port}/", player, asked.seconds)
                print(f"{player:20} {row}", flush=True)
            for viewers in (1, MANY):
                part = many(pid, port, "/gate/annotated/video.mjpeg", viewers, asked.seconds)
                print(f"{f'MJPEG, {viewers} readers':20} {'':23} {part:8.1f}", flush=True)
            time.sleep(_SETTLE_S)
            print(f"{'nobody any more':20} {'':23} {used(pid, asked.seconds):8.1f}", flush=True)


if __name__ == "__main__":
    main()

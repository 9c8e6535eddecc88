"""What pushing a stream on costs: the age of a picture at a player, and processor time.

    python -m benchmarks.restream [--seconds 15]

An RTSP camera on loopback (`tests.servers.rtsp`) shows 1280 x 720 pictures at 30 per second with its clock
in black and white blocks. `sightline run`, a process of its own, pushes it to nginx-rtmp, or as MPEG-TS over
UDP or SRT; a player (PyAV) reads the clock there (of SRT, behind an ffmpeg that hands it on by UDP). The age
holds everything: camera's encoder, network, sightline, server, and the player's decoder. `camera` is the same
player at the camera itself: FFmpeg's parser holds a picture there until the next one begins, which it also
does with MPEG-TS, but not with RTMP. CPU is that of the sightline process, in percent of a core, and of an
ffmpeg that it started; `none` pushes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.servers.daemons import free_port, rtmp
from tests.servers.rtsp import RtspServer, barcode
from tests.servers.srt import receiver
from tests.streams.sinks.restream.scene import Player

WARM_UP_S = 4.0
_START = "from pipeline.cli.entry import main; main()"


def main() -> None:
    """Measure each way and print a table."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--seconds", type=float, default=15.0, help="of each row, after the warm-up")
    seconds = words.parse_args().seconds
    with tempfile.TemporaryDirectory() as name, RtspServer({"/cam": barcode(1280, 720, 30)}) as camera:
        folder = Path(name)
        udp, srt = free_port(), free_port()
        with rtmp(folder) as server, receiver(srt, f"udp://127.0.0.1:{udp}?pkt_size=1316"):
            server.start()
            live = f"rtmp://127.0.0.1:{server.port}/live"
            rows: list[tuple[str, dict[str, Any] | None, str | None]] = [
                ("camera", None, camera.url("/cam")),
                ("none", None, None),
                ("original, RTMP", {"url": f"{live}/a"}, f"{live}/a"),
                (
                    "original, UDP",
                    {"url": f"udp://127.0.0.1:{udp}"},
                    f"udp://127.0.0.1:{udp}?timeout=3000000",
                ),
                (
                    "original, SRT",
                    {"url": f"srt://127.0.0.1:{srt}?latency=120000"},
                    f"udp://127.0.0.1:{udp}?timeout=3000000",
                ),
                (
                    "annotated, RTMP",
                    {"url": f"{live}/b", "video": "annotated", "bitrate_kbps": 2000},
                    f"{live}/b",
                ),
                (
                    "annotated, 640 x 360, 10/s, RTMP",
                    {
                        "url": f"{live}/c",
                        "video": "annotated",
                        "bitrate_kbps": 500,
                        "size": [640, 360],
                        "rate_hz": 10,
                    },
                    f"{live}/c",
                ),
            ]
            print(f"{'':34s} {'p5':>6s} {'p50':>6s} {'p95':>6s} {'max':>6s} ms   pictures   CPU %   MiB")
            for label, sink, watched in rows:
                _row(label, folder, camera.url("/cam"), sink, watched, seconds)


def _row(
    label: str, folder: Path, source: str, sink: dict[str, Any] | None, watched: str | None, seconds: float
) -> None:
    process = None if label == "camera" else _sightline(folder, source, sink)
    player = (
        Player(watched, "mpegts" if watched.startswith("udp") else None, patience_s=10) if watched else None
    )
    try:
        time.sleep(WARM_UP_S)
        first = len(player.seen) if player else 0
        used_s, begun_s = _cpu_s(process), time.monotonic()
        time.sleep(seconds)
        share = 100 * (_cpu_s(process) - used_s) / (time.monotonic() - begun_s)
        seen = player.seen[first:] if player else []
        ages = [(one.time_ns - one.stamp.time_ns) / 1e6 for one in seen if one.stamp]
        four = [*np.percentile(ages, [5, 50, 95]), max(ages)] if ages else []
        memory = _resident_mib(process) if process else 0.0
        columns = " ".join(f"{value:6.0f}" for value in four) if four else " " * 27
        print(f"{label:34s} {columns}      {len(ages):8d}  {share:6.1f}  {memory:4.0f}", flush=True)
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        if player is not None:
            player.stop()


def _sightline(folder: Path, source: str, sink: dict[str, Any] | None) -> subprocess.Popen[bytes]:
    config = {
        "out": str(folder / "out"),
        "streams": {"gate": {"source": {"url": source}}},
        "stages": [{"motion": {}}, {"draw": {}}],
        "sinks": ["events", *([{"push": sink}] if sink else [])],
    }
    (folder / "run.json").write_text(json.dumps(config))
    words = [sys.executable, "-c", _START, "run", str(folder / "run.json")]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _cpu_s(process: subprocess.Popen[bytes] | None) -> float:
    if process is None:
        return 0.0
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    every = [str(process.pid), *(child for task in tasks for child in task.read_text().split())]
    ticks = 0
    for pid in every:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _resident_mib(process: subprocess.Popen[bytes]) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()

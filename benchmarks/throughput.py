"""Frames per second of the whole pipeline as stages are added one by one, so that each one's share shows.

    python -m benchmarks.throughput [VIDEO] [--rounds 5]

Every row is the real engine with its three threads, run over the whole video; rows take turns within each
round, so that a slow minute of a shared machine hits all of them. `bare decode` is PyAV in a loop without the
engine: the limit. CPU ms is process time over all threads, the steadier figure on a shared machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import zmq

from pipeline.config.load import load_config
from pipeline.engine import Engine

_CLIP = Path(__file__).parents[2] / "shared/data/video/traffic_a.mp4"
_STREET = "synthetic://street?seed=1"
_STAGES = {
    "motion": "  - motion",
    "track": "  - track",
    "count": "  - count: {lines: {gate: {start: [0.1, 0.6], end: [0.9, 0.6]}}}",
    "draw": "  - draw",
}


@dataclass
class Row:
    """One growing pipeline and what was measured of it, a value per round."""

    name: str
    run: Callable[[], int]
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Run once and keep frames per second and CPU milliseconds per frame."""
        wall, cpu = time.perf_counter(), time.process_time()
        frames = self.run()
        self.rates.append(frames / (time.perf_counter() - wall))
        self.cpu_ms.append((time.process_time() - cpu) * 1e3 / frames)


def bare_decode(video: str) -> int:
    """Decode a video with PyAV and nothing else; return its number of frames."""
    with av.open(video) as container:
        container.streams.video[0].thread_type = "FRAME"
        return sum(1 for _ in container.decode(video=0))


def engine_run(video: str, stages: list[str], *, sinks: str = "[]", bus: str = "") -> int:
    """Run the engine over a video; return the number of finished frames."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        body = "\n".join(_STAGES[name] for name in stages)
        path.write_text(
            f"out: {folder}/out\nstreams: {{bench: {{source: '{video}'}}}}\nsinks: {sinks}\n"
            + (f"stages:\n{body}\n" if stages else "stages: []\n")
            + bus
        )
        with Engine(load_config(path)) as engine:
            report = engine.run()
    stream = report["streams"]["bench"]
    if stream["error"]:
        sys.exit(f"{video}: {stream['error']}")
    return int(stream["frames"]["finished"])


@contextmanager
def subscriber(*endpoints: str) -> Iterator[None]:
    """Receive and discard everything that is published, in a thread of this process."""
    stop = threading.Event()
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.setsockopt(zmq.LINGER, 0)
    for endpoint in endpoints:
        socket.connect(endpoint)

    def drain() -> None:
        while not stop.is_set():
            if socket.poll(50):
                socket.recv_multipart()

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        socket.close()


def published(video: str) -> int:
    """Run all stages with somebody subscribed to events and annotated frames."""
    with tempfile.TemporaryDirectory() as folder:
        events, frames = f"ipc://{folder}/events", f"ipc://{folder}/frames"
        with subscriber(events, frames):
            return engine_run(video, list(_STAGES), bus=f"bus: {{events: '{events}', frames: '{frames}'}}\n")


def rows_for(video: str) -> list[Row]:
    """Return the pipelines to compare, each with one part more than the one before."""
    rows = [] if "://" in video else [Row("bare decode", lambda: bare_decode(video))]
    rows.append(Row("engine: source only", lambda: engine_run(video, [])))
    names: list[str] = []
    for name in _STAGES:
        names = [*names, name]
        rows.append(Row(f"+ {name}", lambda chosen=tuple(names): engine_run(video, list(chosen))))  # type: ignore[misc]
    everything = list(_STAGES)
    rows.append(Row("+ publish", lambda: published(video)))
    rows.append(
        Row("+ all sinks, no bus", lambda: engine_run(video, everything, sinks="[events, counts, video]"))
    )
    return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", nargs="?", default=str(_CLIP) if _CLIP.exists() else _STREET)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # as `sightline run` does
    rows = rows_for(arguments.video)
    for number in range(arguments.rounds + 1):
        for row in rows:
            print(f"\rround {number}/{arguments.rounds}: {row.name:<24}", end="", file=sys.stderr, flush=True)
            row.measure()
        if number == 0:  # warm-up: caches, imports, memory
            for row in rows:
                row.rates.clear()
                row.cpu_ms.clear()
    print(file=sys.stderr)
    print(f"{arguments.video}, {arguments.rounds} rounds\n")
    print(
        "| pipeline | frames/s (median, min-max) | CPU ms a frame | of the first row |\n|---|---:|---:|---:|"
    )
    first = statistics.median(rows[0].rates)
    for row in rows:
        rate = statistics.median(row.rates)
        print(
            f"| {row.name} | {rate:.0f} ({min(row.rates):.0f}-{max(row.rates):.0f}) "
            f"| {statistics.median(row.cpu_ms):.2f} | {rate / first:.2f} |"
        )


if __name__ == "__main__":
    main()

"""How old a picture is when its event is out: a live RTSP camera whose pictures carry their own time.

    python -m benchmarks.live_latency [--minutes 0.5] [--only NAME ...] [--network yolo11n.onnx]

An RTSP server on loopback (`tests.servers.rtsp`, a process of its own) shows 1280 x 720 pictures at 30 per
second, encoded by x264 without delay, with its clock in black and white blocks. The real engine reads them;
a stage reads the blocks and makes an event; latency is what the clock says when a sink gets that event. It
holds everything: encoder, network, decoder, the engine's three threads.

Rows: `plain` without inference; `network` with YOLO11n (random weights, so nothing is found) on 640 x 384 in
ONNX Runtime with 1 and with 2 threads, and in OpenVINO (if it is installed) with 2 threads in full precision
and in bfloat16; `half speed` with a consumer that takes 67 ms a picture. `first` opens the camera again and
again, at any moment between two key frames. The load of the machine belongs to the result: it is shown.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.networks import HEIGHT, WIDTH, yolo11n
from pipeline.cli.session import set_up_process
from pipeline.config.schema import PluginConfig, StreamConfig
from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.ledger import LedgerEntry
from pipeline.plugin import Options, Sink, SinkContext, Stage
from pipeline.secret import SecretUrl
from pipeline.stream import Stream
from streams.sources.network.source import NetworkSource
from tests.servers.barcode import read_barcode
from tests.servers.footprint import resident_mib
from tests.servers.rtsp import RtspServer, barcode

RATE_HZ, KEY_EVERY = 30, 30
WARM_UP_S = 3.0
OPENINGS = 12
_HEAD = "                p50     p99     max   first    last    /s   captured  dropped  CPU ms  + MiB   load"


class WorkOptions(Options):
    """What is done with each picture before its event: a network, or nothing for a while."""

    network: Path | None = None
    threads: int = 1
    precision: str = ""
    seconds: float = 0.0


class StampStage(Stage):
    """Works as told, then makes an event of what the picture's blocks say."""

    Options = WorkOptions

    def __init__(self, options: Any, context: Any) -> None:
        super().__init__(options, context)
        self._infer = None if options.network is None else inference(options)

    def process(self, frame: Frame) -> None:
        """Handle one frame."""
        if self._infer is not None:
            picture = frame.picture.fit(WIDTH, HEIGHT)
            self._infer(cv2.dnn.blobFromImage(picture, 1 / 255, swapRB=True))
        if self.options.seconds:
            time.sleep(self.options.seconds)
        stamp = read_barcode(frame.picture.luma())
        if stamp is not None:
            data = {"time_ns": stamp.time_ns, "number": stamp.number}
            frame.events.append(
                frame.event("latency.stamp", str(frame.sequence), Producer("latency"), data=data)
            )


class AgeSink(Sink):
    """Keeps the age of each event, and which picture it is of."""

    def __init__(self) -> None:
        super().__init__(None, SinkContext(Path()))
        self.ages_ms = array("d")
        self.numbers = array("l")
        self.came = threading.Event()
        self.counting = False

    def on_event(self, event: Event) -> None:
        """Take an event."""
        now_ns = time.time_ns()
        if event.kind == "latency.stamp":
            if self.counting or not self.came.is_set():
                self.ages_ms.append((now_ns - event.data["time_ns"]) / 1e6)
                self.numbers.append(event.data["number"])
            self.came.set()


def inference(work: WorkOptions) -> Callable[[Any], object]:
    """Return what runs the network on a tensor: ONNX Runtime, or OpenVINO where a precision is named."""
    if work.precision:
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": work.threads,
            "INFERENCE_PRECISION_HINT": work.precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = openvino.Core().compile_model(str(work.network), "CPU", settings)
        return lambda tensor: compiled([tensor])
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = work.threads
    settings.inter_op_num_threads = 1
    # Threads that wait do not spin.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(work.network), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda tensor: session.run(None, {name: tensor})


def alone_ms(work: WorkOptions) -> float:
    """Return how long the network takes by itself on this machine as it is now, median."""
    infer = inference(work)
    tensor = np.zeros((1, 3, HEIGHT, WIDTH), np.float32)
    took_s = []
    for _ in range(40):
        start_s = time.perf_counter()
        infer(tensor)
        took_s.append(time.perf_counter() - start_s)
    return 1e3 * statistics.median(took_s)


def started(url: str, work: WorkOptions) -> tuple[Stream, AgeSink]:
    """Start a stream of the engine over the camera."""
    source = PluginConfig("source", "rtsp", NetworkSource, NetworkSource.Options())
    stage = PluginConfig("stage", "stamp", StampStage, work)
    sink = AgeSink()
    config = StreamConfig("bench", SecretUrl(url), source, None, (stage,), "")
    stream = Stream(config, [("age", sink)], None, lambda: None)
    stream.start()
    return stream, sink


def latency_row(url: str, work: WorkOptions, seconds: float) -> str:
    """Measure one row of the table."""
    stream, sink = started(url, work)
    if not sink.came.wait(20):
        raise SystemExit(f"no picture came: {stream.source}")
    time.sleep(WARM_UP_S)
    before = stream.ledger.entry()
    cpu_s, start_s = time.process_time(), time.monotonic()
    before_mib = resident_mib()
    sink.counting = True
    skip = len(sink.ages_ms)
    time.sleep(seconds)
    sink.counting = False
    entry, took_s, cpu_s = stream.ledger.entry(), time.monotonic() - start_s, time.process_time() - cpu_s
    stream.stop()
    stream.join(10)
    ages_ms = np.array(sink.ages_ms[skip:])
    part = max(1, len(ages_ms) // 5)
    captured = entry.captured - before.captured
    dropped = lost(entry) - lost(before)
    p50, p99 = np.percentile(ages_ms, [50, 99])
    first, last = np.median(ages_ms[:part]), np.median(ages_ms[-part:])
    return (
        f"{p50:7.1f} {p99:7.1f} {ages_ms.max():7.1f}   {first:6.1f} {last:6.1f}   "
        f"{len(ages_ms) / took_s:5.1f} "
        f"{captured:8d} {dropped:8d}   {1e3 * cpu_s / max(1, captured):5.1f}  "
        f"{resident_mib() - before_mib:5.1f}   {os.getloadavg()[0]:4.1f}"
    )


def lost(entry: LedgerEntry) -> int:
    """Return how many frames were dropped, whatever for."""
    return sum(sum(causes.values()) for causes in entry.dropped.values())


def first_picture(url: str) -> str:
    """Open the camera at moments spread over a second; say how long its first picture takes."""
    starts_s, ages_ms, keys = [], [], 0
    for number in range(OPENINGS):
        time.sleep(number / OPENINGS)
        start_s = time.monotonic()
        stream, sink = started(url, WorkOptions())
        if not sink.came.wait(20):
            raise SystemExit(f"no picture came: {stream.source}")
        starts_s.append(time.monotonic() - start_s)
        ages_ms.append(sink.ages_ms[0])
        keys += sink.numbers[0] % KEY_EVERY == 0
        stream.stop()
        stream.join(10)
    start_ms = [1e3 * seconds for seconds in starts_s]
    return (
        f"first event, {OPENINGS} openings ({keys} began with a key frame; one comes every "
        f"{1e3 * KEY_EVERY / RATE_HZ:.0f} ms)\n"
        f"  after its key frame was made: {statistics.median(ages_ms):.0f} ms p50, {max(ages_ms):.0f} most\n"
        f"  after the start:              {statistics.median(start_ms):.0f} ms p50, {max(start_ms):.0f} most"
    )


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=0.5, help="length of each row")
    parser.add_argument(
        "--only",
        nargs="*",
        help="rows to run: plain, network 1, network 2, openvino f32, openvino bf16, half speed, first",
    )
    parser.add_argument(
        "--network", type=Path, help="an ONNX file of YOLO11n at 640 x 384; exported if left out"
    )
    asked = parser.parse_args()
    set_up_process()
    wanted: Callable[[str], bool] = lambda name: not asked.only or name in asked.only  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        rows = {"plain": WorkOptions(), "half speed": WorkOptions(seconds=2 / RATE_HZ)}
        networks = {"network 1": (1, ""), "network 2": (2, "")}
        if importlib.util.find_spec("openvino"):
            networks |= {"openvino f32": (2, "f32"), "openvino bf16": (2, "bf16")}
        for name, (threads, precision) in networks.items():
            if wanted(name):
                asked.network = asked.network or yolo11n(Path(folder))
                rows[name] = WorkOptions(network=asked.network, threads=threads, precision=precision)
                print(f"the network by itself, {name}: {alone_ms(rows[name]):.1f} ms")
        camera = RtspServer({"/cam": barcode(1280, 720, RATE_HZ, key_every=KEY_EVERY)})
        with camera:
            print("latency in ms: source to event, 1280 x 720 at 30/s")
            print(_HEAD)
            for name, work in rows.items():
                if wanted(name):
                    print(
                        f"{name:12s} {latency_row(camera.url('/cam'), work, 60 * asked.minutes)}", flush=True
                    )
            if wanted("first"):
                keeps_running, _ = started(camera.url("/cam"), WorkOptions())
                print(first_picture(camera.url("/cam")), flush=True)
                keeps_running.stop()
                keeps_running.join(10)


if __name__ == "__main__":
    main()

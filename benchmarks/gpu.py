"""Frames per second of detection, tracking and counting on an NVIDIA GPU, by batch and by streams.

    python -m benchmarks.gpu [--only network streams boxes memory] [--streams 1 4 8 16] [--video FILE]

needs a GPU, the extra `yolo`, for the rows `cuda` the extra `gpu`, for the peer `pip install lap`.

The network is YOLO11n at 640 x 384 with random weights: its speed is real. `bare` is the same module alone,
its input already on the GPU and its output left there, launched kernel by kernel or (where nothing is said)
replayed as a CUDA graph: the engine's share is of that at the largest batch. In the streams' rows a 1080p
file is decoded for each stream, detected, tracked (with the boxes that YOLOX nano finds there, as in
`benchmarks.detection`) and counted, all streams of a process over one network; counted is from when all run
until the first ends.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import _CLIP, Work, make_clip, write_boxes
from benchmarks.gpu_streams import WAYS, run_streams, steady
from benchmarks.networks import HEIGHT, WIDTH, yolo11n
from pipeline.cli.session import set_up_process
from pipeline.errors import ModelError
from pipeline.frame import Frame
from pipeline.plugin import StageContext
from pipeline.registry import load_plugin
from stages.detect.runtime.base import Runtime
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.opening import Network, open_plan
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.plans import Plan

_BATCHES = (1, 2, 4, 8, 16, 32)
_TRIAL_S = 0.5
_WEIGHTS = "yolo11n-random.pt"
_YOLOX = _CLIP.parents[1] / "weights/yolox_nano.onnx"


def main() -> None:
    """Measure what was asked for and print tables in markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(_SECTIONS), default=list(_SECTIONS))
    parser.add_argument(
        "--streams",
        nargs="+",
        default=["1", "4", "8", "16", "4x4", "4x8"],
        metavar="N",
        help="streams in one process, or processes x streams in each: 4x8",
    )
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), metavar="WAY")
    parser.add_argument("--hwaccel", nargs="+", choices=["none", "cuda"], default=["none", "cuda"])
    parser.add_argument("--peers", nargs="*", choices=["ultralytics"], default=["ultralytics"])
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--video", type=Path, help="a 1080p file; made of traffic_a.mp4 when left out")
    asked = parser.parse_args()
    set_up_process()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        video = asked.video or home / "clip.mp4"
        if not video.exists():
            make_clip(_CLIP, video)
        weights = _random_weights(home)
        network = yolo11n(home, dynamic=True)
        work = Work(video, network, home / "boxes.npz")
        write_boxes(video, work.boxes)
        for name in asked.only:
            _SECTIONS[name](asked, work, weights)


def network(asked: argparse.Namespace, work: Work, weights: Path) -> None:  # noqa: ARG001
    """Frames per second of the network by itself, with bytes or floats from the CPU, by batch."""
    opened: dict[str, Callable[[int], Callable[[], Any]]] = {
        "bare f16, launched": lambda batch: _bare(weights, batch, half=True, recorded=False),
        "bare f16": lambda batch: _bare(weights, batch, half=True),
        "bare f32": lambda batch: _bare(weights, batch, half=False),
        "torch f16": lambda batch: _called(_torch(weights, "f16", batch), batch, np.uint8),
        "torch bf16": lambda batch: _called(_torch(weights, "bf16", batch), batch, np.uint8),
        "torch full": lambda batch: _called(_torch(weights, "full", batch), batch, np.uint8),
        "cuda full": lambda batch: _called(_cuda(work.network, batch), batch, np.float32),
    }
    print(f"\n### Network alone, frames/s (CPU ms a call)\n\n| batch | {' | '.join(opened)} |")
    print(f"|---:|{'---:|' * len(opened)}")
    for batch in _BATCHES:
        cells = [_tried(make, batch) for make in opened.values()]
        print(f"| {batch} | {' | '.join(cells)} |", flush=True)


def streams(asked: argparse.Namespace, work: Work, weights: Path) -> None:
    """Frames per second of whole pipelines."""
    # The largest batch's, as what a user of the bare network could reach at best.
    best = {
        half: _frames_s(_bare(weights, _BATCHES[-1], half=half), _BATCHES[-1])
        for half in (True, False)
        if any(WAYS[name] for name in asked.ways)
    }
    print("\n### Streams of 1080p\n")
    print("| decoded by | network | processes x streams | frames/s | CPU ms a frame | of bare, % |")
    print("|---|---|---:|---:|---:|---:|")
    for hwaccel in asked.hwaccel:
        for name in asked.ways:
            for amount in asked.streams:
                processes, count = map(int, amount.split("x")) if "x" in amount else (1, int(amount))
                rate, cpu_ms = steady(
                    run_streams(work, weights, name, processes, count, hwaccel, asked.max_batch)
                )
                share = "" if WAYS[name] is None else f"{100 * rate / best['f16' in name]:.0f}"
                where = "CPU" if hwaccel == "none" else "GPU"
                cells = [where, name, f"{processes} x {count}", f"{rate:.0f}", f"{cpu_ms:.2f}", share]
                print(f"| {' | '.join(cells)} |", flush=True)
    if "ultralytics" in asked.peers:
        rate, cpu_ms = _ultralytics(work, weights)
        print(
            f"| CPU | ultralytics `track`, its defaults | 1 x 1 | {rate:.0f} | {cpu_ms:.2f} | |", flush=True
        )


def boxes(asked: argparse.Namespace, work: Work, weights: Path) -> None:  # noqa: ARG001
    """How far boxes on the GPU are from those on the CPU."""
    print("\n### The same boxes? YOLOX nano in each tenth picture, against ONNX Runtime on the CPU\n")
    print("| runtime | boxes | missing or new | largest distance, px | largest difference of scores |")
    print("|---|---:|---:|---:|---:|")
    pictures = _pictures(work.video, 10)
    wanted = _found("onnx", {"model": str(_YOLOX), "runtime": "onnxruntime"}, pictures)
    for name, options in {"cuda": {"runtime": "cuda"}, "auto": {}}.items():
        found = _found("onnx", {"model": str(_YOLOX), **options}, pictures)
        print(f"| {name} | {_difference(found, wanted)} |", flush=True)


def memory(asked: argparse.Namespace, work: Work, weights: Path) -> None:  # noqa: ARG001
    """What happens when the GPU's memory does not suffice, and what the network needs of it."""
    import torch

    print("\n### Memory\n", flush=True)
    for precision in ("f16", "full"):
        before = torch.cuda.mem_get_info()[0]
        runtime = _torch(weights, precision, asked.max_batch)
        taken_mib = (before - torch.cuda.mem_get_info()[0]) / 2**20
        print(f"torch {precision}, batches up to {runtime.max_batch}: {taken_mib:.0f} MiB", flush=True)
        runtime.close()
        torch.cuda.empty_cache()
    for left_mib in (2000, 700, 300, 100):
        torch.cuda.empty_cache()
        filler = torch.empty(
            max(torch.cuda.mem_get_info()[0] - left_mib * 2**20, 1), dtype=torch.uint8, device="cuda:0"
        )
        try:
            most = f"batches up to {_torch(weights, 'full', 64).max_batch}"
        except ModelError as error:
            most = str(error)
        print(f"{left_mib} MiB left, batches up to 64 wanted: {most}", flush=True)
        del filler


_SECTIONS: dict[str, Callable[[argparse.Namespace, Work, Path], None]] = {
    "network": network,
    "streams": streams,
    "boxes": boxes,
    "memory": memory,
}


def _random_weights(folder: Path) -> Path:
    import torch

    from stages.detect.yolo.weights import import_ultralytics

    torch.manual_seed(0)
    path = folder / _WEIGHTS
    import_ultralytics().YOLO("yolo11n.yaml").save(str(path))
    return path


def _bare(weights: Path, batch: int, *, half: bool, recorded: bool = True) -> Callable[[], Any]:
    import torch

    from stages.detect.recorded import Recorded
    from stages.detect.yolo.weights import Weights, tensors

    device = torch.device("cuda:0")
    module = Weights(weights, device, half=half).view()
    dtype = torch.float16 if half else torch.float32
    pictures = torch.rand(batch, 3, HEIGHT, WIDTH, device=device, dtype=dtype)
    torch.backends.cudnn.allow_tf32 = False

    def call() -> Any:
        with torch.inference_mode():
            return tensors(module(pictures))

    if not recorded:
        return call
    with torch.inference_mode():
        graph = Recorded(call, device)

    def replay() -> None:
        graph.replay()
        torch.cuda.synchronize()

    return replay


def _torch(weights: Path, precision: str, batch: int) -> Runtime:
    import torch

    from stages.detect.yolo.torch_runtime import TorchRuntime, precision_of
    from stages.detect.yolo.weights import Weights

    device = torch.device("cuda:0")
    wanted = precision_of(precision, device)
    network = Weights(weights, device, half=wanted == "f16")
    runtime = TorchRuntime(network, device, precision=wanted, max_batch=batch, callers=1, threads=1)
    runtime.warm_up((1, 3, HEIGHT, WIDTH))
    return runtime


def _cuda(path: Path, batch: int) -> Runtime:
    graph = read_graph(path)
    shape = (1, 3, HEIGHT, WIDTH)
    opened = Network(path, "bench", graph, (shape,))
    options = RuntimeOptions(runtime="cuda", device="cuda:0", max_batch=batch)
    return open_plan(opened, Plan("cuda", "cuda:0", "f32", full=True), options)


def _called(runtime: Runtime, batch: int, dtype: Any) -> Callable[[], Any]:
    if runtime.max_batch < batch:
        raise ValueError(f"at most {runtime.max_batch}")
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (batch, 3, HEIGHT, WIDTH)).astype(dtype)
    if dtype == np.float32:
        pictures /= 255
    return lambda: runtime.run([pictures])


def _tried(make: Callable[[int], Callable[[], Any]], batch: int) -> str:
    try:
        return _rate(make(batch), batch)
    except Exception as error:  # one way that fails leaves the others
        return f"{type(error).__name__}: {str(error).splitlines()[0][:90]}"


def _rate(call: Callable[[], Any], batch: int) -> str:
    frames_s = _frames_s(call, batch)
    begun_s = time.thread_time()
    for _ in range(20):
        call()
    return f"{frames_s:.0f} ({(time.thread_time() - begun_s) / 20 * 1e3:.1f})"


def _frames_s(call: Callable[[], Any], batch: int) -> float:
    import torch

    for _ in range(5):
        call()
    torch.cuda.synchronize()
    begun_s, calls = time.perf_counter(), 0
    while time.perf_counter() - begun_s < _TRIAL_S:
        call()
        calls += 1
    torch.cuda.synchronize()
    return calls * batch / (time.perf_counter() - begun_s)


def _ultralytics(work: Work, weights: Path) -> tuple[float, float]:
    """Return what a user of ultralytics gets from the same file, in a process of its own."""
    program = (
        "import sys, time, os\n"
        "os.environ['YOLO_AUTOINSTALL'] = 'false'\n"
        "from ultralytics import YOLO\n"
        "results = YOLO(sys.argv[2]).track(sys.argv[1], stream=True, tracker='bytetrack.yaml',\n"
        "                                  verbose=False, device=0, imgsz=640)\n"
        "times = [(time.perf_counter(), time.process_time()) for _ in results][30:]\n"
        "wall, cpu = (times[-1][k] - times[0][k] for k in (0, 1))\n"
        "print((len(times) - 1) / wall, 1e3 * cpu / (len(times) - 1))\n"
    )
    rates = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program, str(work.video), str(weights)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"YOLO_CONFIG_DIR": str(weights.parent)},
        )
        if done.returncode:
            raise SystemExit(f"ultralytics: {done.stderr.strip().splitlines()[-1]}")
        rates.append([float(word) for word in done.stdout.split()[-2:]])
    return statistics.median(rate for rate, _ in rates), statistics.median(cpu for _, cpu in rates)


def _pictures(video: Path, every: int) -> list[Any]:
    source = load_plugin("source", "file")
    opened = source(str(video), source.Options(), "bench")
    opened.open()
    return [one.picture for one in opened.read() if isinstance(one, Frame) and one.sequence % every == 0]


def _found(stage: str, options: dict[str, Any], pictures: Sequence[Any]) -> list[Any]:
    plugin = load_plugin("stage", stage)
    detector = plugin(plugin.Options(spend=False, **options), StageContext("bench"))
    found = [detector.detect([picture])[0] for picture in pictures]
    detector.close()
    return found


def _difference(found: Sequence[Any], wanted: Sequence[Any]) -> str:
    """Compare boxes, each with the nearest of the other side."""
    total = unmatched = 0
    far, off = 0.0, 0.0
    for one, other in zip(found, wanted, strict=True):
        total += len(other)
        if not len(one) or not len(other):
            unmatched += len(one) + len(other)
            continue
        distance = np.abs(one.xyxy[:, None] - other.xyxy[None]).max(axis=2)
        near = distance.argmin(axis=0)
        same = distance[near, np.arange(len(other))] < 5
        unmatched += int((~same).sum()) + max(len(one) - len(other), 0)
        if same.any():
            far = max(far, float(distance[near, np.arange(len(other))][same].max()))
            off = max(off, float(np.abs(one.score[near] - other.score)[same].max()))
    return f"{total} | {unmatched} | {far:.3f} | {off:.5f}"


if __name__ == "__main__":
    main()

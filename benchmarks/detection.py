"""Frames per second, CPU and memory of detection, tracking and counting, beside what users run today.

    python -m benchmarks.detection [--rounds 3] [--only NAME ...] [--video FILE]

needs the extras `yolo` and `openvino`, and the package `lap` for ultralytics' tracker (`pip install lap`).

Every row is a process of its own that goes once over a 1080p file; rows take turns in each round, so that a
slow minute of a shared machine hits all of them. The network is YOLO11n at 640 x 384 with random weights: its
speed is real, and what it finds is replaced by the boxes that YOLOX nano finds in the same clip, so that all
trackers have the same real work. Nobody watches: no picture is drawn, encoded or published.

Rows: `decode` is PyAV in one thread and nothing else; `bare, 1 thread` the network by itself in ONNX Runtime
on one thread; `ultralytics` its `track(source, stream=True)` with ByteTrack at its defaults (torch);
`no network` everything of ours but the network; the others name a runtime.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.networks import HEIGHT, WIDTH, yolo11n
from pipeline.cli.session import set_up_process
from pipeline.config.schema import PluginConfig, StreamConfig
from pipeline.frame import Frame
from pipeline.objects import Detections
from pipeline.plugin import Options, Stage, StageContext
from pipeline.registry import load_plugin
from pipeline.secret import SecretUrl
from pipeline.stream import Stream

_SHARED = Path(__file__).parents[2] / "shared/data"
_CLIP = _SHARED / "video/traffic_a.mp4"
_FINDER = _SHARED / "weights/yolox_nano.onnx"
_COUNT = {"lines": {"gate": {"start": [0.1, 0.7], "end": [0.7, 0.7]}}}
_OURS: dict[str, dict[str, Any] | None] = {
    "no network": None,
    "onnxruntime": {"runtime": "onnxruntime"},
    "openvino": {"runtime": "openvino"},
    "openvino bf16": {"runtime": "openvino", "precision": "bf16"},
}
_PEERS = ("decode", "bare, 1 thread", "ultralytics")


class BoxesOptions(Options):
    """Which detector works, and what it is taken to have found."""

    boxes: Path
    detector: dict[str, Any] | None = None
    stage: str = "onnx"


class BoxesStage(Stage):
    """Runs a detector, and puts the boxes of a file in the place of what it found."""

    Options = BoxesOptions

    def __init__(self, options: BoxesOptions, context: StageContext) -> None:
        super().__init__(options, context)
        self._boxes = read_boxes(options.boxes)
        self._inner: Stage | None = None
        if options.detector is not None:
            plugin = load_plugin("stage", options.stage)
            self._inner = plugin(plugin.Options(**options.detector), context)
            self.batch = self._inner.batch

    def open(self, info: Any) -> None:
        """Prepare the detector."""
        if self._inner is not None:
            self._inner.open(info)

    def process_batch(self, frames: Sequence[Frame]) -> None:
        """Detect, then replace."""
        if self._inner is not None:
            self._inner.process_batch(frames)
        for frame in frames:
            frame.detections = self._boxes[frame.sequence]

    def close(self) -> None:
        """Free the detector."""
        if self._inner is not None:
            self._inner.close()


def write_boxes(video: Path, path: Path) -> float:
    """Write what YOLOX nano finds in each picture of a video; return the mean number of boxes."""
    plugin = load_plugin("stage", "onnx")
    detector = plugin(plugin.Options(model=_FINDER), StageContext("boxes"))
    rows: list[tuple[float, ...]] = []
    labels: list[str] = []
    frames = 0

    class Keep(Stage):
        def process(self, frame: Frame) -> None:
            nonlocal frames
            frames += 1
            found = frame.detections or Detections.empty()
            rows.extend(
                (frame.sequence, *box, score) for box, score in zip(found.xyxy, found.score, strict=True)
            )
            labels.extend(found.label)

    run_stream(video, [("detect", detector), ("keep", Keep(None, StageContext("boxes")))])
    np.savez(path, rows=np.array(rows, np.float32).reshape(-1, 6), labels=np.array(labels), frames=frames)
    return len(rows) / frames


def read_boxes(path: Path) -> list[Detections]:
    """Return the boxes of each picture."""
    with np.load(path) as file:
        rows, labels, frames = file["rows"], file["labels"], int(file["frames"])
    at = [np.flatnonzero(rows[:, 0] == number) for number in range(frames)]
    return [Detections(rows[which, 1:5], rows[which, 5], labels[which]) for which in at]


def run_stream(video: Path, stages: Sequence[tuple[str, Stage]]) -> int:
    """Run the engine's three threads over a video; return the number of finished frames."""
    plugin = load_plugin("source", "file")
    source = PluginConfig("source", "file", plugin, plugin.Options())
    made = [PluginConfig("stage", name, _made(stage), None) for name, stage in stages]
    config = StreamConfig("bench", SecretUrl(str(video)), source, None, tuple(made), "")
    stream = Stream(config, [], None, lambda: None)
    stream.start()
    stream.join()
    if stream.error:
        raise stream.error
    return stream.ledger.entry().finished


def _made(stage: Stage) -> Any:
    return lambda options, context: stage  # noqa: ARG005


def make_clip(source: Path, target: Path) -> None:
    """Scale a video to 1920 x 1080, x264 medium with B pictures, 5 Mbit/s."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.options = 5_000_000, 50, {"preset": "medium"}
        for frame in container.decode(video=0):
            image = cv2.resize(frame.to_ndarray(format="bgr24"), (1920, 1080), interpolation=cv2.INTER_CUBIC)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        output.mux(stream.encode(None))


@dataclass(frozen=True)
class Work:
    """What a row works on."""

    video: Path
    network: Path
    boxes: Path


def decode(work: Work) -> int:
    """Decode in one thread."""
    with av.open(str(work.video)) as container:
        container.streams.video[0].thread_type = "NONE"
        return sum(1 for _ in container.decode(video=0))


def bare(work: Work) -> int:
    """Run the network alone."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(work.network), settings, providers=["CPUExecutionProvider"])
    tensor = np.zeros((1, 3, HEIGHT, WIDTH), np.float32)
    name = session.get_inputs()[0].name
    rounds = 100
    for _ in range(rounds):
        session.run(None, {name: tensor})
    return rounds


def ultralytics(work: Work) -> int:
    """Track as a user of ultralytics would."""
    os.environ["YOLO_AUTOINSTALL"] = "false"
    import torch
    from ultralytics import YOLO

    weights = work.network.with_name("yolo11n-random.pt")
    if not weights.exists():
        YOLO("yolo11n.yaml").save(str(weights))
    model = YOLO(str(weights))
    boxes = read_boxes(work.boxes)
    done = 0

    def replace(predictor: Any) -> None:
        nonlocal done
        for result in predictor.results:
            found = boxes[done]
            columns = [found.xyxy, found.score[:, None], np.full((len(found), 1), 2, np.float32)]
            result.update(boxes=torch.from_numpy(np.concatenate(columns, axis=1)))
            done += 1

    model.add_callback("on_predict_postprocess_end", replace)
    results = model.track(
        str(work.video), stream=True, tracker="bytetrack.yaml", verbose=False, device="cpu", imgsz=640
    )
    return sum(1 for _ in results)


def ours(settings: dict[str, Any] | None) -> Callable[[Work], int]:
    """Return what runs our pipeline."""

    def run(work: Work) -> int:
        set_up_process()
        context = StageContext("bench")
        # Every picture is looked at: what not looking saves is measured in spending.py.
        detector = None if settings is None else {"model": work.network, "spend": False, **settings}
        track, count = load_plugin("stage", "track"), load_plugin("stage", "count")
        stages = [
            ("detect", BoxesStage(BoxesOptions(boxes=work.boxes, detector=detector), context)),
            ("track", track(track.Options(appearance="none"), context)),
            ("count", count(count.Options(**_COUNT), context)),
        ]
        return run_stream(work.video, stages)

    return run


ROWS: dict[str, Callable[[Work], int]] = {
    "decode": decode,
    "bare, 1 thread": bare,
    "ultralytics": ultralytics,
    **{name: ours(settings) for name, settings in _OURS.items()},
}


def child(name: str, work: Work) -> None:
    """Run one row and print what it took."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    frames = ROWS[name](work)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(json.dumps({"frames": frames, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """Return the most memory that this process has held; getrusage would tell of the parent's, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def measured(name: str, work: Work) -> dict[str, float]:
    """Run one row in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.detection", "--child", name]
    command += [str(work.video), str(work.network), str(work.boxes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="NAME")
    parser.add_argument("--video", type=Path, help="a 1080p file; made of traffic_a.mp4 when left out")
    parser.add_argument("--network", type=Path, help="an ONNX file; YOLO11n with random weights if left out")
    parser.add_argument(
        "--child", nargs=4, metavar=("NAME", "VIDEO", "NETWORK", "BOXES"), help=argparse.SUPPRESS
    )
    asked = parser.parse_args()
    if asked.child:
        child(asked.child[0], Work(*map(Path, asked.child[1:])))
        return
    with tempfile.TemporaryDirectory() as folder:
        video = asked.video or Path(folder) / "clip.mp4"
        if not asked.video:
            make_clip(_CLIP, video)
        network = asked.network or yolo11n(Path(folder))
        work = Work(video, network, Path(folder) / "boxes.npz")
        print(f"{write_boxes(video, work.boxes):.1f} boxes a picture", flush=True)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in asked.only}
        for number in range(asked.rounds):
            for name in asked.only:
                found[name].append(measured(name, work))
            print(f"round {number + 1} of {asked.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
        show(found)


def show(found: dict[str, list[dict[str, float]]]) -> None:
    """Print medians, the spread of the rates, and ratios to ultralytics and the bare network."""
    rates = {name: [run["frames"] / run["wall_s"] for run in runs] for name, runs in found.items()}
    base = {name: statistics.median(rates[name]) for name in _PEERS if name in rates}
    print(f"{'':24s} frames/s          CPU ms/frame  peak MiB  x ultralytics  x bare")
    for name, runs in found.items():
        rate = statistics.median(rates[name])
        cpu_ms = statistics.median(1e3 * run["cpu_s"] / run["frames"] for run in runs)
        mib = statistics.median(run["peak_mib"] for run in runs)
        ratios = "".join(
            f"{rate / base[peer]:{width}.2f}" if peer in base else " " * width
            for peer, width in (("ultralytics", 15), ("bare, 1 thread", 8))
        )
        spread = f"({min(rates[name]):.1f}-{max(rates[name]):.1f})"
        print(f"{name:24s} {rate:6.1f} {spread:13s}    {cpu_ms:8.1f}  {mib:8.0f}{ratios}")


if __name__ == "__main__":
    main()

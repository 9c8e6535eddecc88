"""Whole pipelines for `benchmarks.gpu`: streams of a file in processes, timed while all of them run."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.detection import _COUNT, BoxesOptions, BoxesStage, Work
from pipeline.cli.session import set_up_process
from pipeline.config.schema import PluginConfig, StreamConfig
from pipeline.frame import Frame
from pipeline.plugin import Stage, StageContext
from pipeline.registry import load_plugin
from pipeline.secret import SecretUrl
from pipeline.shared import Shared
from pipeline.stream import Stream
from stages.detect.yolo.stage import YoloDetector

_TORCH = {"runtime": "torch", "device": "cuda:0"}
WAYS: dict[str, tuple[str, dict[str, Any]] | None] = {
    "no network": None,
    "torch f16": ("yolo", {**_TORCH, "precision": "f16"}),
    "torch f16, CPU's input": ("yolo", {**_TORCH, "precision": "f16"}),
    "torch full": ("yolo", {**_TORCH, "precision": "full"}),
    "cuda full": ("onnx", {"runtime": "cuda", "device": "cuda:0"}),
}
"""What detects: the stage and its options; None for nothing."""

Times = dict[str, list[tuple[float, float]]]
"""Monotonic seconds and the process's CPU seconds at which each stream has finished its frames."""


def steady(runs: Sequence[Times]) -> tuple[float, float]:
    """Return frames a second and CPU ms a frame of all processes, from when all run until the first ends."""
    streams = [frames for run in runs for frames in run.values()]
    begun_s = max(frames[min(30, len(frames) // 4)][0] for frames in streams)
    ended_s = min(frames[-1][0] for frames in streams)
    done, cpu_s = 0, 0.0
    for run in runs:
        inside = sorted(one for frames in run.values() for one in frames if begun_s <= one[0] <= ended_s)
        done += len(inside)
        cpu_s += inside[-1][1] - inside[0][1] if inside else 0.0
    return done / (ended_s - begun_s), 1e3 * cpu_s / max(done, 1)


class _Meeting(Stage):
    """Waits when it is opened until every stream of every process has opened its network."""

    def __init__(self, barrier: Any, context: StageContext) -> None:
        super().__init__(None, context)
        self._barrier = barrier

    def open(self, info: Any) -> None:  # noqa: ARG002
        """Wait for the others."""
        self._barrier.wait(180)

    def process(self, frame: Frame) -> None:
        """Leave it as it is."""


class _Note(Stage):
    def __init__(self, times: Times, context: StageContext) -> None:
        super().__init__(None, context)
        self._mine = times.setdefault(context.stream, [])

    def process(self, frame: Frame) -> None:  # noqa: ARG002
        """Note that it is finished."""
        self._mine.append((time.monotonic(), time.process_time()))


def run_streams(
    work: Work, weights: Path, name: str, processes: int, count: int, hwaccel: str, most: int
) -> list[Times]:
    """Run so many streams in each of so many processes."""
    spawning = multiprocessing.get_context("spawn")
    barrier, results = spawning.Barrier(processes * count), spawning.Queue()
    arguments = (work, weights, name, count, hwaccel, most, barrier, results)
    running = [spawning.Process(target=_process, args=arguments) for _ in range(processes)]
    for process in running:
        process.start()
    found = [results.get(timeout=300) for _ in running]
    for process in running:
        process.join(60)
    for one in found:
        if isinstance(one, str):
            raise SystemExit(one)
    return found


def _process(
    work: Work, weights: Path, name: str, count: int, hwaccel: str, most: int, barrier: Any, results: Any
) -> None:
    set_up_process()
    way = WAYS[name]
    times: Times = {}
    shared = Shared()
    detector = None
    if way is not None:
        # Every picture is looked at: what not looking saves is measured in spending.py.
        model = weights if way[0] == "yolo" else work.network
        detector = {"model": str(model), "spend": False, "max_batch": most, **way[1]}
        if "CPU's input" in name:
            YoloDetector.made_on_device = frozenset()
    options = BoxesOptions(boxes=work.boxes, detector=detector, stage=way[0] if way else "onnx")
    track, rule = load_plugin("stage", "track"), load_plugin("stage", "count")
    makers: dict[str, Callable[[Any, StageContext], Stage]] = {
        "detect": lambda _, context: BoxesStage(options, context),
        "track": lambda _, context: track(track.Options(appearance="none"), context),
        "count": lambda _, context: rule(rule.Options(**_COUNT), context),
        "meet": lambda _, context: _Meeting(barrier, context),
        "note": lambda _, context: _Note(times, context),
    }
    made: Any = tuple(PluginConfig("stage", key, make, None) for key, make in makers.items())  # type: ignore[arg-type]
    plugin = load_plugin("source", "file")
    given = {} if hwaccel == "none" else {"hwaccel": hwaccel}
    source = PluginConfig("source", "file", plugin, plugin.Options(**given))
    running = [
        Stream(
            StreamConfig(f"camera{number}", SecretUrl(str(work.video)), source, None, made, ""),
            [],
            None,
            lambda: None,
            shared=shared,
        )
        for number in range(count)
    ]
    for stream in running:
        stream.start()
    for stream in running:
        stream.join()
    errors = [str(stream.error) for stream in running if stream.error]
    results.put(errors[0] if errors else times)

"""Milliseconds a picture of one network on every runtime of this box, bare and as stages share it.

    python -m benchmarks.runtimes MODEL.onnx [--shape 1x3x384x640] [--rounds 5]

`bare` is the runtime's own call in a loop, one thread a picture; `stage` the same by `InferenceClient`, as a
live stream calls it; `together` a share of what runs at once on all cores, as a file calls it. CPU ms is
process time over all threads, the steadier figure on a shared machine. Each row has a process of its own; its
memory includes Python, numpy and the inputs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.plugin import StageContext
from stages.detect.runtime.client import lease_inference
from stages.detect.runtime.files import read_graph
from stages.detect.runtime.opening import Network, sample
from stages.detect.runtime.options import RuntimeOptions

_WAYS = [
    ("onnxruntime", "full"),
    ("openvino", "full"),
    ("openvino", "bf16"),
    ("cuda", "full"),
    ("tensorrt", "full"),
    ("tensorrt", "f16"),
]
_ROUND_S = 1.0


def timed(call: Callable[[], object], pictures: int, rounds: int) -> tuple[float, float]:
    """Return wall and CPU ms a picture, the shortest of the rounds, which other work disturbs least."""
    call()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - wall < _ROUND_S:
            call()
            count += pictures
        walls.append((time.perf_counter() - wall) * 1e3 / count)
        cpus.append((time.process_time() - cpu) * 1e3 / count)
    return min(walls), min(cpus)


def row(
    model: Path, shape: tuple[int, ...], name: str, precision: str, rounds: int
) -> dict[str, float | str]:
    """Measure one way in this process."""
    options = RuntimeOptions.model_validate({"runtime": name, "precision": precision})
    graph = read_graph(model)
    begun = time.perf_counter()
    client = lease_inference(model, "benchmark", graph, [shape], options, StageContext("benchmark"))
    opened_s = time.perf_counter() - begun
    inputs = sample(Network(model, "benchmark", graph, (shape,)))
    runtime = client._lease.value._crew.runtime
    if runtime is None:
        raise ModelError("the network is not open")
    bare, bare_cpu = timed(lambda: runtime.run(inputs), 1, rounds)
    stage, stage_cpu = timed(lambda: client.run(inputs), 1, rounds)
    together, _ = timed(lambda: client.run_many([inputs] * client.batch), client.batch, rounds)
    client.close()
    return {
        "opened_s": opened_s,
        "bare": bare,
        "bare_cpu": bare_cpu,
        "stage": stage,
        "stage_cpu": stage_cpu,
        "together": together,
        "batch": client.batch,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Print a table of all ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shape", help="of the input, 1x3x384x640; default as the file says")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs=2, metavar=("RUNTIME", "PRECISION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.shape:
        shape = tuple(int(side) for side in arguments.shape.split("x"))
    else:
        shape = tuple(side or 1 for side in read_graph(arguments.model).inputs[0].shape)
    if arguments.only:
        try:
            print(json.dumps(row(arguments.model, shape, *arguments.only, arguments.rounds)))
        except ModelError as error:
            print(json.dumps({"error": str(error)}))
        return
    print(f"{arguments.model.name} {'x'.join(map(str, shape))}, ms a picture")
    print("| runtime | bare (CPU) | stage (CPU) | together | opens in | memory |")
    print("|---|---|---|---|---|---|")
    for name, precision in _WAYS:
        command = [sys.executable, "-m", "benchmarks.runtimes", str(arguments.model)]
        command += ["--shape", "x".join(map(str, shape)), "--rounds", str(arguments.rounds)]
        done = subprocess.run(
            [*command, "--only", name, precision], capture_output=True, text=True, check=True, timeout=600
        )
        found = json.loads(done.stdout.splitlines()[-1])
        if "error" in found:
            print(f"| {name} {precision} | {found['error']} |")
            continue
        print(
            f"| {name} {precision} | {found['bare']:.1f} ({found['bare_cpu']:.1f}) "
            f"| {found['stage']:.1f} ({found['stage_cpu']:.1f}) "
            f"| {found['together']:.1f} ({found['batch']} at once) "
            f"| {found['opened_s']:.2f} s | {found['mib']:.0f} MiB |"
        )


if __name__ == "__main__":
    main()

"""What one picture costs with each family of detectors on this box: CPU ms and memory, one process per row.

    python benchmarks/families.py [--picture 1280x720] [NAME ...]

Networks have random weights: speed is real, accuracy is not. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.picture import YuvPicture
from pipeline.plugin import Stage, StageContext
from pipeline.registry import load_plugin

RUNS = 12
Make = Callable[[Path], Stage]


def stage(name: str, **options: object) -> Stage:
    """Make a stage as the engine does."""
    kind = load_plugin("stage", name)
    made: Stage = kind(kind.Options(**options), StageContext("bench"))
    return made


def yolo(runtime: str, network: str = "yolo11n") -> Make:
    """Return what makes the stage `yolo` with a network of random weights."""

    def make(folder: Path) -> Stage:
        from tests.stages.detect.yolo.networks import save_random

        path = folder / f"{network}.pt"
        if runtime == "torch":
            save_random(f"{network}.yaml", path)
        else:  # the memory of what made the weights is not the stage's
            make = f"save_random('{network}.yaml', Path('{path}'))"
            code = f"from tests.stages.detect.yolo.networks import *; {make}"
            subprocess.run([sys.executable, "-c", code], check=True)
        # Random networks are sure of many things; reading the dozen boxes of a street costs next to nothing.
        return stage("yolo", model=str(path), runtime=runtime, parallel=1, confidence=0.95)

    return make


def torchvision(network: str) -> Make:
    """Return what makes the stage `torchvision` with random weights."""

    def make(folder: Path) -> Stage:
        import torch
        from torchvision.models import get_model

        torch.set_num_threads(1)
        count = 2 if network.startswith("keypoint") else 91
        model = get_model(network, weights=None, weights_backbone=None, num_classes=count)
        torch.save(model.state_dict(), folder / "weights.pth")
        return stage("torchvision", model=str(folder / "weights.pth"), network=network)

    return make


def darknet(folder: Path) -> Stage:
    """YOLOv3-tiny (Redmon, Farhadi 2018) with random weights."""
    rng = np.random.default_rng(0)
    text, numbers, channels = "[net]\nwidth=416\nheight=416\nchannels=3\n", [], 3

    def conv(filters: int, size: int, *, head: bool = False) -> None:
        nonlocal text, channels
        text += f"[convolutional]\n{'' if head else 'batch_normalize=1'}\nfilters={filters}\nsize={size}\n"
        text += f"stride=1\npad=1\nactivation={'linear' if head else 'leaky'}\n"
        if head:
            numbers.append(np.full(filters, -4.0))
        else:
            numbers.extend([np.zeros(filters), np.ones(filters), np.zeros(filters), np.ones(filters)])
        numbers.append(rng.normal(0, (2 / (channels * size**2)) ** 0.5, filters * channels * size**2))
        channels = filters

    def head(mask: str) -> None:
        nonlocal text
        anchors = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"
        text += f"[yolo]\nmask={mask}\nanchors={anchors}\nclasses=80\nnum=6\n"

    for filters in (16, 32, 64, 128, 256, 512):
        conv(filters, 3)
        text += f"[maxpool]\nsize=2\nstride={1 if filters == 512 else 2}\n"
    for filters, size in ((1024, 3), (256, 1), (512, 3)):
        conv(filters, size)
    conv(255, 1, head=True)
    head("3,4,5")
    text += "[route]\nlayers=-4\n"
    channels = 256
    conv(128, 1)
    text += "[upsample]\nstride=2\n[route]\nlayers=-1,8\n"
    channels = 128 + 256
    conv(256, 3)
    conv(255, 1, head=True)
    head("0,1,2")
    (folder / "tiny.cfg").write_text(text)
    values = np.concatenate(numbers).astype("<f4")
    (folder / "tiny.weights").write_bytes(np.array([0, 2, 0, 0, 0], "<i4").tobytes() + values.tobytes())
    return stage("opencv-dnn", model=str(folder / "tiny.weights"), config=str(folder / "tiny.cfg"))


CASES: dict[str, Make] = {
    "motion": lambda _: stage("motion"),
    "colour": lambda _: stage("colour", colours={"red": "red"}),
    "haar": lambda _: stage("haar"),
    "hog": lambda _: stage("hog"),
    "opencv-dnn yolov3-tiny": darknet,
    "yolo11n torch": yolo("torch"),
    "yolo11n onnxruntime": yolo("onnxruntime"),
    "yolo11n openvino": yolo("openvino"),
    "yolo11n-seg onnxruntime": yolo("onnxruntime", "yolo11n-seg"),
    "rtdetr-l torch": yolo("torch", "rtdetr-l"),
    "ssdlite320_mobilenet_v3_large": torchvision("ssdlite320_mobilenet_v3_large"),
    "fasterrcnn_mobilenet_v3_large_320_fpn": torchvision("fasterrcnn_mobilenet_v3_large_320_fpn"),
    "fasterrcnn_resnet50_fpn": torchvision("fasterrcnn_resnet50_fpn"),
}


def measure(name: str, width: int, height: int) -> None:
    """Print one row."""
    from tests.stages.detect.footage import frame

    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    luma = cv2.resize(rng.integers(0, 255, (height // 20, width // 20), np.uint8), (width, height))
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        made = CASES[name](Path(folder))
        frames = [
            frame(YuvPicture(np.roll(luma, 5 * i, axis=1), chroma, chroma), i / 25, i)
            for i in range(RUNS + 2)
        ]
        spent = []
        for seen in frames:
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            if hasattr(made, "detect"):
                made.detect([seen.picture])
            else:
                made.process_batch([seen])
            spent.append((time.perf_counter() - wall_s, time.process_time() - cpu_s))
        made.close()
    wall, cpu = (1e3 * float(np.median([row[i] for row in spent[2:]])) for i in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:.0f} |", flush=True)


def main() -> None:
    """Measure the named rows, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--picture", default="1280x720", help="WIDTHxHEIGHT")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = map(int, arguments.picture.split("x"))
    if arguments.one:
        measure(arguments.one, width, height)
        return
    print("| family | ms a picture | CPU ms | peak MiB |\n| --- | --- | --- | --- |", flush=True)
    for name in arguments.names or CASES:
        command = [sys.executable, "-m", "benchmarks.families", "--picture", arguments.picture, "--one", name]
        subprocess.run(command, check=False)


if __name__ == "__main__":
    main()

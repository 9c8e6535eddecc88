"""What decoding a file costs, in software and by hardware, and whether the pictures are the same.

    python -m benchmarks.decoding FILE [--hwaccel none cuda] [--streams 1 4 16]
                                       [--own-contexts] [--torch-first]

Each row is a process of its own with so many sources `file` side by side, a thread each; pictures are made
(planes), as for a run. `card` is what is used of NVIDIA's cards by nvidia-smi: before, at most, and after all
sources are closed; `same` the pictures whose planes are software's to the bit, of a single stream.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import subprocess
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.frame import Frame
from streams.sources import hardware
from streams.sources.file import FileOptions, FileSource
from streams.sources.hardware import Hwaccel

_SMI = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")


@dataclass(frozen=True, slots=True)
class Row:
    """What is asked of a process.

    Attributes:
        file: the video.
        hwaccel: the option.
        streams: how many at once.
        own_contexts: do not share CUDA's primary context.
        torch_first: let PyTorch begin that context.
    """

    file: Path
    hwaccel: Hwaccel
    streams: int
    own_contexts: bool
    torch_first: bool


def played(row: Row, sums: list[int] | None = None) -> tuple[int, float]:
    """Return how many pictures came, and after how many seconds the first one."""
    began_s = time.perf_counter()
    source = FileSource(str(row.file), FileOptions(hwaccel=row.hwaccel), "file")
    source.open()
    first_s = time.perf_counter() - began_s
    pictures = 0
    for item in source.read():
        if isinstance(item, Frame):
            pictures += 1
            planes = item.picture.planes()
            if sums is not None and planes is not None:
                sums.append(zlib.crc32(b"".join(plane.tobytes() for plane in (planes.y, planes.u, planes.v))))
    source.close()
    return pictures, first_s


def card_mib() -> int:
    """Return what is used of all cards, MiB; 0 without nvidia-smi."""
    if not shutil.which(_SMI[0]):
        return 0
    lines = subprocess.run(_SMI, capture_output=True, text=True, check=False).stdout.split()
    return sum(int(mib) for mib in lines if mib.isdigit())


def measured(row: Row) -> str:
    """Return a line of the table."""
    logging.basicConfig(format="%(message)s")
    if row.own_contexts:
        hardware._OPTIONS["cuda"] = ({},)
    before_mib = most_mib = card_mib()
    if row.torch_first:
        import torch

        torch.zeros(1, device="cuda")
    found: list[tuple[int, float]] = []
    threads = [threading.Thread(target=lambda: found.append(played(row))) for _ in range(row.streams)]
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            most_mib = max(most_mib, card_mib())
            thread.join(0.5)
    pictures = sum(count for count, _ in found)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    same = ""
    if row.streams == 1 and row.hwaccel != "none":
        ours: list[int] = []
        theirs: list[int] = []
        played(row, ours)
        played(Row(row.file, "none", 1, row.own_contexts, row.torch_first), theirs)
        same = f"{sum(a == b for a, b in zip(ours, theirs, strict=False))} of {len(theirs)}"
    cpu_ms, first_ms = 1e3 * cpu_s / max(pictures, 1), 1e3 * max(first_s for _, first_s in found)
    return (
        f"| {row.hwaccel} | {row.streams} | {pictures / wall_s:.0f} | {cpu_ms:.2f} ms | {first_ms:.0f} ms | "
        f"{before_mib}, {most_mib}, {card_mib()} MiB | {same} |"
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--hwaccel", nargs="+", default=["none", "auto"])
    parser.add_argument("--streams", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--own-contexts", action="store_true")
    parser.add_argument("--torch-first", action="store_true")
    asked = parser.parse_args()
    print("| hwaccel | streams | pictures/s | CPU a picture | first picture | card | same |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for hwaccel in asked.hwaccel:
        for streams in asked.streams:
            row = Row(asked.file, hwaccel, streams, asked.own_contexts, asked.torch_first)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.apply(measured, (row,)), flush=True)


if __name__ == "__main__":
    main()

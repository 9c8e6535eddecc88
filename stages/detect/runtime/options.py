"""Which runtime, where, how exact, and how much of the box: options that every network detector has."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.plugin import Options
from stages.detect.runtime.base import RuntimeName

_MOST_CALLERS = 16
"""Each of them needs memory for the network's intermediate results."""


class RuntimeOptions(Options):
    """Base of the options of every stage that runs a network."""

    runtime: Literal["auto"] | RuntimeName = Field(
        "auto",
        description="auto (the fastest that is installed, by a short measurement that is kept), onnxruntime, "
        "openvino, cuda, tensorrt.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|npu|(cuda|gpu)(:\d{1,3})?)$",
        description="auto (a GPU where a runtime has one, else the CPU), cpu, cuda:0 (NVIDIA), gpu:0 and npu "
        "(Intel, by OpenVINO).",
    )
    precision: Literal["full", "auto", "bf16", "f16", "int8"] = Field(
        "full",
        description="full: as the file has it, nothing is traded; auto: the fastest of this box, said in the "
        "log; bf16, f16; int8 needs a quantised file.",
    )
    threads: int = Field(
        1, ge=1, le=64, description="CPU threads for one picture. More than one suffers badly on a busy box."
    )
    parallel: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Pictures at once on a CPU, all streams together; default one for each core, at most 16.",
    )
    max_batch: int = Field(8, ge=1, le=256, description="Most pictures of all streams in one call of a GPU.")
    max_wait_ms: float = Field(
        2.0, ge=0, le=1000, description="How long a GPU waits for the other streams' pictures, ms."
    )
    timeout_s: float = Field(
        30.0, ge=1, le=3600, description="A call that takes longer is given up, and its picture lost, s."
    )

    @property
    def callers(self) -> int:
        """Pictures at once on a CPU."""
        return self.parallel or min(max(usable_cores() // self.threads, 1), _MOST_CALLERS)


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the cores that this process may use: those it may run on, within a container's share of time.

    Args:
        quota: where Linux says how many microseconds of how many the container may use (cgroup v2).
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        granted, _, period = quota.read_text(encoding="ascii").partition(" ")
        share = int(granted) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such system, or "max": no limit
        return cores
    return min(cores, max(math.ceil(share), 1))

"""What stages on torch have in common: device, 16 bit arithmetic, threads, and memory that runs out.

torch is imported when a stage is made, never before.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from pipeline.errors import ModelError
from stages.detect.cuda_context import wait_asleep
from stages.detect.spend.options import DetectorOptions

logger = logging.getLogger(__name__)


class TorchOptions(DetectorOptions):
    """Options that every stage on torch has."""

    device: str = Field(
        "auto", min_length=1, description="auto (the first GPU, else the CPU), cpu, cuda:0, mps, ..."
    )
    half: bool | Literal["auto"] = Field(
        False, description="16 bit arithmetic, which moves boxes a little; auto: on a GPU, said in the log."
    )
    channels_last: bool = Field(
        True, description="Keep the channels of a pixel side by side in memory: the same boxes, sooner."
    )
    compile: bool = Field(
        False, description="Let torch compile the network: minutes at the start, for long runs on a GPU."
    )
    batch: int = Field(
        1, ge=1, le=64, description="Pictures per call. More than one gains something on a GPU only."
    )
    threads: int = Field(
        1, ge=1, le=64, description="CPU threads of torch, for the whole process; more suffer on a busy box."
    )


def need(package: str, stage: str, extra: str) -> None:
    """Raise ModelError with the command that installs it, if a package is not there."""
    if importlib.util.find_spec(package) is None:
        raise ModelError(
            f"the stage '{stage}' needs {package}; install it: pip install \"sightline[{extra}]\""
        )


def device_of(name: str) -> Any:
    """Return the `torch.device` of this name; "auto" is the first GPU, else the CPU.

    Raises:
        ModelError: if torch does not know it, or it is not there.
    """
    import torch

    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda":
            wait_asleep(device.index or 0)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        count = torch.cuda.device_count()
        raise ModelError(
            f"device '{name}': torch {torch.__version__} cannot use it (it sees {count} CUDA GPUs); set "
            f"'device' to auto or cpu, or install a torch that was built for it"
        ) from error
    return device


def is_half(half: bool | Literal["auto"], device: Any, name: str = "the network") -> bool:
    """Return whether 16 bit arithmetic is meant; the log tells when `auto` has chosen it for `name`."""
    if half != "auto":
        return half
    if device.type == "cpu":
        return False
    logger.warning(
        "%s is calculated in f16 on %s: faster, and the boxes differ a little; 'half: false' avoids it",
        name,
        device,
    )
    return True


def own_stream(device: Any) -> Any:
    """Return a CUDA stream that does not wait for what others do on the default one; None elsewhere."""
    import torch

    return torch.cuda.Stream(device) if device.type == "cuda" else None


def on_stream(stream: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which work is given to this stream; None is for devices without."""
    import torch

    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)


def keep_floats_whole(device: Any) -> None:
    """Keep torch from rounding the factors of convolutions to 10 bits on an NVIDIA GPU (TF32, its default).

    It counts for the whole process, as torch has it.
    """
    import torch

    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FOREIGN = re.compile(r"GLOBAL (\S+)")


def refused_name(error: BaseException) -> str | None:
    """Return what torch's `weights_only` reader refused to build, None if the error is another one."""
    found = _FOREIGN.search(_COLOURS.sub("", str(error)))
    return found[1] if found else None


def first_line(error: BaseException) -> str:
    """Return the first line of an error as plain text."""
    lines = str(error).strip().splitlines()
    text = _COLOURS.sub("", lines[0] if lines else type(error).__name__).encode("ascii", "ignore").decode()
    return text.removeprefix("ERROR").strip()


class Batches:
    """Hands items to a network in batches, smaller ones once the GPU's memory did not suffice.

    Args:
        run: takes up to `batch` items and returns as many results.
        batch: most items at once.
        name: of the network, for messages.
    """

    def __init__(self, run: Callable[[Sequence[Any]], list[Any]], batch: int, name: str) -> None:
        self._run = run
        self._name = name
        self.batch = batch

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        """Return the result of each item.

        Raises:
            ModelError: if the memory does not suffice for a single one.
        """
        import torch

        results: list[Any] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + self.batch]
            try:
                results += self._run(part)
            except torch.OutOfMemoryError as error:
                self._shrink(len(part), error)
        return results

    def _shrink(self, tried: int, error: BaseException) -> None:
        import torch

        if tried == 1:
            raise ModelError(
                f"the GPU's memory does not suffice for '{self._name}' with one picture; set a smaller "
                f"'image_size' or model, or end what else uses the GPU"
            ) from error
        self.batch = tried // 2
        logger.warning(
            "%s: the GPU's memory does not suffice for %d pictures at once; from now on %d",
            self._name,
            tried,
            self.batch,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

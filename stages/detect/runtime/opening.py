"""Opens a network with the runtime of the options, or with the fastest one of this box."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import ModelError
from stages.detect.models.cache import cache_folder
from stages.detect.runtime.base import Array, Runtime
from stages.detect.runtime.graph import Graph
from stages.detect.runtime.limit import within
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.ort import OrtRuntime
from stages.detect.runtime.ov import OvRuntime
from stages.detect.runtime.plans import Plan

logger = logging.getLogger(__name__)

_SIDE_PX = 640
OPENING_S = 300.0
"""Longest time for a file to be read and compiled."""
_ENGINE_S = 3600.0
"""The same where TensorRT builds an engine."""
_TRIAL_S = 30.0
"""Longest first run at least: it takes longer than those that follow."""


@dataclass(frozen=True, slots=True)
class Network:
    """What is to be opened.

    Attributes:
        path: of the file.
        model_hash: of its content.
        graph: of the file.
        shapes: of each input for one picture.
    """

    path: Path
    model_hash: str
    graph: Graph
    shapes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        for info, shape in zip(self.graph.inputs, self.shapes, strict=True):
            fits = len(info.shape) == len(shape) and all(
                side in (None, wanted) for side, wanted in zip(info.shape[1:], shape[1:], strict=True)
            )
            if info.shape and not fits:
                raise ModelError(
                    f"'{self.path.name}' takes {list(info.shape)} at its input '{info.name}', "
                    f"not {list(shape)}; choose a size that fits, or export it with another"
                )


def open_plan(network: Network, plan: Plan, options: RuntimeOptions) -> Runtime:
    """Open a network in one way, and run it once, so that the first picture does not wait for it.

    Raises:
        MissingRuntimeError: if the device is not there.
        ModelError: if the network does not run, or gives no answer.
    """
    is_built = plan.name == "tensorrt"
    opening_s = _ENGINE_S if is_built else max(OPENING_S, options.timeout_s)
    # TensorRT may build its engine as late as in the first run.
    trial_s = _ENGINE_S if is_built else max(_TRIAL_S, options.timeout_s)
    try:
        runtime = within(opening_s, lambda: _opened(network, plan, options), lambda late: late.close())
    except TimeoutError as error:
        raise _silent(network, plan, opening_s) from error
    try:
        if is_built:
            logger.info("'%s': TensorRT builds its engine, once; it takes minutes", network.path.name)
        within(trial_s, lambda: _try(runtime, network), lambda _: None)
    except TimeoutError as error:
        runtime.close()
        raise _silent(network, plan, trial_s) from error
    except BaseException:
        runtime.close()
        raise
    return runtime


def _opened(network: Network, plan: Plan, options: RuntimeOptions) -> Runtime:
    # The CPU needs no folder, so that it works where there is none.
    folder = Path() if plan.device == "cpu" else cache_folder()
    if plan.name == "openvino":
        return OvRuntime(
            network.path,
            network.graph,
            device=plan.device,
            precision=plan.precision,
            shapes=network.shapes,
            threads=options.threads,
            callers=options.callers,
            max_batch=options.max_batch,
            cache=folder / "openvino",
        )
    return OrtRuntime(
        network.path,
        network.graph,
        name=plan.name,
        device=plan.device,
        precision=plan.precision,
        shapes=network.shapes,
        threads=options.threads,
        callers=options.callers,
        max_batch=options.max_batch,
        engines=folder / "tensorrt" / network.model_hash,
    )


def _try(runtime: Runtime, network: Network) -> None:
    runtime.run(sample(network))
    if runtime.max_batch > 1 and not is_divisible(runtime, network):
        if network.graph.fixed_batch:
            raise ModelError(
                f"'{network.path.name}' is fixed to {runtime.max_batch} pictures at once, and its "
                f"outputs do not say what belongs to which; export it for one picture"
            )
        logger.info("'%s' runs by single pictures: batches cannot be divided", network.path.name)
        runtime.max_batch = 1


def _silent(network: Network, plan: Plan, limit_s: float) -> ModelError:
    return ModelError(
        f"'{network.path.name}' gave no answer for {limit_s:g} s when it was opened ({plan}); set another "
        f"'runtime' or 'device', a longer 'timeout_s', or export it again"
    )


def is_divisible(runtime: Runtime, network: Network) -> bool:
    """Whether a batch's outputs belong to single pictures; those of a suppression inside the network do not.

    Asked once for two sizes of batch, since as many boxes as pictures would look like one for each.
    """
    fixed = network.graph.fixed_batch
    for pictures in (fixed,) if fixed else (2, 3):
        try:
            outputs = runtime.run(sample(network, pictures))
        except ModelError:
            return False
        if any(output.ndim == 0 or output.shape[0] != pictures for output in outputs):
            return False
    return True


def sample(network: Network, pictures: int = 1) -> list[Array]:
    """Return inputs with noise of a fixed seed, of the right types, for a trial."""
    random = np.random.default_rng(0)
    made = []
    for info, shape in zip(network.graph.inputs, network.shapes, strict=True):
        whole = (pictures * shape[0], *shape[1:])  # an image without a batch begins with its channels
        dtype = np.dtype(info.dtype or "float32")
        if dtype == np.uint8:
            made.append(random.integers(0, 256, whole, np.uint8))
        elif dtype.kind == "f":
            made.append(random.random(whole, np.float32).astype(dtype))
        else:  # sizes of the picture, in networks that want to know them
            made.append(np.full(whole, _SIDE_PX).astype(dtype))
    return made

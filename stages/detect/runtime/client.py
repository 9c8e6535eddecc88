"""A stream's access to a network that it shares with the other streams of the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.errors import FrameLost
from pipeline.plugin import StageContext
from pipeline.shared import Lease
from stages.detect.runtime.base import Array, Inputs, Outputs, Precision, RuntimeName
from stages.detect.runtime.choice import open_runtime
from stages.detect.runtime.graph import Graph
from stages.detect.runtime.opening import Network
from stages.detect.runtime.options import RuntimeOptions
from stages.detect.runtime.shared import Inference


class InferenceClient:
    """What a stage calls; used by its stream's compute thread.

    Attributes:
        name: of the runtime.
        device: it runs on.
        precision: it calculates in.
        batch: pictures that are worth offering at once: a good value for `Stage.batch`.
    """

    def __init__(self, lease: Lease[Inference], stream: str) -> None:
        self._lease = lease
        self._stream = stream
        self._open = True
        inference = lease.value
        inference.join(stream)
        self.name: RuntimeName = inference.name
        self.device: str = inference.device
        self.precision: Precision = inference.precision
        self.batch: int = inference.batch

    def run(self, inputs: Inputs | Array) -> Outputs:
        """Run the network on one picture.

        Args:
            inputs: one C-contiguous array per input of the network, or the only one, with first axis 1. They
                must not be changed before this returns.

        Returns:
            One array per output, first axis as the network gives it for one picture.

        Raises:
            FrameLost: if this picture is lost: "model hung" or "bad network output".
            ModelError: if the network does not run, hung too often, or gives no usable output at all.
        """
        result = self.run_many([inputs])[0]
        if isinstance(result, FrameLost):
            raise result
        return result

    def run_many(self, requests: Sequence[Inputs | Array]) -> list[Outputs | FrameLost]:
        """Run the network on several pictures; on a CPU as many at once as there are cores for it.

        Args:
            requests: inputs of each picture, as for `run`.

        Returns:
            In the order of the requests: its outputs, or why this picture is lost.

        Raises:
            ModelError: as for `run`.
        """
        pictures = [[inputs] if isinstance(inputs, np.ndarray) else list(inputs) for inputs in requests]
        return self._lease.value.run_many(pictures, self._stream)

    def close(self) -> None:
        """Give the network back; safe more than once."""
        if self._open:
            self._open = False
            self._lease.value.leave(self._stream)
            self._lease.close()


def lease_inference(
    path: Path,
    model_hash: str,
    graph: Graph,
    shapes: Sequence[tuple[int, ...]],
    options: RuntimeOptions,
    context: StageContext,
) -> InferenceClient:
    """Open a network for a stream, or join the streams of this run that have it open already.

    Streams share it when file, sizes and all options of `RuntimeOptions` are the same.

    Args:
        path: of the .onnx or .xml file.
        model_hash: of its content.
        graph: of the file.
        shapes: of each input for one picture, first axis 1: (1, 3, 384, 640).
        options: of the stage.
        context: of the stage.

    Raises:
        MissingRuntimeError: if what the options name is not on this box.
        ModelError: if the network does not run.
    """
    wanted = RuntimeOptions.model_validate(
        options.model_dump(include=set(RuntimeOptions.model_fields))  # the stage's own options share it
    )
    network = Network(path, model_hash, graph, tuple(map(tuple, shapes)))

    def make() -> Inference:
        return Inference(
            lambda: open_runtime(network, wanted),
            path.name,
            timeout_s=wanted.timeout_s,
            max_wait_s=wanted.max_wait_ms / 1e3,
        )

    key = (Inference, model_hash, network.shapes, wanted.model_dump_json())
    return InferenceClient(context.shared.lease(key, make), context.stream)

"""Work on an NVIDIA GPU, recorded once and replayed with one launch (a CUDA graph).

A network of 300 kernels takes a Python thread 5 ms to launch, whatever the batch, and keeps the others from
running meanwhile. Its replay takes microseconds. torch is imported when it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

_RECORDING = threading.Lock()
"""CUDA records one graph at a time in a process."""
_WARM_UPS = 3


class Recorded:
    """What a function launches on a GPU, to be launched again at once.

    The function is run a few times first: libraries choose their kernels and allocate their workspaces, which
    must not happen while it is recorded. It must not wait for the GPU, nor read memory of the CPU that is not
    pinned, and its tensors must have the same shapes and places at each replay. What it read and did not make
    itself must be kept alive by the caller.

    Args:
        function: reads tensors that stay where they are, returns tensors.
        device: `torch.device` of a GPU.
        pool: of an earlier recording whose memory this one may use, too; the two are then never to run at the
            same time, and the results of one are gone with the replay of the other.

    Attributes:
        outputs: what the function has returned; each replay fills them anew.
        pool: for the next recording.

    Raises:
        RuntimeError: if torch cannot record it.
        torch.OutOfMemoryError: if the GPU has no room for it.
    """

    def __init__(self, function: Callable[[], Sequence[Any]], device: Any, pool: Any = None) -> None:
        import torch

        # A recording that fails leaves its stream the current one: the last of these takes it back.
        with _RECORDING, torch.cuda.device(device), torch.cuda.stream(torch.cuda.current_stream(device)):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    function()
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            # Other threads go on using the GPU meanwhile.
            with torch.cuda.graph(self._graph, pool=pool, stream=side, capture_error_mode="thread_local"):
                self.outputs = tuple(function())
        self.pool = self._graph.pool()

    def replay(self) -> None:
        """Launch it on the current stream; returns at once."""
        self._graph.replay()

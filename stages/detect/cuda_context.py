"""How a process waits for an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import ctypes

_DRIVER = "libcuda.so.1"
_BLOCKING_SYNC = 0x04
"""CU_CTX_SCHED_BLOCKING_SYNC of the CUDA driver API."""


def wait_asleep(index: int) -> bool:
    """Let threads sleep while they wait for a GPU; to be called before anything else uses it.

    CUDA's own choice is to spin, which costs a core for each thread that waits. It also decides whether
    FFmpeg's decoders can share the process's context: they ask for this way of waiting and refuse any other.

    Args:
        index: of the GPU.

    Returns:
        Whether the driver took it; False where there is none, or the GPU is in use by this process already.
    """
    with contextlib.suppress(OSError, AttributeError):
        driver = ctypes.CDLL(_DRIVER)
        device = ctypes.c_int()
        if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), index):
            return False
        return bool(driver.cuDevicePrimaryCtxSetFlags_v2(device, _BLOCKING_SYNC) == 0)
    return False

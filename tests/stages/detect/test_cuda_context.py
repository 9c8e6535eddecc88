"""The driver's part with a stand-in; a real one's is in test_gpu."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from stages.detect.cuda_context import wait_asleep


class Driver:
    """CUDA's driver library."""

    def __init__(self, *, gpus: int = 1, in_use: bool = False, present: bool = True) -> None:
        self.gpus, self.in_use, self.present = gpus, in_use, present
        self.flags: dict[int, int] = {}

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0 if self.present else 100

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0 if index < self.gpus else 101

    def cuDevicePrimaryCtxSetFlags_v2(self, device: Any, flags: int) -> int:  # noqa: N802
        if self.in_use:
            return 708
        self.flags[device.value] = flags
        return 0


@pytest.mark.parametrize(
    ("driver", "index", "taken"),
    [
        (Driver(), 0, True),
        (Driver(gpus=2), 1, True),
        (Driver(), 1, False),
        (Driver(in_use=True), 0, False),
        (Driver(present=False), 0, False),
    ],
)
def test_threads_sleep_where_the_driver_lets_them(
    monkeypatch: pytest.MonkeyPatch, driver: Driver, index: int, taken: bool
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert wait_asleep(index) is taken
    assert driver.flags == ({index: 4} if taken else {})


def test_a_box_without_a_driver_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert wait_asleep(0) is False

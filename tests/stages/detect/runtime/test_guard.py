"""A network that hangs is given up and opened anew, a few times."""

from __future__ import annotations

import logging
import threading

import pytest

from pipeline.errors import FrameLost
from stages.detect.runtime.base import HungError
from stages.detect.runtime.guard import Guard
from stages.detect.runtime.shared import MOST_HUNG


class Net:
    """Doubles; while `gate` is closed it does not come back."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    def double(self, number: int) -> int:
        assert self.gate.wait(20)
        return 2 * number


def test_what_answers_answers() -> None:
    guard = Guard("a.weights", 20, Net)
    assert [guard.call(lambda net, n=n: net.double(n)) for n in range(3)] == [0, 2, 4]  # type: ignore[misc]


def test_an_error_of_the_network_passes() -> None:
    with pytest.raises(ZeroDivisionError):
        Guard("a.weights", 20, Net).call(lambda net: net.double(1) // 0)


def test_a_hang_costs_its_picture(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard("a.weights", 0.05, Net)
    first = guard.net
    first.gate.clear()
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(FrameLost, match=r"'a\.weights' gave no answer for 0\.05 s") as lost,
    ):
        guard.call(lambda net: net.double(1))
    assert lost.value.cause == "model hung"
    assert caplog.messages == ["'a.weights' gave no answer for 0.05 s; given up, and opened anew"]
    assert guard.net is not first
    assert guard.call(lambda net: net.double(4)) == 8
    first.gate.set()


def test_a_network_that_always_hangs_is_an_error() -> None:
    nets: list[Net] = []

    def make() -> Net:
        nets.append(Net())
        nets[-1].gate.clear()
        return nets[-1]

    guard = Guard("a.weights", 0.02, make)
    for _ in range(MOST_HUNG):
        with pytest.raises(FrameLost):
            guard.call(lambda net: net.double(1))
    with pytest.raises(HungError, match="hung 4 times and did not come back") as error:
        guard.call(lambda net: net.double(1))
    assert error.value.exit_code == 1
    assert len(nets) == MOST_HUNG + 1
    for net in nets:
        net.gate.set()

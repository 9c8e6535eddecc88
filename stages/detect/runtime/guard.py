"""A network of one stream that may hang: its calls are given up after a while, and it is opened anew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.errors import FrameLost
from stages.detect.runtime.base import HungError
from stages.detect.runtime.limit import within
from stages.detect.runtime.shared import HUNG, MOST_HUNG

logger = logging.getLogger(__name__)

Net = TypeVar("Net")
Result = TypeVar("Result")
_OPENING_S = 300.0


class Guard(Generic[Net]):
    """Holds a network, for stages whose networks no other stream shares (else see `Inference`).

    A call that does not come back keeps its thread and its network; there are at most `MOST_HUNG` of them.

    Attributes:
        net: the present network.

    Args:
        name: of the model, for messages.
        timeout_s: how long a call may take, seconds.
        make: opens the network.
    """

    def __init__(self, name: str, timeout_s: float, make: Callable[[], Net]) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._make = make
        self._hung = 0
        self.net: Net = make()

    def call(self, act: Callable[[Net], Result]) -> Result:
        """Let the network act.

        Raises:
            FrameLost: if it gave no answer in time; the network has been opened anew.
            HungError: if it does so again and again, or cannot be opened any more.
        """
        net = self.net
        try:
            return within(self._timeout_s, lambda: act(net), lambda _: None)
        except TimeoutError:
            self._reopen()
        raise FrameLost(HUNG, f"'{self._name}' gave no answer for {self._timeout_s:g} s")

    def _reopen(self) -> None:
        self._hung += 1
        if self._hung > MOST_HUNG:
            raise HungError(
                f"'{self._name}' hung {self._hung} times and did not come back; set another 'device', or a "
                f"longer 'timeout_s'"
            )
        logger.warning("'%s' gave no answer for %g s; given up, and opened anew", self._name, self._timeout_s)
        try:
            self.net = within(max(_OPENING_S, self._timeout_s), self._make, lambda _: None)
        except TimeoutError as error:
            raise HungError(f"'{self._name}' hung, and could not be opened again") from error

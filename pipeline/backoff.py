"""How long to wait before the next try: longer after each failure, up to a bound, and never in step."""

from __future__ import annotations

import random
from collections.abc import Callable

from pydantic import Field, model_validator

from pipeline.condition import Reason
from pipeline.plugin import Options

_MOST_DOUBLINGS = 30


class KeeperOptions(Options):
    """How patient a live source's keeper is; all in seconds.

    Attributes:
        connect_s: how long the peer may take to answer.
        picture_s: how long a connected source may take to its first picture. Cameras send a key frame every
            1 to 10 s.
        stall_s: after so long without a new picture, in the media's own time, a playing source is given up
            and connected anew; slower sources get three of their own intervals.
        retry_s: pause before the first try again; each further failure doubles it.
        retry_most_s: longest pause.
        refused_retry_s: pause after an answer that will stay the same, such as a wrong password, as cameras
            lock accounts after a few of them, or a path that was never there.
    """

    connect_s: float = Field(default=10.0, gt=0, le=600)
    picture_s: float = Field(default=15.0, gt=0, le=600)
    stall_s: float = Field(default=5.0, gt=0, le=3600)
    retry_s: float = Field(default=0.5, gt=0, le=3600)
    retry_most_s: float = Field(default=30.0, gt=0, le=3600)
    refused_retry_s: float = Field(default=60.0, gt=0, le=86400)

    @model_validator(mode="after")
    def _in_order(self) -> KeeperOptions:
        if self.retry_most_s < self.retry_s:
            raise ValueError(f"retry_most_s ({self.retry_most_s:g}) is less than retry_s ({self.retry_s:g})")
        return self


class Backoff:
    """The pauses of one source.

    Each pause is drawn from the upper half of its bound, so that cameras that went down together do not come
    back together, and nobody waits for nothing.

    Args:
        options: the bounds.
        draw: returns a number in 0..1.
    """

    def __init__(self, options: KeeperOptions, draw: Callable[[], float] = random.random) -> None:
        self._options = options
        self._draw = draw
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def after(self, reason: Reason, *, has_played: bool = False) -> float:
        """Count a failure; return the seconds until the next try.

        What has played before is looked for soon although its path is unknown now: a camera that starts up
        says so for a while.
        """
        doublings = min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        bound_s = min(self._options.retry_s * 2.0**doublings, self._options.retry_most_s)
        if reason.is_refusal and (reason.is_about_rights or not has_played):
            bound_s = max(bound_s, self._options.refused_retry_s)
        return bound_s * (0.5 + 0.5 * self._draw())

    def succeeded(self) -> None:
        """Begin again with the shortest pause."""
        self._failures = 0

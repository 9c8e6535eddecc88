"""Time of day of live pictures: from the camera's clock where it can be believed, else from their arrival."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.moment import Clock, Moment
from streams.sources.network.options import ClockChoice

_WINDOW_S = 60.0
_BIN_S = 1.0
_IMPLAUSIBLE_S = 60.0
_PLAUSIBLE_S = 50.0
_CAMERA_JUMP_S = 1.0


@dataclass(slots=True)
class _Bin:
    index: int
    least_s: float
    most_s: float


class ArrivalFilter:
    """How much later than media time pictures arrive at the soonest, over the last minute.

    A network only ever delays: the least delay of a window is the steadiest estimate there is. The window
    lets it follow a camera's clock that runs differently from ours: at 100 ppm it is 6 ms behind at most. One
    value per second is kept.

    Args:
        window_s: length of the window, seconds.
    """

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        self._bins: deque[_Bin] = deque(maxlen=max(1, round(window_s / _BIN_S)))

    def add(self, pts_s: float, arrived_s: float) -> tuple[float, float]:
        """Take a picture in; return the least delay, and how far the delays of the window spread, seconds."""
        delay_s = arrived_s - pts_s
        index = int(arrived_s // _BIN_S)
        while self._bins and index - self._bins[0].index >= (self._bins.maxlen or 1):
            self._bins.popleft()
        if self._bins and self._bins[-1].index >= index:
            last = self._bins[-1]
            last.least_s, last.most_s = min(last.least_s, delay_s), max(last.most_s, delay_s)
        else:
            self._bins.append(_Bin(index, delay_s, delay_s))
        least_s = min(each.least_s for each in self._bins)
        return least_s, max(each.most_s for each in self._bins) - least_s


class WallTime:
    """Makes the moments of a live stream's pictures; used by one thread.

    Args:
        choice: whose clock is taken, see `NetworkOptions.clock`.
        monotonic_s: the clock that arrivals are measured with, seconds.
        utc_ns: this box's time of day, ns. Asked at each picture, so that a correction of it counts at once.
    """

    def __init__(
        self,
        choice: ClockChoice,
        monotonic_s: Callable[[], float] = time.monotonic,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._choice = choice
        self._monotonic_s = monotonic_s
        self._utc_ns = utc_ns
        self._arrivals = ArrivalFilter()
        self._doubted = False
        self._ahead_s: float | None = None
        self._warning: str | None = None

    def moment(self, pts_s: float, arrived_s: float, camera_ns: int | None) -> Moment:
        """Return the moment of a picture.

        The uncertainty of arrival time is the spread of the delays over the last minute; that of the
        camera's time is how far it lies from arrival time, which network and wrong clocks add up to.

        Args:
            pts_s: its media time.
            arrived_s: when it arrived, by the monotonic clock.
            camera_ns: the camera's time of day for it, None when it tells none.
        """
        least_s, spread_s = self._arrivals.add(pts_s, arrived_s)
        now_ns = self._utc_ns() - round(self._monotonic_s() * 1e9)
        arrival_ns = now_ns + round((pts_s + least_s) * 1e9)
        if camera_ns is not None and self._choice != "arrival":
            ahead_s = (camera_ns - arrival_ns) / 1e9
            if self._believed(ahead_s):
                return Moment(pts_s, camera_ns, Clock.CAMERA, abs(camera_ns - arrival_ns))
        return Moment(pts_s, arrival_ns, Clock.ARRIVAL, round(spread_s * 1e9))

    def take_warning(self) -> str | None:
        """Return what there is to say about the camera's clock, once."""
        warning, self._warning = self._warning, None
        return warning

    def _believed(self, ahead_s: float) -> bool:
        jumped_s = None if self._ahead_s is None else ahead_s - self._ahead_s
        self._ahead_s = ahead_s
        if self._choice == "auto":
            doubted = abs(ahead_s) > (_PLAUSIBLE_S if self._doubted else _IMPLAUSIBLE_S)
            if doubted != self._doubted:
                self._doubted = doubted
                self._warning = f"the camera's clock is {_off(ahead_s)} this box's: " + (
                    "arrival time is used instead; set its clock (NTP)" if doubted else "it is believed again"
                )
                return not doubted
        if jumped_s is not None and abs(jumped_s) > _CAMERA_JUMP_S and not self._doubted:
            self._warning = (
                f"the camera's clock jumped by {jumped_s:+.1f} s, it is now {_off(ahead_s)} this box's"
            )
        return not self._doubted


def _off(ahead_s: float) -> str:
    return f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'}"

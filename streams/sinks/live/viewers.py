"""Who watches: counted, bounded, and forgotten when he asks no more. Used by the server's thread."""

from __future__ import annotations

from collections.abc import Callable


class Viewers:
    """Those with a connection of their own (MJPEG, WebRTC), and those who come again and again (HLS).

    Args:
        most: at once.
        idle_s: who has not asked for so long is gone.
        clock: monotonic seconds.
    """

    def __init__(self, most: int, idle_s: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._idle_s = idle_s
        self._clock = clock
        self._connected = 0
        self._asking: dict[tuple[str, str], float] = {}
        self.refused = 0

    @property
    def count(self) -> int:
        """How many there are."""
        self._sweep()
        return self._connected + len(self._asking)

    def enter(self) -> bool:
        """Note one with a connection; False if there are too many already."""
        if self.count >= self._most:
            self.refused += 1
            return False
        self._connected += 1
        return True

    def leave(self) -> None:
        """Note that his connection is over."""
        self._connected -= 1

    def asks(self, who: str, what: str) -> bool:
        """Note a request of one who comes again; False if he is one too many."""
        if (who, what) not in self._asking and self.count >= self._most:
            self.refused += 1
            return False
        self._asking[who, what] = self._clock()
        return True

    def ask_for(self, what: str) -> int:
        """Return how many came for this lately."""
        self._sweep()
        return sum(1 for _, asked in self._asking if asked == what)

    def _sweep(self) -> None:
        oldest = self._clock() - self._idle_s
        for one in [one for one, at in self._asking.items() if at < oldest]:
            del self._asking[one]

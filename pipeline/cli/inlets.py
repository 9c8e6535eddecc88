"""What comes to a sink that has a process of its own: one inlet each for events, frames and packets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from pipeline.client import ReliableListener
from pipeline.errors import SightlineError
from pipeline.feeder import Feeder
from pipeline.listen import Listener
from pipeline.plugin import Input
from pipeline.remote_outbox import RemoteOutbox

SETTINGS: dict[Input, str] = {"events": "bus.reliable", "frames": "bus.frames", "packets": "bus.packets"}
"""Which setting of the box gives the address for what."""
_PATIENCE_S = 5.0
"""How long the box may be silent before that is said."""
_LAST_DELIVERY_S = 10.0
"""How long the end waits for what is being delivered; else it comes again."""


class Teller(Protocol):
    """Says how it goes with one inlet."""

    def well(self, line: str) -> None:
        """Say that all is well, if it was not, or not yet."""

    def trouble(self, line: str) -> None:
        """Say what is wrong, once."""


class Inlet(Protocol):
    """Brings one kind of things, in threads of its own, until it is told to end.

    Attributes:
        ended: set when it has come to its end by itself, because of `error`.
    """

    ended: threading.Event

    @property
    def error(self) -> Exception | None:
        """Why nothing more can come."""

    @property
    def progress(self) -> str:
        """How far it is, in words."""

    @property
    def summary(self) -> str:
        """How it was, in words; once it has stopped."""

    def start(self) -> None:
        """Begin."""

    def look(self, say: Teller) -> None:
        """Say how it goes."""

    def stop(self) -> None:
        """End: what is being delivered is finished. Raises SightlineError."""

    def close(self) -> None:
        """Disconnect. Safe more than once."""


class EventInlet:
    """Events out of the box's journal.

    Args:
        address: of the box's `bus.reliable`.
        listener: connected to it.
        outbox: what it brings.
        feeder: delivers that.
        settle: called now and then, to look what the sink is done with.
    """

    def __init__(
        self,
        address: str,
        listener: ReliableListener,
        outbox: RemoteOutbox,
        feeder: Feeder,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._address = address
        self._listener = listener
        self._outbox = outbox
        self._feeder = feeder
        self._settle = settle
        self._begun_s = time.monotonic()
        self.ended = outbox.ended

    @property
    def error(self) -> Exception | None:
        """Why nothing more can come: the box refused us, or another program took our name."""
        return self._outbox.error

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        status = self._feeder.status
        taking = f", takes none: {status.detail}" if status.detail else ""
        return f"{status.delivered} events delivered, {self._outbox.status.waiting} wait here{taking}"

    @property
    def summary(self) -> str:
        """How it was, in words."""
        status = self._feeder.status
        return f"{status.delivered} events delivered, {status.refused} refused"

    def start(self) -> None:
        """Begin."""
        self._feeder.start()

    def look(self, say: Teller) -> None:
        """Say whether the box is there."""
        self._settle()
        box = self._outbox.status
        if not box.connected and time.monotonic() - self._begun_s > _PATIENCE_S:
            say.trouble(_absent(self._address, box.has_answered, box.handshakes_failed))
        elif box.connected and box.has_answered:
            say.well(f"connected to {self._address}")

    def stop(self) -> None:
        """Finish what is being delivered; all else waits at the box. One that fails anyway is left."""
        self._feeder.stop(0, 0.0 if self._feeder.status.detail else _LAST_DELIVERY_S)

    def close(self) -> None:
        """Disconnect."""
        self._listener.close()


class Feeding(Protocol):
    """What a `MediaInlet` needs of a `FrameFeed` or of `PacketFeeds`.

    Attributes:
        come: how many came.
    """

    come: int

    @property
    def progress(self) -> str:
        """How far it is, in words."""

    @property
    def summary(self) -> str:
        """How it was, in words."""

    def run(self, stopping: Callable[[], bool]) -> None:
        """Deliver until `stopping` says so."""

    def close(self) -> None:
        """Close what the sink has open."""


class MediaInlet:
    """Frames or packets from one of the box's publishing sockets.

    Args:
        kind: which of them.
        address: of that socket.
        listener: subscribes there.
        feed: hands over what the listener brings.
    """

    def __init__(self, kind: Input, address: str, listener: Listener, feed: Feeding) -> None:
        self._kind = kind
        self._address = address
        self._listener = listener
        self._feed = feed
        self._begun_s = time.monotonic()
        self._stopping = threading.Event()
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"inlet-{kind}", daemon=True)

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        return self._feed.progress

    @property
    def summary(self) -> str:
        """How it was, in words."""
        return self._feed.summary

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self, say: Teller) -> None:
        """Say whether anything comes."""
        if self._feed.come:
            say.well(f"{self._kind} come from {self._address}")
        elif time.monotonic() - self._begun_s > _PATIENCE_S:
            what = self._kind.removesuffix("s")
            say.trouble(
                f"no {what} has come from {self._address} yet; is sightline running, and this its "
                f"{SETTINGS[self._kind]}?"
            )

    def stop(self) -> None:
        """End, and close what the sink has open.

        Raises:
            SightlineError: if that fails.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._feed.close()

    def close(self) -> None:
        """Disconnect."""
        if not self._thread.is_alive():  # else it is in use; it goes with the process
            self._listener.close()

    def _work(self) -> None:
        try:
            self._feed.run(self._stopping.is_set)
        except Exception as error:  # told where the process ends
            self.error = error
            self.ended.set()


def raise_first(errors: list[Exception]) -> None:
    """Raise what went wrong first, our own words if there are some."""
    own = [error for error in errors if isinstance(error, SightlineError)]
    for error in own or errors:
        raise error


def _absent(address: str, has_answered: bool, handshakes_failed: int) -> str:
    if handshakes_failed:
        return f"{address} does not let us in: look at --server-key, --key, and the box's bus.curve"
    if has_answered:
        return f"{address} is away; it is tried for ever, and what happens meanwhile waits there"
    return f"no answer from {address} yet; is sightline running, and this its {SETTINGS['events']}?"

"""One connection of a source in a thread of its own, so that it can be given up in any state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from pipeline.blame import blaming
from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import Source, StreamInfo
from pipeline.watch import Watch


class Reader:
    """Opens and reads one source, and hands on what it yields until it ends or is abandoned.

    Attributes:
        source: what is read.
        watch: judges it; guarded by `lock`.
        lock: held while an item is handed on, so that nothing passes once `abandon` has returned.
        info: of the open source, None before.
        error: what it ended with, None while it runs or when it ended well.
        has_counted: for the keeper: this connection is in its count.

    Args:
        source: not open yet.
        changed: notified when the reader is over.
        opened: called once it is open, with `lock` held.
        take: called with each item; False ends the reading.
    """

    watch: Watch

    def __init__(
        self,
        source: Source,
        changed: threading.Condition,
        opened: Callable[[StreamInfo], None],
        take: Callable[[Reader, StreamInfo, Frame | Gap], bool],
    ) -> None:
        self.source = source
        self.lock = threading.Lock()
        self.info: StreamInfo | None = None
        self.error: BaseException | None = None
        self.has_counted = False
        self._changed = changed
        self._opened = opened
        self._take = take
        self._abandoned = False
        self._over = False
        self._thread = threading.Thread(target=self._work, name=f"{source.stream}-reader", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, for at most so many seconds."""
        self._thread.join(timeout_s)

    def abandon(self) -> None:
        """Let nothing pass any more; waits while an item is being handed on."""
        self.forsake()
        with self.lock:
            pass

    def forsake(self) -> None:
        """Let nothing pass any more but what is being handed on right now. Returns at once."""
        self._abandoned = True

    @property
    def is_over(self) -> bool:
        """Whether the source has ended and everything it yielded was handed on."""
        return self._over

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def _work(self) -> None:
        try:
            with blaming(SourceError, "the source failed"):
                self._read()
        except BaseException as error:
            self.error = error
        finally:
            try:
                with blaming(SourceError, "closing the source failed"):
                    self.source.close()
            except BaseException as error:
                self.error = self.error or error
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _read(self) -> None:
        info = self.source.open()
        with self.lock:
            if self._abandoned:
                return
            self._opened(info)
            self.info = info
            if not info.live:  # cannot be begun again where it was: only its own time-outs end it
                self.watch.patient = True
        items = self.source.read()
        try:
            for item in items:
                with self.lock:
                    if self._abandoned or not self._take(self, info, item):
                        return
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                with suppress(Exception):
                    close()

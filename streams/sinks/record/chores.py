"""What is done for the recordings beside writing them: index and disk compared, old ones removed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

from pipeline.plugin import Tell
from pipeline.steady import SteadyClock
from streams.sinks.record.alarm import Alarm
from streams.sinks.record.archive import Archive
from streams.sinks.record.disk import Trouble
from streams.sinks.record.reconcile import Differences, reconcile

logger = logging.getLogger(__name__)

_TICK_S = 1.0
_AGED_EVERY_S = 3600.0
_COMPARED_EVERY_S = 86_400.0
_AGAIN_S = 60.0
"""After a failure."""
_SILENT_S = 5.0
"""A disk that takes longer than this for one call is slow, whatever comes of it."""
_LEAVE_S = 2.0


class Chores:
    """A thread for each: what may take long, and watching whether the disk answers.

    Args:
        archive: the recordings.
        tell: makes events.
        busy: since when each stream waits for the disk, `time.monotonic`; None where it does not.
        alarms: of the streams.
        clock_s: monotonic.
        time_of_day: tells of leaps.
    """

    def __init__(
        self,
        archive: Archive,
        tell: Tell,
        busy: Callable[[], Mapping[str, float | None]],
        alarm: Callable[[str], Alarm],
        clock_s: Callable[[], float] = time.monotonic,
        time_of_day: SteadyClock | None = None,
    ) -> None:
        self._archive = archive
        self._tell = tell
        self._busy = busy
        self._alarm = alarm
        self._clock_s = clock_s
        self._index_alarm = Alarm("", tell, archive.now_ns)
        self._time_of_day = time_of_day or SteadyClock(archive.now_ns)
        self._stop = threading.Event()
        self._compared = 0
        self._compare_at_s = self._age_at_s = clock_s()
        self._threads = [
            threading.Thread(target=self._loop, args=(task,), name=f"record-{name}", daemon=True)
            for name, task in (("chores", self.work), ("watch", self.watch))
        ]

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End them; one that waits for a disk is left behind."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_LEAVE_S)

    def watch(self) -> None:
        """Tell of streams that wait for the disk."""
        now_s = self._clock_s()
        for stream, since_s in self._busy().items():
            if since_s is not None and now_s - since_s > _SILENT_S:
                self._alarm(stream).begin(
                    Trouble.SLOW, f"{self._archive.root}: the disk has not answered for {_SILENT_S:g} s"
                )

    def work(self) -> None:
        """Do what is due."""
        if not self._archive.is_open():
            return
        now_s = self._clock_s()
        complaint, self._archive.complaint = self._archive.complaint, ""
        if complaint:
            self._index_alarm.begin(Trouble.INDEX, complaint)
            self._compare_at_s = min(self._compare_at_s, now_s + _AGAIN_S)
        if self._archive.opened != self._compared or now_s >= self._compare_at_s:
            self._compare(now_s)
        leap_ns = self._time_of_day.look()
        if leap_ns:
            logger.warning("recordings: the clock of this box was set by %.0f s", leap_ns / 1e9)
            self._archive.clock_was_set(leap_ns)
        if now_s >= self._age_at_s and self._time_of_day.is_steady():
            self._age_at_s = now_s + _AGED_EVERY_S
            removed = self._archive.remove_aged()
            if removed:
                logger.info("recordings: %d were older than is kept, and removed", removed)

    def _compare(self, now_s: float) -> None:
        opened = self._archive.opened
        self._compare_at_s = now_s + _AGAIN_S
        found = reconcile(self._archive, self._stop.is_set)
        self._compared = opened
        self._compare_at_s = now_s + _COMPARED_EVERY_S
        self._index_alarm.end()
        if found:
            self._say(found)

    def _say(self, found: Differences) -> None:
        counts = asdict(found)
        logger.warning(
            "recordings: %s: index and disk differed: %s",
            self._archive.root,
            ", ".join(f"{number} {name}" for name, number in counts.items() if number),
        )
        self._tell("", "recording.reconciled", counts)

    def _loop(self, task: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                task()
            except Exception as error:  # a chore that fails is tried again; recording does not hang on it
                logger.warning("recordings: %s", str(error) or type(error).__name__)
                logger.debug("recordings", exc_info=error)
                self._stop.wait(_AGAIN_S)
            self._stop.wait(_TICK_S)

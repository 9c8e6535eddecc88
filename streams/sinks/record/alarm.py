"""Tells when recording fails, why, and what is missing once it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.moment import iso_utc
from pipeline.plugin import Tell
from streams.sinks.record.disk import Trouble

KIND = "recording.alarm"


@dataclass(slots=True)
class _Trouble:
    what: Trouble
    since_ns: int
    lost: int = 0


class Alarm:
    """The alarm of one stream: an event when it begins, or its reason changes, and one when it is over.

    May be called from any thread.

    Args:
        stream: name of the stream.
        tell: makes events.
        now_ns: UTC of this box.
    """

    def __init__(self, stream: str, tell: Tell, now_ns: Callable[[], int]) -> None:
        self._stream = stream
        self._tell = tell
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._trouble: _Trouble | None = None

    @property
    def trouble(self) -> Trouble | None:
        """What is wrong."""
        trouble = self._trouble
        return None if trouble is None else trouble.what

    def begin(self, what: Trouble, detail: str, lost: int = 0) -> None:
        """Tell what is wrong, unless that is known.

        Args:
            what: is wrong.
            detail: one line for a person.
            lost: packets that are lost by it.
        """
        with self._lock:
            trouble = self._trouble
            if trouble is None:
                trouble = self._trouble = _Trouble(what, self._now_ns())
            elif trouble.what is what:
                trouble.lost += lost
                return
            trouble.what = what
            trouble.lost += lost
            since = iso_utc(trouble.since_ns)
        self._tell(
            self._stream, KIND, {"state": "begin", "reason": what.value, "since": since, "detail": detail}
        )

    def end(self, lost_s: float | None = None) -> None:
        """Tell that recording goes on, if it did not.

        Args:
            lost_s: media that is missing, s; None where only packets are known.
        """
        with self._lock:
            trouble, self._trouble = self._trouble, None
            if trouble is None:
                return
            until_ns = self._now_ns()
        data: dict[str, object] = {
            "state": "end",
            "reason": trouble.what.value,
            "since": iso_utc(trouble.since_ns),
            "until": iso_utc(until_ns),
            "seconds": round((until_ns - trouble.since_ns) / 1e9, 3),
        }
        if lost_s is not None:
            data["lost_s"] = round(lost_s, 3)
        if trouble.lost:
            data["lost_packets"] = trouble.lost
        self._tell(self._stream, KIND, data)

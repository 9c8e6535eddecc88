"""The kind of sink that writes files of a run, and goes on when its disk takes them again."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.event import Event
from pipeline.plugin import Sink


class FileSink(Sink):
    """A sink that may raise `Unwritable`, which means: not now.

    A stream that is no live one ends with that, as half a result must not look like a whole one. A live
    stream goes on: an event `sink.state` tells it, the sink is called as before, and `retry` now and then,
    until that returns. Meanwhile the sink keeps what it is given within a bound, or leaves it out and counts
    it. It may raise again; whatever it has written before stays whole.

    What any other error means is as for every sink: the stream ends.
    """

    def retry(self, stream: str) -> None:
        """Write what waits, or begin anew; from the stream's output thread.

        Raises:
            Unwritable: while the disk still refuses.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement retry")

    def losses(self, stream: str) -> Mapping[str, int]:
        """Return what of this stream was left out so far, by what it is ("events"); from any thread."""
        raise NotImplementedError(f"{type(self).__name__} does not implement losses")

    def on_box_event(self, event: Event) -> None:
        """Take an event that belongs to no stream (its stream is `_box`); from any thread.

        Raises:
            Unwritable: if it can only be kept for later, or not at all.
        """

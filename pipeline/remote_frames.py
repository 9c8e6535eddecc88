"""Frames of a bus for a sink of pictures that runs in a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.blame import blaming
from pipeline.errors import SinkError
from pipeline.frame import Frame, Gap
from pipeline.listen import Listener
from pipeline.outages import Outages
from pipeline.picture import BgrPicture
from pipeline.plugin import Sink, StreamInfo
from pipeline.privacy.options import effective
from pipeline.privacy.veil import Veils
from pipeline.wire import FrameMessage

_LOOK_S = 0.1


@dataclass(slots=True)
class _Open:
    """A stream that the sink has open.

    Attributes:
        form: what it was opened for: the bus and the size of the picture.
        veils: hide from the sink what it must not see, beyond what the bus hides from all.
        outages: keep it open while the disk refuses its files.
        last: its latest frame.
    """

    form: tuple[str, int, int]
    veils: Veils
    outages: Outages
    last: Frame | None = None


class FrameFeed:
    """Hands a sink each frame that comes, in order, as the output thread of a stream would.

    What is lost on the way becomes the next frame's gap. A box that was started again begins its media time
    anew, so that the sink's streams are closed and opened.

    Args:
        name: of the sink, for its errors.
        sink: implements `on_frame`.
        listener: of frames, none of which it skips.
        turn: held while the sink is called, so that no event comes at that time.

    Attributes:
        come: frames that the sink has.
        lost: frames that did not come.
        unreadable: pictures that are no JPEG.
    """

    def __init__(self, name: str, sink: Sink, listener: Listener, turn: threading.Lock | None = None) -> None:
        self._name = name
        self._sink = sink
        self._listener = listener
        self._turn = turn or threading.Lock()
        self._privacy = effective(getattr(sink.options, "privacy", None), None)
        self._open: dict[str, _Open] = {}
        self.come = self.lost = self.unreadable = 0

    def run(self, stopping: Callable[[], bool]) -> None:
        """Deliver until `stopping` says so.

        Raises:
            SinkError: if the sink fails.
        """
        while not stopping():
            received = self._listener.receive(_LOOK_S)
            if received is None or not isinstance(received.message, FrameMessage):
                continue
            message = received.message
            self.lost += received.lost
            if not self._sink.options.serve(message.stream):
                continue
            try:
                bgr = cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_COLOR)
            except cv2.error:  # it claims more than 2**30 pixels
                bgr = None
            if bgr is None or bgr.shape[:2] != (message.height, message.width):
                self.unreadable += 1
                continue
            self._deliver(message, BgrPicture(np.asarray(bgr, np.uint8)), received.lost)

    @property
    def progress(self) -> str:
        """How far it is, in words."""
        return f"{self.come} frames delivered, {self.lost} lost on the way"

    @property
    def summary(self) -> str:
        """How it was, in words."""
        return f"{self.progress}, {self.unreadable} unreadable"

    def close(self) -> None:
        """Close what the sink has open."""
        opened, self._open = self._open, {}
        for stream, known in opened.items():
            with self._turn, blaming(SinkError, f"closing sink '{self._name}' failed"):
                self._finish(stream, known)

    def _deliver(self, message: FrameMessage, picture: BgrPicture, lost: int) -> None:
        stream = message.stream
        form = (message.bus, picture.width, picture.height)
        known = self._open.get(stream)
        with self._turn, blaming(SinkError, f"sink '{self._name}' failed"):
            if known is not None and known.form != form:
                del self._open[stream]
                self._finish(stream, known)
                known = None
            if known is None:
                info = StreamInfo(stream, "", message.run, picture.width, picture.height, live=True)
                known = _Open(form, Veils([self._privacy], stream), self._outages(stream))
                with known.outages.enduring(self._sink):
                    self._sink.open_stream(info)
                self._open[stream] = known
            if known.outages.failing:
                known.outages.retry()
            after_s = known.last.moment.pts_s if known.last else None
            frame = Frame(
                stream,
                message.run,
                message.sequence,
                message.moment,
                picture,
                gap=Gap("lost on the bus", after_s, None, f"{lost} frames") if lost else None,
                detections=message.detections,
                carried_s=message.carried_s,
                suspended=message.suspended,
                tracks=message.tracks,
                counts=message.counts,
            )
            known.veils.look(frame)
            self._show(known)
        known.last = frame
        self.come += 1

    def _finish(self, stream: str, known: _Open) -> None:
        try:
            known.veils.rest()
            self._show(known)
        finally:
            self._sink.close_stream(stream)

    def _outages(self, stream: str) -> Outages:
        """Return what keeps this process going while the disk refuses its files; the log tells of it."""
        outages = Outages(stream, lambda _: None)
        outages.watch(self._name, self._sink)
        return outages

    def _show(self, known: _Open) -> None:
        for veiled in known.veils.ready(self._privacy):
            with known.outages.enduring(self._sink):
                self._sink.on_frame(veiled.frame())

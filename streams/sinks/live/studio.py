"""Makes a stream's annotated pictures into JPEG and H.264 while somebody watches, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2

from pipeline.errors import SinkError
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet
from pipeline.picture import U8Array
from streams.sinks.encoder import Encoder, Encoding, Pace, fitted, scaled
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.original import Original
from streams.sinks.live.programme import Programme, Rhythm
from streams.sinks.stub import stub_picture

logger = logging.getLogger(__name__)

_STUB_STEP_S = 0.25
_KEY_STEP_S = 0.5
"""Viewers who ask for key frames all the time get no more than this."""
_PAUSE_S = 1.0
_STUB_SIZE = (1280, 720)


@dataclass(frozen=True, slots=True)
class Still:
    """One annotated picture for who watches JPEGs.

    Attributes:
        jpeg: the file.
        time_ns: UTC at which it was taken; of a stub, of the last picture, None when there was none.
        is_stub: it says that there is no picture.
    """

    jpeg: bytes
    time_ns: int | None
    is_stub: bool


class Studio:
    """Takes the newest picture when it is done with the one before; what comes too fast is counted.

    Its thread lives while somebody watches (`wake`). `see` and `offer` come from the stream's output thread,
    the rest from any.

    Attributes:
        annotated: what is encoded here.
        wants_stills: somebody watches JPEGs; set by the server.
        is_live: whether a stub is shown when no pictures come; set when the stream is opened.
        passed_over: pictures that were too many.

    Args:
        stream: its name.
        options: of the sink.
        original: gets stubs, too, when its packets stay away; None if it is not offered.
        show: gets each still, in this thread.
        clock: monotonic seconds.
        utc_ns: the time of day, ns.
    """

    def __init__(
        self,
        stream: str,
        options: LiveOptions,
        original: Original | None,
        show: Callable[[Still], None],
        clock: Callable[[], float] = time.monotonic,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.annotated = Programme(stream)
        self.wants_stills = False
        self.is_live = True
        self.passed_over = 0
        self._stream = stream
        self._options = options
        self._original = original
        self._show = show
        self._clock = clock
        self._utc_ns = utc_ns
        self._pace = Pace(options.rate_hz)
        self._rhythm = Rhythm()
        self._work = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._picture: tuple[U8Array, Moment] | None = None
        self._seen: tuple[float, Moment, tuple[int, int]] | None = None
        self._started_s = clock()
        self._encoder: _Line | None = None
        self._stub_encoder: _Line | None = None
        self._wants_key = False
        self._key_s = float("-inf")

    @property
    def is_wanted(self) -> bool:
        """Whether anybody watches what is made here."""
        return self.wants_stills or self.annotated.is_wanted

    @property
    def has_seen(self) -> bool:
        """Whether there was any picture."""
        return self._seen is not None

    @property
    def step_s(self) -> float:
        """Longest recent seconds from one encoded picture to the next, 0 if not known."""
        with self._work:
            longest_s = self._rhythm.longest()[1]
        return max(longest_s, 1 / (self._options.rate_hz or 1000))

    def see(self, moment: Moment, size: tuple[int, int]) -> None:
        """Note that there is a picture of `size` (width, height) px."""
        with self._work:
            self._rhythm.note(moment.pts_s, is_key=False)
        self._seen = (self._clock(), moment, size)

    def offer(self, bgr: U8Array, moment: Moment) -> None:
        """Take a drawn picture, (H, W, 3) uint8, read-only; does not wait."""
        if not self._pace.takes(moment.pts_s):
            return
        with self._work:
            if self._picture is not None:
                self.passed_over += 1
            self._picture = (bgr, moment)
            self._work.notify()

    def ask_for_key(self) -> None:
        """Make one of the next pictures a key frame."""
        self._wants_key = True

    def wake(self) -> None:
        """Work from now on, until nobody watches any more."""
        with self._work:
            if not self._closed and (self._thread is None or not self._thread.is_alive()):
                name = f"{self._stream}-live-pictures"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread; safe more than once."""
        with self._work:
            self._closed = True
            thread = self._thread
            self._work.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._work:
                if self._picture is None and not self._closed:
                    self._work.wait(_STUB_STEP_S)
                taken, self._picture = self._picture, None
                others = self._original is not None and self._original.programme.is_wanted
                if self._closed or not (self.is_wanted or others):
                    # All within the lock: the thread that follows may begin to encode at once.
                    self._thread = None
                    self._stop_encoding()
                    self._stub_encoder = None
                    return
            try:
                if taken is not None:
                    self._make(*taken, is_stub=False)
                elif self.is_live:
                    self._stand_in()
            except Exception as error:  # a viewer's picture must not end the stream
                logger.warning("stream '%s': live pictures cannot be made: %s", self._stream, error)
                self._encoder = self._stub_encoder = None
                with self._work:
                    self._work.wait(_PAUSE_S)

    def _stop_encoding(self) -> None:
        if self._encoder is not None:
            self._encoder = None
            self.annotated.pause()

    def _make(self, bgr: U8Array, moment: Moment, *, is_stub: bool) -> None:
        height, width = bgr.shape[:2]
        size = scaled(width, height, self._options.size)
        small = bgr if self._options.size is None else fitted(bgr, *size)
        if self.wants_stills:
            seen = self._seen
            taken_ns = moment.time_ns if not is_stub else seen[1].time_ns if seen else None
            self._show(Still(self._jpeg(small), taken_ns, is_stub))
        if not self.annotated.is_wanted:
            self._stop_encoding()
            return
        line = self._encoder
        if line is None or line.size != size or moment.pts_s <= line.latest_s:
            line = self._encoder = self._new_line(size)
            self.annotated.begin(line.encoder.form)
        key = self._wants_key and self._clock() - self._key_s >= _KEY_STEP_S
        packet = line.encode(small, moment, key=key)
        if packet.is_key:
            self._wants_key, self._key_s = False, self._clock()
        self.annotated.put(packet)

    def _stand_in(self) -> None:
        now = self._clock()
        seen = self._seen
        silent_s = now - (self._started_s if seen is None else seen[0])
        if self.is_wanted and silent_s >= self._options.stub_after_s:
            size = _STUB_SIZE if seen is None else seen[2]
            since_ns = None if seen is None else seen[1].time_ns
            begin_s = 0.0 if seen is None else seen[1].pts_s
            stub = stub_picture(*size, self._stream, since_ns)
            self._make(stub, self._present(begin_s + silent_s), is_stub=True)
        original = self._original
        if (
            original is not None
            and original.programme.is_wanted
            and original.silent_s >= self._options.stub_after_s
        ):
            self._stand_in_for(original)
        else:
            self._stub_encoder = None

    def _stand_in_for(self, original: Original) -> None:
        line = self._stub_encoder
        if line is None or line.size != scaled(*original.size, None):
            line = self._stub_encoder = self._new_line(scaled(*original.size, None))
            original.begin_stub(line.encoder.form)
        stub = stub_picture(*line.size, self._stream, original.latest_ns)
        if not original.put_stub(line.encode(stub, self._present(self._clock()), key=False)):
            self._stub_encoder = None

    def _present(self, pts_s: float) -> Moment:
        return Moment(pts_s, self._utc_ns(), Clock.ARRIVAL)

    def _new_line(self, size: tuple[int, int]) -> _Line:
        options = self._options
        encoding = Encoding(
            bitrate_kbps=options.bitrate_kbps,
            crf=options.crf,
            preset=options.preset,
            keyframe_s=options.segment_s,
            rate_hz=options.rate_hz or 25.0,
        )
        return _Line(Encoder(self._stream, "live", *size, encoding), size)

    def _jpeg(self, bgr: U8Array) -> bytes:
        done, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._options.jpeg_quality])
        if not done:
            raise SinkError(f"a picture of {bgr.shape[1]} x {bgr.shape[0]} px cannot be a JPEG")
        return coded.tobytes()


class _Line:
    """An encoder with what it was made for."""

    def __init__(self, encoder: Encoder, size: tuple[int, int]) -> None:
        self.encoder = encoder
        self.size = size
        self.latest_s = float("-inf")

    def encode(self, bgr: U8Array, moment: Moment, *, key: bool) -> Packet:
        self.latest_s = moment.pts_s
        return self.encoder.encode(bgr, moment, key=key)

"""Hands the synthetic street to the engine as if it were a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from pydantic import AwareDatetime

from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.synthetic.parameters import parse_url
from streams.sources.synthetic.render import StreetRenderer
from streams.sources.synthetic.street import Street
from streams.sources.synthetic.truth import Anchor, Point, StreetTruth, TrueCrossing, crossings


class SyntheticOptions(Options):
    """What the configuration may add to the URL.

    Attributes:
        start_time: wall-clock time of the first picture, 1970-01-01 when not given.
    """

    start_time: AwareDatetime | None = None


class SyntheticSource(Source):
    """A drawn street with known truth: `synthetic://street?seed=1&width=640&height=360&rate_hz=25`.

    The same URL gives the same bytes. Picture k is the scene at k / rate_hz seconds of the media clock.

    Raises:
        ConfigError: if the URL names another scene, an unknown key or a value out of bounds.
    """

    Options = SyntheticOptions
    emits = NO_EVENTS

    def __init__(self, url: SecretUrl | str, options: Any, stream: str) -> None:
        super().__init__(url, options, stream)
        self._parameters = parse_url(self.address.reveal())
        self._street = Street(self._parameters)
        self._renderer: StreetRenderer | None = None
        self._closed = threading.Event()

    @property
    def truth(self) -> StreetTruth:
        """What really happens in this street; may be asked at any time."""
        return StreetTruth(self._street)

    @classmethod
    def true_crossings(cls, url: str, start: Point, end: Point, anchor: Anchor) -> list[TrueCrossing]:
        """Return what a perfect counter would count at a line; `sightline demo` compares with it.

        Args:
            url: the street.
            start: one end of the line, fractions of the picture.
            end: the other end.
            anchor: which point of a body's box has to cross.
        """
        return crossings(url, start, end, anchor)

    def open(self) -> StreamInfo:
        """Paint the backdrop and say what the pictures will be."""
        self._renderer = StreetRenderer(self._street)
        parameters = self._parameters
        return StreamInfo(
            stream=self.stream,
            url=self.url,
            run=parameters.digest(),
            width=parameters.width,
            height=parameters.height,
            pixel_format="bgr24",
            rate_hz=parameters.rate_hz,
            duration_s=parameters.frames / parameters.rate_hz,
            frames=parameters.frames,
        )

    def read(self) -> Iterator[Frame | Gap]:
        """Yield every picture in order; there are no gaps."""
        renderer = self._renderer
        if renderer is None:
            raise SourceError(f"{self.url}: not open; call open() before read()")
        run = self._parameters.digest()
        start = self._start()
        for sequence in range(self._parameters.frames):
            if self._closed.is_set():
                return
            moment = start.shifted(sequence / self._parameters.rate_hz)
            yield Frame(self.stream, run, sequence, moment, BgrPicture(renderer.paint(sequence)))

    def close(self) -> None:
        """Let go of the pictures; a running `read` ends before its next one."""
        self._closed.set()
        self._renderer = None

    def _start(self) -> Moment:
        start_time = self.options.start_time
        time_ns = 0 if start_time is None else round(start_time.timestamp() * 1e6) * 1000
        return Moment(0.0, time_ns, Clock.FILE, 0)

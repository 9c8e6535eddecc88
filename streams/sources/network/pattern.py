"""Source `lavfi`: FFmpeg's test patterns in real time, for trying settings and for tests without a camera."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import NO_EVENTS, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.network.connection import Connection
from streams.sources.network.live import LiveRun
from streams.sources.network.pacer import Pacer
from streams.sources.network.protocols import Opening

# What paints, and what changes a picture. Filters that read or write files, or listen, are not among them.
_PAINTERS = (
    "allrgb", "allyuv", "cellauto", "color", "colorchart", "colorspectrum", "gradients", "haldclutsrc",
    "life", "mandelbrot", "nullsrc", "pal100bars", "pal75bars", "rgbtestsrc", "sierpinski", "smptebars",
    "smptehdbars", "testsrc", "testsrc2", "yuvtestsrc", "zoneplate",
)  # fmt: skip
_CHANGERS = (
    "boxblur", "crop", "drawbox", "drawgrid", "eq", "fade", "format", "fps", "gblur", "hflip", "hue",
    "negate", "noise", "null", "pad", "rotate", "scale", "setsar", "transpose", "trim", "vflip",
)  # fmt: skip
_FILTER_NAME = re.compile(r"(?:^|[,;\]])\s*([A-Za-z_]\w*)")
_OPEN_S = 5.0


class LavfiSource(Source):
    """Paints a test pattern, e.g. `lavfi://testsrc2=size=640x360:rate=25`, each picture when it is due.

    It is live: it never ends, and a consumer that is too slow misses pictures.
    """

    emits = NO_EVENTS
    live = True

    def __init__(self, url: SecretUrl | str, options: Any, stream: str) -> None:
        super().__init__(url, options, stream)
        self._stop = threading.Event()
        self._pacer = Pacer(self._stop)
        self._connection: Connection | None = None
        self._run: LiveRun | None = None

    def open(self) -> StreamInfo:
        """Make the filter graph and its first picture.

        Raises:
            SourceError: if FFmpeg does not understand the graph, or it holds another filter than those that
                paint and change pictures.
        """
        graph = self.address.reveal().partition("://")[2]
        names = _FILTER_NAME.findall(graph)
        foreign = [name for name in names if name not in _PAINTERS + _CHANGERS]
        if not names or names[0] not in _PAINTERS or foreign:
            found = foreign[0] if foreign else names[0] if names else "nothing"
            raise SourceError(
                f"{self.url}: '{found}' is no test pattern; give one such as "
                "lavfi://testsrc2=size=640x360:rate=25",
                Reason.REJECTED,
            )
        if self._stop.is_set():
            raise SourceError(f"{self.url}: was closed while it was opened", Reason.CLOSED)
        self._connection = Connection(self.url, Opening(graph, "lavfi", {}, _OPEN_S, _OPEN_S, "lavfi"))
        self.progress.connected = True
        self._run = LiveRun(
            self._connection, self.stream, self.url, self.progress, "arrival", pace=self._pacer, painted=True
        )
        return self._run.open()

    def read(self) -> Iterator[Frame | Gap]:
        """Yield a picture whenever one is due."""
        if self._run is None or self._connection is None:
            raise RuntimeError("read() before open()")
        try:
            yield from self._run.read()
        finally:
            self._connection.close()

    def close(self) -> None:
        """End `read` at once, from any thread."""
        self._stop.set()
        if self._connection is not None:
            self._connection.close()

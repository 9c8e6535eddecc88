"""Sources `rtsp`, `rtsps`, `http`, `https`, `rtmp`, `rtmps`, `srt`, `udp` and `tcp`: video from a network."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.frame import Frame, Gap
from pipeline.plugin import NO_EVENTS, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.network.options import NetworkOptions
from streams.sources.network.reader import MediaReader


class NetworkSource(Source):
    """A camera, a live stream or a recording on a server."""

    Options = NetworkOptions
    emits = NO_EVENTS
    options: NetworkOptions
    live = True
    copies = True

    def __init__(self, url: SecretUrl | str, options: NetworkOptions, stream: str) -> None:
        super().__init__(url, options, stream)
        self._reader = MediaReader(self.address, options, stream, self.progress)

    def open(self) -> StreamInfo:
        """Connect and decode up to the first good picture."""
        self._reader.tap = self.tap
        return self._reader.open()

    def read(self) -> Iterator[Frame | Gap]:
        """Yield frames and gaps until the peer ends the stream.

        Gaps' causes: "decode error", "timestamp jump", "no data" and, for recordings, those of the source
        `file`.
        """
        return self._reader.read()

    def close(self) -> None:
        """End `open` and `read` at their next packet, or within twice the time-out; from any thread."""
        self._reader.close()

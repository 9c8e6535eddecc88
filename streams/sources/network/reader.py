"""Reads one media URL: the seam between FFmpeg and everything that wants frames from a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.condition import Progress
from pipeline.frame import Frame, Gap
from pipeline.plugin import StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.network.options import NetworkOptions


class MediaReader:
    """One connection to a media URL; used by one thread, except `close`.

    Args:
        address: what is opened, in full.
        options: of the network sources.
        stream: name of the stream.
        progress: of the source that composes it; `connected` and `trouble` are set here.
        name: what messages begin with and `StreamInfo.url` shows, fit to be shown; the masked address
            when left out.
        headers: HTTP headers in clear, over those in the options.
        live: what is known of it being live; the options' word comes first, None finds out.
    """

    def __init__(
        self,
        address: SecretUrl,
        options: NetworkOptions,
        stream: str,
        progress: Progress,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        live: bool | None = None,
    ) -> None:
        self.name = str(address) if name is None else name

    def open(self) -> StreamInfo:
        """Connect and decode up to the first good picture.

        Raises:
            SourceError: "NAME: what is wrong; what to do", with its `Reason`.
        """
        raise NotImplementedError

    def read(self) -> Iterator[Frame | Gap]:
        """Yield frames and gaps until the peer ends the stream or `close` is called.

        Raises:
            SourceError: see `open`; also for a recording that is cut short.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Make `open` and `read` end soon and free everything; from any thread, at once, more than once."""

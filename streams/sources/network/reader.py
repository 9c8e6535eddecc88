"""Reads one media URL: the seam between FFmpeg and everything that wants frames from a network."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from pipeline.condition import Progress, Reason
from pipeline.errors import SourceError
from pipeline.frame import Frame, Gap
from pipeline.packet import Tap
from pipeline.plugin import StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.network.connection import Connection
from streams.sources.network.live import LiveRun
from streams.sources.network.options import NetworkOptions, with_credentials
from streams.sources.network.pacer import Pacer
from streams.sources.network.protocols import opening
from streams.sources.network.recorded import RecordedRun
from streams.sources.network.tracks import PLAYLISTS


class MediaReader:
    """One connection to a media URL; used by one thread, except `close`.

    Attributes:
        name: what messages begin with.
        tap: where a copy of each video packet goes, set before `open`; None for nowhere.

    Args:
        address: what is opened, in full.
        options: of the network sources.
        stream: name of the stream.
        progress: of the source that composes it; `connected` and `trouble` are set here.
        name: what messages begin with and `StreamInfo.url` shows, fit to be shown; the masked address
            when left out.
        headers: HTTP headers in clear, beside those in the options, which win.
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
        self._address = address
        self._options = options
        self._stream = stream
        self._progress = progress
        self.tap: Tap | None = None
        self._headers = dict(headers or {})
        self._live = live if options.live is None else options.live
        self._closed = threading.Event()
        self._connection: Connection | None = None
        self._run: LiveRun | RecordedRun | None = None

    def open(self) -> StreamInfo:
        """Connect and decode up to the first good picture.

        Raises:
            SourceError: "NAME: what is wrong; what to do", with its `Reason`.
        """
        if self._closed.is_set():
            raise self._was_closed()
        options = self._options
        how = opening(
            with_credentials(self._address, options), options, self._headers | options.plain_headers()
        )
        connection = self._connection = Connection(
            self.name,
            how,
            hwaccel=options.hwaccel,
            wait_for_key=options.wait_for_key,
            live=self._live,
            tap=self.tap,
        )
        self._progress.connected = True
        try:
            if self._closed.is_set():
                raise self._was_closed()
            if connection.is_recording:
                self._run = RecordedRun(connection, self._stream, self.name, options.start_time)
            else:
                # The segments of a playlist come in lumps of seconds: without a pace most would be dropped.
                pace = Pacer(self._closed) if connection.format in PLAYLISTS else None
                self._run = LiveRun(
                    connection, self._stream, self.name, self._progress, options.clock, pace=pace
                )
            return self._run.open()
        except BaseException:
            connection.close()
            raise

    def read(self) -> Iterator[Frame | Gap]:
        """Yield frames and gaps until the peer ends the stream or `close` is called.

        Raises:
            SourceError: see `open`; also for a recording that is cut short.
        """
        run, connection = self._run, self._connection
        if run is None or connection is None:
            raise RuntimeError("read() before open()")
        try:
            yield from run.read()
        finally:
            connection.close()

    def close(self) -> None:
        """Make `open` and `read` end soon and free everything; from any thread, at once, more than once."""
        self._closed.set()
        if self._connection is not None:
            self._connection.close()

    def _was_closed(self) -> SourceError:
        return SourceError(f"{self.name}: was closed while it was opened", Reason.CLOSED)

"""Source `youtube` (and `site`): a video page, live or recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import AwareDatetime, Field

from pipeline.condition import Reason
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.plugin import NO_EVENTS, Options, Source, StreamInfo
from pipeline.secret import SecretUrl
from streams.sources.hardware import Hwaccel
from streams.sources.network.options import NetworkOptions
from streams.sources.network.reader import MediaReader
from streams.sources.youtube.extract import Request
from streams.sources.youtube.link import Link
from streams.sources.youtube.resolver import Resolver

_HOSTS = ("youtube.com/", "www.youtube.com/", "m.youtube.com/", "youtu.be/")
_LINK_IS_BAD = (Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_FOUND)


class YoutubeOptions(Options):
    """Options of the sources `youtube` and `site`.

    Attributes:
        max_height: largest height of the pictures, px; where all are larger the smallest is taken.
        format: a yt-dlp format in place of `max_height`, e.g. "bv*[height<=480]".
        cookies: path of a cookie file in Netscape's format, for pages that want a login. It is only read.
        resolve_timeout_s: longest time to find the video of the page, seconds.
        timeout_s: as for network sources.
        live: whether it is live (True) or a recording; by default what the site says, else the media.
        start_time: of a recording: wall-clock time of its first picture, with its zone.
        wait_for_key: as for network sources.
        hwaccel: as for network sources.
    """

    max_height: int = Field(default=720, ge=16, le=16384)
    format: str | None = Field(default=None, min_length=1)
    cookies: str | None = Field(default=None, min_length=1)
    resolve_timeout_s: float = Field(default=30.0, gt=0, le=300)
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    live: bool | None = None
    start_time: AwareDatetime | None = None
    wait_for_key: bool = True
    hwaccel: Hwaccel = "none"


class YoutubeSource(Source):
    """Plays a page: `youtube://VIDEO_ID`, `youtube://@channel/live`, `youtube://https://PAGE`, `site://PAGE`.

    Links to media are signed and expire after hours. Each instance finds its own, so that a new
    connection after `Reason.EXPIRED` plays on with a new link.

    Raises:
        ConfigError: if the URL names no page.
    """

    Options = YoutubeOptions
    emits = NO_EVENTS
    live = True
    copies = True
    options: YoutubeOptions

    def __init__(self, url: SecretUrl | str, options: YoutubeOptions, stream: str) -> None:
        super().__init__(url, options, stream)
        page = page_of(self.address.reveal())
        if page is None:
            raise ConfigError(
                f"{self.url}: expected youtube://VIDEO_ID, youtube://https://PAGE or site://HOST/PATH"
            )
        request = Request(
            page, options.max_height, options.format, options.cookies, min(10.0, options.resolve_timeout_s)
        )
        self._resolver = Resolver(self.url, request, options.resolve_timeout_s)
        self._reader: MediaReader | None = None
        self._link: Link | None = None
        self._closed = False

    def open(self) -> StreamInfo:
        """Find the media of the page and connect to it.

        Raises:
            SourceError: what the site says, or what is wrong with the connection.
        """
        link = self._link = self._resolver.resolve(self._site_answered)
        options = self.options
        network = NetworkOptions(
            timeout_s=options.timeout_s,
            live=options.live,
            start_time=options.start_time,
            wait_for_key=options.wait_for_key,
            hwaccel=options.hwaccel,
        )
        reader = self._reader = MediaReader(
            link.address,
            network,
            self.stream,
            self.progress,
            name=self.url,
            headers=link.headers,
            live=link.live,
        )
        reader.tap = self.tap
        if self._closed:
            reader.close()
            raise SourceError(f"{self.url}: was closed while it was opened", Reason.CLOSED)
        info = reader.open()
        self._is_live = info.live
        return info

    def read(self) -> Iterator[Frame | Gap]:
        """Yield what the media holds; see `MediaReader.read`.

        Raises:
            SourceError: with `Reason.EXPIRED` if the link is no longer good, else as the network source.
        """
        reader, link = self._reader, self._link
        if reader is None or link is None:
            raise RuntimeError("read() before open()")
        try:
            yield from reader.read()
        except SourceError as error:
            if not self._closed and (error.reason in _LINK_IS_BAD or link.is_gone()):
                raise self._expired() from error
            raise
        if self._is_live and not self._closed and link.is_gone():
            raise self._expired()

    def close(self) -> None:
        """End `open` and `read` soon; from any thread."""
        self._closed = True
        self._resolver.close()
        if self._reader is not None:
            self._reader.close()

    def _site_answered(self) -> None:
        self.progress.connected = True

    def _expired(self) -> SourceError:
        return SourceError(
            f"{self.url}: the link to its media has expired; a new one is asked for", Reason.EXPIRED
        )


def page_of(url: str) -> str | None:
    """Return the web page that a source's URL means, None if it means none."""
    scheme, _, place = url.partition("://")
    if re.match(r"https?://.", place, re.IGNORECASE):
        return place
    if not place or "://" in place:
        return None
    if scheme.lower() == "site":
        return f"https://{place}" if re.match(r"[\w.-]+(:\d+)?/", place + "/") else None
    if place.startswith(_HOSTS):
        return f"https://{place}"
    if re.fullmatch(r"[\w-]{11}", place):
        return f"https://www.youtube.com/watch?v={place}"
    return (
        f"https://www.youtube.com/{place}"
        if re.match(r"(@|watch\?|live/|channel/|c/|user/)", place)
        else None
    )

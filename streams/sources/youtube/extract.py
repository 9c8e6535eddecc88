"""Asks yt-dlp where the video of a page lies. Runs in a process of its own, see `child`."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.condition import Reason
from pipeline.errors import SourceError
from streams.sources.youtube.failure import reason_and_words

INSTALL = 'reading video pages needs the package yt-dlp: pip install "sightline[youtube]"'
PROTOCOLS = ("http", "https", "rtmp", "rtmps", "rtsp", "rtsps")
"""What a page may lead to; everything else that FFmpeg opens (files, devices, filters) is refused."""

# Pictures only, where they can be had alone, from one URL: not in fragments that only yt-dlp can join.
_READABLE = r"[protocol~='^(https?|m3u8(_native)?|rtmps?|rtsps?)$']"
_FORMAT = f"bv*{_READABLE}/b{_READABLE}"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        page: URL of the page.
        max_height: of the pictures, px; the smallest there is if all are larger.
        format: yt-dlp's own choice of format in place of `max_height`.
        cookies: path of a Netscape cookie file.
        timeout_s: of each request.
    """

    page: str
    max_height: int
    format: str | None
    cookies: str | None
    timeout_s: float


def extract(request: Request, answered: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return `url`, `headers` and `live` (None when the site does not say) of the page's video.

    Args:
        request: what is asked.
        answered: called when the site has answered for the first time.

    Raises:
        SourceError: what yt-dlp says, in one line that does not name the page; with its `Reason`.
    """
    try:
        import yt_dlp
    except ImportError:
        raise SourceError(INSTALL, Reason.MISSING_PACKAGE) from None
    options = _options(request, answered)
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            info = downloader.extract_info(request.page, download=False)
            chosen = _chosen(info)
            url = str(chosen["url"])
            headers = {str(name): str(value) for name, value in (chosen.get("http_headers") or {}).items()}
            cookie = downloader.cookiejar.get_cookie_header(url)
    except (SourceError, MemoryError):
        raise
    except Exception as error:
        reason, words = reason_and_words(error)
        raise SourceError(words or type(error).__name__, reason) from None
    scheme = url.partition("://")[0].lower()
    if scheme not in PROTOCOLS:
        raise SourceError(f"the page leads to {scheme}:, which is not read", Reason.REJECTED)
    headers = {name: value for name, value in headers.items() if not re.search(r"[\r\n]", name + value)}
    if cookie:
        headers["Cookie"] = cookie
    return {"url": url, "headers": headers, "live": _is_live(info)}


def _options(request: Request, answered: Callable[[], None]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "never",
        "logger": _Listener(answered),
        "cachedir": False,
        "usenetrc": False,
        "skip_download": True,
        "noplaylist": True,
        "playlist_items": "1",
        "socket_timeout": request.timeout_s,
        "retries": 1,
        "extractor_retries": 1,
        "format": request.format or _FORMAT,
    }
    if not request.format:
        options["format_sort"] = [f"res:{request.max_height}", "vcodec:h264"]
    if request.cookies is not None:
        try:
            # A copy: yt-dlp would write the file anew at its end.
            options["cookiefile"] = io.StringIO(Path(request.cookies).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            words = getattr(error, "strerror", None) or "it is no text"
            raise SourceError(
                f"cookies: {request.cookies} cannot be read ({words})", Reason.REJECTED
            ) from None
    return options


def _chosen(info: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the format to read: of several videos that of the first, of several formats the pictures."""
    for candidate in _candidates(info):
        if candidate.get("url") and candidate.get("vcodec") != "none":
            return candidate
    raise SourceError("yt-dlp finds no video there", Reason.NO_VIDEO)


def _candidates(info: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    if info is None:
        return
    for entry in info.get("entries") or ():
        yield from _candidates(entry)
    yield from info.get("requested_formats") or ()
    if "entries" not in info:
        yield info


def _is_live(info: Mapping[str, Any]) -> bool | None:
    for entry in (*(info.get("entries") or ()), info):
        if entry and entry.get("is_live") is not None:
            return bool(entry["is_live"])
        if entry and entry.get("live_status") in ("not_live", "was_live", "post_live"):
            return False
    return None


class _Listener:
    """Takes yt-dlp's messages and keeps them, as they hold signed links; tells only that it gets on."""

    def __init__(self, answered: Callable[[], None]) -> None:
        self._answered = answered
        self._is_asking = False

    def debug(self, message: str) -> None:
        if self._is_asking:
            self._answered()
        self._is_asking = "Downloading" in message

    def warning(self, message: str) -> None:
        pass

    def error(self, message: str) -> None:
        pass

"""yt-dlp's failures as a reason and one line, free of links and of requests to report bugs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

from pipeline.condition import Reason

_BY_STATUS = {
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    410: Reason.NOT_FOUND,
}
_BY_CLASS = {
    "UnsupportedError": Reason.NOT_MEDIA,
    "GeoRestrictedError": Reason.FORBIDDEN,
    "UserNotLive": Reason.NO_DATA,
}
# In the order in which they are tried: what sites say has no codes.
_BY_WORDS = (
    (r"not currently live|will begin in|premieres in|live event (?:will|has)|offline", Reason.NO_DATA),
    (r"\b(?:private|sign in|log ?in|members|age|not a bot|cookies)\b", Reason.FORBIDDEN),
    (r"no video formats|no video could be found|no formats|requested format", Reason.NO_VIDEO),
    (r"unavailable|not available|removed|deleted|does not exist|no longer", Reason.NOT_FOUND),
    (r"not a valid URL|unsupported url|unsupported url scheme", Reason.NOT_MEDIA),
)
_REPORT = re.compile(
    r"[;,.]?\s*(?:please report this issue|use --list-formats|confirm you are on the latest|see\s+https?://).*",
    re.I | re.S,
)
_PREFIX = re.compile(
    r"^(?:ERROR:\s*)?(?:\[[^\]]*\]\s*(?:\S+:\s+)?)*"
)  # with the page's id, which may hold its query
_CAUSE = re.compile(r"\s*\(caused by .*\)", re.S)
_LINK = re.compile(r"(\w+://)(?:[^\s/'\"<>@]*@)?([^\s/'\"<>?#]+)[^\s'\"<>)]*")
_LONGEST = 300


def reason_and_words(error: BaseException) -> tuple[Reason, str]:
    """Return why yt-dlp failed, and its own words for it, fit to be shown."""
    return _reason(error), plain(str(error))


def plain(text: str) -> str:
    """Return yt-dlp's message as one short line; of links only the host stays, as the rest may be signed."""
    for pattern in (_REPORT, _CAUSE, _PREFIX):
        text = pattern.sub("", text)
    text = " ".join(_LINK.sub(r"\1\2", text).split()).rstrip(".;: ")
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _reason(error: BaseException) -> Reason:
    for cause in _causes(error):
        if (status := getattr(cause, "status", None)) in _BY_STATUS:
            return _BY_STATUS[status]
        if (reason := _BY_CLASS.get(type(cause).__name__)) is not None:
            return reason
        if isinstance(cause, socket.gaierror):
            return Reason.UNKNOWN_HOST
        if isinstance(cause, ConnectionRefusedError):
            return Reason.CONNECTION_REFUSED
        if isinstance(cause, TimeoutError):
            return Reason.NO_ANSWER
        if isinstance(cause, OSError) and cause.errno in (101, 113):
            return Reason.NO_ROUTE
    words = plain(str(error))
    by_words = (reason for pattern, reason in _BY_WORDS if re.search(pattern, words, re.I))
    return next(by_words, Reason.FAILED)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what led to an error, deepest first: yt-dlp keeps causes in places of its own."""
    waiting: list[BaseException] = [error]
    seen: list[BaseException] = []
    while waiting and len(seen) < 32:
        here = waiting.pop()
        if here in seen:
            continue
        seen.append(here)
        exc_info = getattr(here, "exc_info", None)
        candidates = [
            here.__cause__,
            here.__context__,
            getattr(here, "cause", None),
            getattr(here, "reason", None),
        ]
        candidates.append(exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None)
        waiting += [found for found in candidates if isinstance(found, BaseException)]
    yield from reversed(seen)

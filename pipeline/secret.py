"""URLs that hold credentials: a type that cannot be printed, and a net under everything that is."""

from __future__ import annotations

import re

_HIDDEN = "***"
_USER_INFO = re.compile(r"(?<=://)([^\s'\"<>]*)@")
# Names that cameras and content networks give to keys, sessions and signatures in their URLs.
_NAMES = (
    r"(?:[\w.-]*(?:token|key|secret|passw|pwd|signature|sig|auth|session|credential)[\w.-]*"
    r"|user|username|usr|pass|loginuse|loginpas|login|u|p|sid|policy)"
)
_SECRET_PARAMETER = re.compile(rf"([?&;]{_NAMES}=)[^&;#\s'\"<>]+", re.IGNORECASE)
# Many cheap cameras have them in the path: /user=admin_password=secret_channel=1_stream=0.sdp
_SECRET_IN_PATH = re.compile(
    r"([/_](?:user|username|passw(?:or)?d|pwd|pass)=)[^&;#/\s'\"<>]+?(?=_[a-z]+=|[&;#/\s'\"<>]|$)",
    re.IGNORECASE,
)
# Where the text is known to be one URL, quotes and blanks that should have been escaped end nothing.
_WHOLE_USER_INFO = re.compile(r"(?<=://)(.*)@", re.DOTALL)
_WHOLE_SECRET_PARAMETER = re.compile(rf"([?&;]{_NAMES}=)[^&;#]+", re.IGNORECASE)


class SecretUrl:
    """A URL or path; whatever shows it shows it without user, password, tokens and keys.

    Compares and hashes by its full text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the full text, for whoever opens it; never for a log, an error or a report."""
        return self._text

    def __str__(self) -> str:
        if "://" not in self._text:
            return self._text
        shown = _WHOLE_USER_INFO.sub(_hide_user, self._text)
        return without_credentials(_WHOLE_SECRET_PARAMETER.sub(rf"\1{_HIDDEN}", shown))

    def __repr__(self) -> str:
        return f"SecretUrl({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretUrl) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a SecretUrl is not pickled: it would be written in clear")


def without_credentials(text: str) -> str:
    """Return `text` with the user, password and secret parameters of every URL in it hidden."""
    if "://" not in text:
        return text
    text = _USER_INFO.sub(_hide_user, text)
    for pattern in (_SECRET_PARAMETER, _SECRET_IN_PATH):
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text


def _hide_user(match: re.Match[str]) -> str:
    """Hide what stands before the "@", unless that is a host and the "@" part of a path (youtube.com/@name).

    A password may hold any character, also "@" and "/" that should have been escaped: in doubt it is hidden.
    """
    host, slash, _ = match[1].partition("/")
    if slash and ":" not in match[1] and "@" not in host and "." in host:
        return match[0]
    return f"{_HIDDEN}@"

"""What the query of an `srt://` URL says, in the names of FFmpeg's protocol `srt`."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

_TEXTS = {"passphrase": 79, "streamid": 512, "smoother": 32}
"""Most characters; libsrt's own limits."""
_NUMBERS = frozenset(
    {
        "connect_timeout", "enforced_encryption", "ffs", "inputbw", "iptos", "ipttl", "kmpreannounce",
        "kmrefreshrate", "latency", "linger", "lossmaxttl", "maxbw", "minversion", "mss", "nakreport",
        "oheadbw", "payload_size", "pbkeylen", "peerlatency", "pkt_size", "rcvbuf", "rcvlatency", "sndbuf",
        "snddropdelay", "timeout", "tlpktdrop", "tsbpd",
    }
)  # fmt: skip
_LEAST_PASSPHRASE = 10


def srt_options(url: str) -> dict[str, str]:
    """Return the options in a URL's query, decoded.

    Args:
        url: `srt://host:port?name=value&...`; a `#` in it is no fragment, as stream ids begin with one.

    Raises:
        ValueError: if there is something that a caller cannot have; the message quotes no value.
    """
    options: dict[str, str] = {}
    for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if name == "mode":
            if value != "caller":
                raise ValueError("url: mode can only be caller: push calls, the receiver listens")
        elif name in _TEXTS:
            is_short = name == "passphrase" and len(value) < _LEAST_PASSPHRASE
            if not value or is_short or len(value.encode()) > _TEXTS[name] or not value.isprintable():
                least = _LEAST_PASSPHRASE if name == "passphrase" else 1
                raise ValueError(f"url: {name} must have {least} to {_TEXTS[name]} printable characters")
            options[name] = value
        elif name in _NUMBERS:
            if not re.fullmatch(r"-?\d{1,18}|true|false", value, re.ASCII):
                raise ValueError(
                    f"url: {name} must be a whole number (times in microseconds), or true or false"
                )
            options[name] = value
        else:
            known = ", ".join(sorted(_NUMBERS | set(_TEXTS)))
            raise ValueError(f"url: SRT has no option '{name[:20]}'; those of a caller are {known}")
    return options

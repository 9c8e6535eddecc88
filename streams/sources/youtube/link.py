"""Where a page's video lies at the moment, and whether it still does."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.secret import SecretUrl

_TIMEOUT_S = 5.0
_GONE = (401, 403, 404, 410)
_EXPIRY = re.compile(r"[?&/;](?:expires?|exp|e)[=/](\d{10})(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A media URL that a page led to; signed, and good for some hours.

    Attributes:
        address: of the media.
        headers: that the site wants to see with it; kept out of sight, as they may hold cookies.
        live: what the site says; None when it does not.
    """

    address: SecretUrl
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    live: bool | None = None

    @property
    def expires_s(self) -> float | None:
        """UTC seconds at which it expires, as its own parameters say, None when they do not."""
        found = _EXPIRY.search(self.address.reveal())
        return None if found is None else float(found[1])

    def is_gone(self) -> bool:
        """Ask the server for the first byte: whether it says that the link is no longer good; 5 s at most."""
        address = self.address.reveal()
        if not address.startswith(("http://", "https://")):
            return False
        request = urllib.request.Request(  # noqa: S310 - http only
            address, headers={**self.headers, "Range": "bytes=0-0"}
        )
        try:
            urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
            return error.code in _GONE
        except (OSError, ValueError):  # no answer is another matter
            return False
        return False

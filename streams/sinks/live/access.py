"""Who may watch. Pure, but for reading the secrets."""

from __future__ import annotations

import base64
import binascii
import secrets
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import quote

from streams.sinks.credentials import reveal
from streams.sinks.live.options import LiveOptions

COOKIE = "sightline"


class Access:
    """Decides by a request's headers, query and cookie.

    Args:
        options: with the password and the token, if any; they are read anew at each request.
    """

    def __init__(self, options: LiveOptions) -> None:
        self._options = options
        name = socket.gethostname().lower()
        self._names = {"localhost", name, f"{name}.local", *(one.lower() for one in options.names)}

    def allows(self, authorization: str, token: str, cookie: str) -> bool:
        """Whether a request is let in.

        Args:
            authorization: the header, "" without one.
            token: of the query.
            cookie: of the page.
        """
        options = self._options
        if not options.is_guarded:
            return True
        scheme, _, value = authorization.partition(" ")
        given = [token, cookie, value.strip() if scheme.lower() == "bearer" else ""]
        if options.token is not None:
            wanted = reveal(options.token)
            if any(_same(one, wanted) for one in given):
                return True
        if options.password is not None and scheme.lower() == "basic":
            user, _, password = _decoded(value).partition(":")
            fits = _same(user, options.user)
            return _same(password, reveal(options.password)) and fits
        return False

    def knows_host(self, host: str) -> bool:
        """Whether a request without authentication may name this host.

        A page of somebody else can let its own name point to this box and so read what is open to it
        (DNS rebinding); an address and the names of this box cannot be such a name.
        """
        if self._options.is_guarded:
            return True
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name.lower().rstrip(".") in self._names:
            return True
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def suffix_of(query: Mapping[str, str]) -> str:
    """Return what addresses in a playlist need so that a player which was let in by its query goes on."""
    token = query.get("token", "")
    return f"?token={quote(token, safe='')}" if token else ""


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _same(one: str, other: str) -> bool:
    return bool(one) and secrets.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))

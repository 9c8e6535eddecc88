"""The headers by which a receiver knows who sent an event, when, and which: Standard Webhooks, version 1."""

from __future__ import annotations

import base64
import hashlib
import hmac

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for: of `whsec_...` the Base64 behind it, else its UTF-8 bytes.

    Raises:
        ValueError: if what follows `whsec_` is no Base64, or nothing.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:  # binascii.Error is one, other signs than ASCII are another
        key = b""
    if not key:
        raise ValueError(f"what follows {_PREFIX} must be Base64")
    return key


def signed_headers(key: bytes | None, identity: str, time_s: int, body: bytes) -> dict[str, str]:
    """Return `webhook-id`, `webhook-timestamp` and, with a key, `webhook-signature`.

    The signature is HMAC-SHA256 over identity, time and body, joined by full stops; see the Standard Webhooks
    specification, "Signature scheme".

    Args:
        key: shared with the receiver; None signs nothing.
        identity: of the event, the same at each try.
        time_s: UTC seconds of this try.
        body: of the request.
    """
    headers = {"webhook-id": identity, "webhook-timestamp": str(time_s)}
    if key is not None:
        content = b".".join((identity.encode(), str(time_s).encode(), body))
        digest = hmac.new(key, content, hashlib.sha256).digest()
        headers["webhook-signature"] = "v1," + base64.b64encode(digest).decode()
    return headers

"""One file over HTTPS: in pieces that can be taken up again, within bounds of size and time."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from pipeline.errors import FetchError, ModelError
from pipeline.secret import SecretUrl
from stages.detect.models.cache import made, unwritable

_CHUNK = 1 << 18
_AGAIN_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may cost.

    Attributes:
        max_bytes: size of the file.
        timeout_s: without a byte, at connecting and at reading.
        slow_bytes_per_s: a connection that gives less on the average of `timeout_s` counts as silent.
        attempts: connections in a row that bring hardly anything; one that brings more does not count.
        connections: in all.
        pause_s: before the second attempt; doubles from then on.
        sleep: waits for so many seconds.
        clock: monotonic seconds.
    """

    max_bytes: int = 4 << 30
    timeout_s: float = 20.0
    slow_bytes_per_s: float = 100.0
    attempts: int = 3
    connections: int = 100
    pause_s: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


class BrokenOffError(Exception):
    """The connection failed in a way that may be better at the next attempt."""


def require_safe(url: SecretUrl, sha256: str) -> None:
    """Refuse what would let a stranger on the way choose the weights.

    Raises:
        ModelError: unless it is https, or http with a digest or to this box.
    """
    parts = urllib.parse.urlsplit(url.reveal())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ModelError(f"{url}: models are fetched by https://, or give the path of a file")
    if parts.scheme == "http" and not sha256 and parts.hostname not in _LOOPBACK:
        raise ModelError(f"{url}: http can be tampered with; use https, or add #sha256=DIGEST to the URL")


def download(
    url: SecretUrl,
    part: Path,
    limits: Limits,
    progress: Callable[[int, int | None], None],
    *,
    digest_known: bool = False,
) -> None:
    """Bring the file at `url` to the path `part`, going on where an earlier attempt or process broke off.

    Beside `part` lies `part`.json, which says what it is a part of: another content under the same URL starts
    from the beginning.

    Args:
        url: http or https; user and password in it are sent to its host only.
        part: where the file grows.
        limits: bounds.
        progress: told the bytes that are here, and of how many.
        digest_known: whether the caller will compare it with a digest. Then redirects from https to http are
            followed, and a file whose server does not name its versions is gone on with, too.

    Raises:
        ModelError: if it cannot be had, is too large, or cannot be written; what was received stays.
    """
    made(part.parent)
    left, pause_s = limits.attempts, limits.pause_s
    most = _size(part)
    for connection in range(1, limits.connections + 1):
        try:
            _attempt(url, part, limits, progress, digest_known)
            return
        except BrokenOffError as error:
            if _size(part) > most + _CHUNK:
                left, pause_s = limits.attempts, limits.pause_s
            most = max(most, _size(part))
            left -= 1
            if left <= 0 or connection == limits.connections:
                raise FetchError(f"{error}; go online and try again") from error
        limits.sleep(pause_s)
        pause_s *= 2


def _attempt(
    url: SecretUrl,
    part: Path,
    limits: Limits,
    progress: Callable[[int, int | None], None],
    digest_known: bool,
) -> None:
    note = part.with_name(part.name + ".json")
    have, validator = _resumable(part, note, digest_known)
    request = _request(url)
    if have:
        request.add_header("Range", f"bytes={have}-")
    if have and validator:
        request.add_header("If-Range", validator)
    try:
        host = urllib.parse.urlsplit(request.full_url).hostname
        response = _opener(digest_known, host).open(request, timeout=limits.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            if error.headers.get("Content-Range", "") == f"bytes */{have}":
                return
            _forget(part, note)
            raise BrokenOffError(f"{url}: the server has less of it than is here") from None
        raise _refused(url, error.code) from None
    except (OSError, HTTPException) as error:
        raise BrokenOffError(f"{url}: cannot be reached ({_reason(error)})") from error
    with response:
        begin = _begin(response.status, response.headers, have)
        total = _total(response.headers, begin)
        if total is not None and total > limits.max_bytes:
            raise ModelError(
                f"{url}: {total / 1e6:.0f} MB are more than the {limits.max_bytes / 1e6:.0f} MB "
                f"that a model may have"
            )
        try:
            note.write_text(json.dumps({"validator": _validator(response.headers)}), encoding="utf-8")
            with part.open("r+b" if begin else "wb") as file:
                file.seek(begin)
                file.truncate()
                _receive(url, response, file, begin, total, limits, progress)
        except OSError as error:
            raise unwritable(part, error) from error


def _receive(
    url: SecretUrl,
    response: Any,
    file: IO[bytes],
    begin: int,
    total: int | None,
    limits: Limits,
    progress: Callable[[int, int | None], None],
) -> None:
    done, since_s, since_bytes = begin, limits.clock(), begin
    progress(done, total)
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, HTTPException) as error:
            raise BrokenOffError(f"{url}: broke off after {done / 1e6:.1f} MB ({_reason(error)})") from error
        if not chunk:
            break
        file.write(chunk)
        done += len(chunk)
        if done > limits.max_bytes:
            raise ModelError(f"{url}: is larger than the {limits.max_bytes / 1e6:.0f} MB a model may have")
        progress(done, total)
        now_s = limits.clock()
        if now_s - since_s >= limits.timeout_s:
            if (done - since_bytes) / (now_s - since_s) < limits.slow_bytes_per_s:
                raise BrokenOffError(f"{url}: has all but stopped after {done / 1e6:.1f} MB")
            since_s, since_bytes = now_s, done
    if total is not None and done < total:
        raise BrokenOffError(f"{url}: broke off after {done / 1e6:.1f} of {total / 1e6:.1f} MB")


def _request(url: SecretUrl) -> urllib.request.Request:
    parts = urllib.parse.urlsplit(url.reveal())
    host = parts.netloc.rpartition("@")[2]
    plain = urllib.parse.urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    request = urllib.request.Request(  # noqa: S310 - `require_safe` has seen the scheme
        plain, headers={"User-Agent": "sightline", "Accept-Encoding": "identity"}
    )
    if parts.username is not None:
        user = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        # Not sent on to where a redirect leads.
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    return request


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, insecure: bool) -> None:
        self._insecure = insecure

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if req.type == "https" and scheme != "https" and not self._insecure:
            raise ModelError(
                f"{SecretUrl(req.full_url)}: leads from https to {scheme}, which is not followed"
            )
        further = super().redirect_request(req, fp, code, msg, headers, newurl)
        user = req.unredirected_hdrs.get("Authorization")
        if further is not None and user and (further.type, further.host) == (req.type, req.host):
            further.add_unredirected_header("Authorization", user)
        return further


def _opener(insecure: bool, host: str | None) -> urllib.request.OpenerDirector:
    """Without the handlers of files and FTP, which a redirect could lead to; no proxy leads to this box."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({} if host in _LOOPBACK else None),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(insecure),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _refused(url: SecretUrl, code: int) -> Exception:
    if code in _AGAIN_LATER:
        return BrokenOffError(f"{url}: the server is not able to ({code})")
    if code in {401, 403, 407}:
        return ModelError(f"{url}: the server wants credentials or refuses ({code}); check the URL")
    if code in {404, 410}:
        return ModelError(f"{url}: there is no such file ({code}); check the URL")
    return ModelError(f"{url}: the server answers {code}; check the URL")


def _resumable(part: Path, note: Path, digest_known: bool) -> tuple[int, str]:
    """Return how much is here and what the server called it; 0 when it cannot be gone on with."""
    try:
        validator = json.loads(note.read_text(encoding="utf-8"))["validator"]
        have = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    named = isinstance(validator, str) and (validator or digest_known)
    return (have, validator) if named else (0, "")


def _validator(headers: Message) -> str:
    """Return what names this version of the content (RFC 9110, 13.1.5): a strong ETag or a date."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _begin(status: int, headers: Message, have: int) -> int:
    """Return at which byte the answer begins."""
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    if status == 206 and found and int(found[1]) <= have:
        return int(found[1])
    if status == 206:
        raise BrokenOffError("the server sent another range than it was asked for")
    return 0


def _total(headers: Message, begin: int) -> int | None:
    length = headers.get("Content-Length", "")
    return begin + int(length) if length.isdecimal() else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _forget(part: Path, note: Path) -> None:
    part.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(str(words).split())

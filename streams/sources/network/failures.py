"""Puts failures of the network and of FFmpeg into words: what is wrong, where, and what to do."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import av

from pipeline.condition import Reason
from pipeline.errors import SourceError
from pipeline.secret import SecretUrl
from streams.sources.network.protocols import Opening, endpoint

_ALMOST = 0.9
_LOOK_TIMEOUT_S = 2.0
_HEAD_BYTES = 2048
_TRIES, _PAUSE_S = 5, 0.1

_HTTP: dict[type[av.FFmpegError], tuple[Reason, str]] = {
    av.error.HTTPUnauthorizedError: (
        Reason.UNAUTHORIZED,
        "user name or password is missing or wrong (401); set the options 'username' and 'password'",
    ),
    av.error.HTTPForbiddenError: (
        Reason.FORBIDDEN,
        "access is forbidden (403); does this user have the right to watch?",
    ),
    av.error.HTTPNotFoundError: (
        Reason.NOT_FOUND,
        "nothing is known there under this path (404); check the URL's path in the camera's manual",
    ),
    av.error.HTTPBadRequestError: (Reason.REJECTED, "the request is refused (400); check the URL"),
    av.error.HTTPTooManyRequestsError: (Reason.REJECTED, "too many requests (429); wait, and ask less often"),
    av.error.HTTPOtherClientError: (Reason.REJECTED, "the request is refused (4xx); check the URL"),
    av.error.HTTPServerError: (Reason.FAILED, "the server has an error of its own (5xx)"),
}

_SILENCE = (av.error.ExitError, av.error.TimeoutError)


def open_failure(name: str, error: Exception, opening: Opening, waited_s: float) -> SourceError:
    """Say why a URL could not be opened; looks at the network itself where FFmpeg does not tell.

    Args:
        name: what the message begins with.
        error: as raised by `av.open`.
        opening: what was tried.
        waited_s: how long it took to fail, seconds.
    """

    def failure(reason: Reason, text: str) -> SourceError:
        return SourceError(f"{name}: {text}", reason)

    if isinstance(error, av.error.HTTPOtherClientError) and opening.format == "rtsp":
        tracks = _other_tracks(opening)
        if tracks:
            return failure(Reason.NO_VIDEO, f"has no video track (only {tracks}); is it the right path?")
    for kind, (reason, text) in _HTTP.items():
        if isinstance(error, kind):
            return failure(reason, text)
    if isinstance(error, av.error.ProtocolNotFoundError):
        return failure(
            Reason.MISSING_PACKAGE,
            f"the FFmpeg inside PyAV {av.__version__} cannot speak {opening.scheme}://; use another protocol "
            "of the camera",
        )
    address = SecretUrl(opening.url)
    found = _look(address)
    if found is not None:
        return failure(*found)
    if opening.options.get("tls_verify") and (doubt := _distrust(address, opening.options.get("ca_file"))):
        return failure(
            Reason.REJECTED,
            f"its certificate is not trusted ({doubt}); set 'ca_file' to the file with it, or "
            "'verify_tls: false'",
        )
    if isinstance(error, _SILENCE) or waited_s > 0.9 * opening.timeout_s:
        what = "accepts the connection, but sends nothing" if endpoint(address) else "nothing arrives"
        return failure(
            Reason.NO_ANSWER, f"{what} within {waited_s:.0f} s; is it overloaded, or another kind of server?"
        )
    if opening.scheme in ("http", "https") and _is_page(opening):
        return failure(
            Reason.NOT_MEDIA,
            "is a web page, not a video; pages of YouTube and other sites are read with youtube:// before "
            "their address",
        )
    if isinstance(error, av.error.InvalidDataError) and not (opening.scheme == "rtsp" and _hangs_up(address)):
        return failure(
            Reason.NOT_MEDIA, "answers, but not with a stream that FFmpeg knows; check scheme, port and path"
        )
    if isinstance(error, av.error.InvalidDataError | EOFError | OSError):
        return failure(Reason.CLOSED, f"the connection was closed before any media came ({_words(error)})")
    return failure(Reason.FAILED, f"cannot be opened ({_words(error)})")


def read_failure(name: str, error: Exception, silence_s: float, waited_s: float = 0.0) -> SourceError:
    """Say why a stream that was open ended with an error.

    Args:
        name: what the message begins with.
        error: as raised while reading.
        silence_s: how long nothing may come, seconds.
        waited_s: how long was waited for what did not come, seconds.
    """
    # Silence within a packet is told as an unreadable packet.
    if isinstance(error, _SILENCE) or waited_s > _ALMOST * silence_s:
        return SourceError(f"{name}: sent nothing for {silence_s:.0f} s", Reason.NO_DATA)
    for kind, (reason, text) in _HTTP.items():
        if isinstance(error, kind):
            return SourceError(f"{name}: {text}", reason)
    return SourceError(f"{name}: the connection broke ({_words(error)})", Reason.CLOSED)


def _look(address: SecretUrl) -> tuple[Reason, str] | None:
    """Resolve and connect, as far as that can be tried; None when both work or neither applies."""
    place = endpoint(address)
    if place is None:
        return None
    host, port = place
    scheme = address.reveal().partition("://")[0].upper()
    try:
        with socket.create_connection((host, port), timeout=_LOOK_TIMEOUT_S):
            return None
    except socket.gaierror:
        return Reason.UNKNOWN_HOST, f"the host name '{host}' is not known; check its spelling and the DNS"
    except ConnectionRefusedError:
        return (
            Reason.CONNECTION_REFUSED,
            f"nothing listens on port {port} there (connection refused); is {scheme} switched on?",
        )
    except TimeoutError:
        return (
            Reason.NO_ANSWER,
            f"no answer from {host} port {port} within {_LOOK_TIMEOUT_S:.0f} s; is it on and not fenced off?",
        )
    except OSError as error:
        if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
            return Reason.NO_ROUTE, f"no way to {host} ({error.strerror}); check cable, address and network"
        return Reason.FAILED, f"cannot connect to {host} port {port} ({error.strerror})"
    except UnicodeError:
        return Reason.UNKNOWN_HOST, f"'{host}' is no host name; check the URL"


def _distrust(address: SecretUrl, ca_file: str | None) -> str:
    """Return what is wrong with a server's certificate, "" when nothing is or it shows none."""
    place = endpoint(address)
    if place is None:
        return ""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection(place, timeout=_LOOK_TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=place[0]),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        is_file_missing = ca_file is not None and not Path(ca_file).is_file()
        return f"{ca_file} cannot be read" if is_file_missing else ""


def _hangs_up(address: SecretUrl) -> bool:
    """Tell whether an RTSP server closes a connection without a word, which to FFmpeg is like a wrong one."""
    place = endpoint(address)
    if place is None:
        return False
    try:
        with socket.create_connection(place, timeout=_LOOK_TIMEOUT_S) as connection:
            connection.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            return not connection.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


def _other_tracks(opening: Opening) -> str:
    """Return the kinds of tracks of an RTSP stream without video: asked for video only, it plays nothing."""
    options = dict(opening.options) | {"allowed_media_types": "video+audio+data"}
    for _ in range(_TRIES):
        try:
            with av.open(opening.url, format="rtsp", options=options, timeout=opening.timeout_s) as container:
                return ", ".join(sorted({track.type for track in container.streams}))
        except av.error.HTTPServerError:  # it may still be busy with the connection before
            time.sleep(_PAUSE_S)
        except (av.FFmpegError, OSError):
            break
    return ""


def _is_page(opening: Opening) -> bool:
    headers = dict(
        line.split(": ", 1) for line in opening.options.get("headers", "").split("\r\n") if ": " in line
    )
    parts = urlsplit(opening.url)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s) by the caller
        with urllib.request.urlopen(request, timeout=_LOOK_TIMEOUT_S) as answer:  # noqa: S310
            head = answer.read(_HEAD_BYTES).lower()
            return "text/html" in (answer.headers.get("Content-Type") or "") or b"<html" in head
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _words(error: Exception) -> str:
    """Return an error without the URL, which FFmpeg's own text would contain."""
    words = getattr(error, "strerror", None)
    return str(words or type(error).__name__)

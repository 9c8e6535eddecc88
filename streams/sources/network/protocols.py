"""What FFmpeg is told for each scheme: low delay, bounded waiting, and nothing but the network."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.secret import SecretUrl
from streams.sources.network.options import NetworkOptions

# What a stream may make FFmpeg open. A playlist or a redirect decides on further URLs: without this list it
# could have local files read ("file", "concat", "subfile", "data", "pipe" ...).
_WHITELISTS = {
    "rtsp": "rtsp,rtp,tcp,udp,tls,srtp",
    "rtsps": "rtsps,rtsp,rtp,tcp,udp,tls,srtp",
    "http": "http,https,tcp,tls,httpproxy,crypto",
    "https": "http,https,tcp,tls,httpproxy,crypto",
    "rtmp": "rtmp,rtmpt,tcp,http",
    "rtmps": "rtmps,rtmpts,tcp,tls,https",
    "srt": "srt,udp",
    "udp": "udp",
    "tcp": "tcp",
}

DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}

# Of Debian, Fedora, and Alpine and macOS. PyAV's wheel looks where the box that built it had them.
_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_RECONNECT_DELAY_S = 7
# A recording's server may be away for half as long (FFmpeg tries again after 0, 1, 3 and 7 s), and HLS brings
# nothing between two segments. PyAV wants to know it before it is known what the URL leads to.
_HTTP_SILENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Opening:
    """How a URL is opened.

    Attributes:
        url: in full.
        scheme: of the URL.
        options: FFmpeg's, by its names.
        timeout_s: bound of each step of opening, seconds.
        silence_s: how long it may send nothing then, seconds.
        format: FFmpeg's name of the container, None to find out.
        unparsed: True to get RTP's packets as they come, not whole pictures.
    """

    url: str = field(repr=False)
    scheme: str
    options: Mapping[str, str] = field(repr=False)
    timeout_s: float
    silence_s: float
    format: str | None = None
    unparsed: bool = False

    def parsed(self) -> Opening:
        """Return the same with FFmpeg's parser, which puts pictures together."""
        options = {name: value for name, value in self.options.items() if name != "fflags"}
        return replace(self, options=options, unparsed=False)


def opening(address: SecretUrl, options: NetworkOptions, headers: Mapping[str, str]) -> Opening:
    """Say how to open an address.

    Args:
        address: with credentials.
        options: of the source.
        headers: HTTP headers in clear.
    """
    url = address.reveal()
    scheme = url.partition("://")[0].lower()
    is_http = scheme in ("http", "https")
    timeout_us = str(round(options.timeout_s * 1e6))
    # FFmpeg would collect seconds of pictures to find out their rate, which nobody needs.
    settings = {"fpsprobesize": "0", "analyzeduration": "300000", "probesize": "1000000"}
    if scheme in _WHITELISTS:
        settings["protocol_whitelist"] = _WHITELISTS[scheme]
    container = None
    if scheme in ("rtsp", "rtsps"):
        # The session description has all that is needed: the first packet ends the probing. Sound is not even
        # asked for: with it, FFmpeg would shift the video's clock at each sender report to match the two.
        settings |= {"probesize": "32", "analyzeduration": "1", "allowed_media_types": "video"}
        settings["fflags"] = "noparse"  # see access_units.py
        settings["rtsp_transport"] = options.transport
        container = "rtsp"
    elif is_http:
        settings |= {
            "reconnect": "1",
            "reconnect_delay_max": str(_RECONNECT_DELAY_S),
            "live_start_index": "-2",
            "seg_max_retry": "2",
        }
        if headers:
            settings["headers"] = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    elif scheme in ("rtmp", "rtmps"):
        settings |= {"rtmp_live": "live", "rtmp_buffer": "100"}
    elif scheme == "udp":
        settings |= {"timeout": timeout_us, "overrun_nonfatal": "1", "fifo_size": "50000"}
    elif scheme == "tcp":
        settings |= {"timeout": timeout_us}
    silence_s = max(options.timeout_s, _HTTP_SILENCE_S) if is_http else options.timeout_s
    if scheme in ("https", "rtsps", "rtmps") and options.verify_tls:
        settings["tls_verify"] = "1"
        trusted = trusted_certificates(options.ca_file)
        if trusted is not None:
            settings["ca_file"] = str(trusted)
    return Opening(
        url, scheme, settings, options.timeout_s, silence_s, container, unparsed=container == "rtsp"
    )


def trusted_certificates(given: Path | None) -> Path | None:
    """Return the file of the certificates to trust; None for the TLS library's own."""
    if given is not None:
        return given
    system = ssl.get_default_verify_paths()
    candidates = [os.environ.get("SSL_CERT_FILE"), system.cafile, *_SYSTEM_CERTIFICATES]
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)


def endpoint(address: SecretUrl) -> tuple[str, int] | None:
    """Return host and TCP port of an address, None where there is nothing to connect to."""
    try:
        parts = urlsplit(address.reveal())
        port = parts.port or DEFAULT_PORTS.get(parts.scheme.lower())
    except ValueError:
        return None
    if not parts.hostname or not port or parts.scheme.lower() in ("udp", "srt"):
        return None
    return parts.hostname, port

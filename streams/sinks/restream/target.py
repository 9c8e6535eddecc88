"""Where a stream is pushed to: what a URL says, and how FFmpeg is told."""

from __future__ import annotations

import string
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from pipeline.secret import SecretUrl
from streams.sinks.restream.srt_options import srt_options

_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "udp": 0, "srt": 0}
_TLS = {"rtsps": "rtsp", "rtmps": "rtmp"}
_H26X = frozenset({"h264", "hevc"})
_CARRIED = {
    "rtsp": _H26X | {"mjpeg", "mpeg4", "vp8", "vp9", "av1"},
    "rtmp": _H26X,
    "udp": _H26X | {"mpeg4", "mpeg2video", "mpeg1video"},
    "srt": _H26X | {"mpeg4", "mpeg2video", "mpeg1video"},
}
_MPEGTS_BYTES = 1316
"""Seven packets of MPEG-TS: as many as fit the frames of an Ethernet."""


@dataclass(frozen=True, slots=True)
class Muxer:
    """What FFmpeg opens.

    Attributes:
        address: with all secrets.
        name: of the muxer.
        options: of the muxer and the protocol.
    """

    address: str
    name: str
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """A place that takes one stream.

    Attributes:
        protocol: "rtsp", "rtmp", "udp" or "srt".
        host: name or address.
        port: TCP or UDP port.
        is_secure: whether it is spoken over TLS.
        url: in full.
    """

    protocol: str
    host: str
    port: int
    is_secure: bool
    url: SecretUrl

    @property
    def shown(self) -> str:
        """Return scheme, host and port: paths of RTMP and SRT hold the stream's key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = self.protocol + ("s" if self.is_secure else "")
        return f"{scheme}://{host}:{self.port}"

    @property
    def is_tcp(self) -> bool:
        """Whether one TCP connection carries all of it."""
        return self.protocol in ("rtsp", "rtmp")

    def carries(self, codec: str) -> bool:
        """Whether video of a codec can be sent there."""
        return codec in _CARRIED[self.protocol]

    def codecs(self) -> str:
        """Return those that can, to be shown."""
        return ", ".join(sorted(_CARRIED[self.protocol]))

    def muxer(self, relay_port: int | None, *, transport: str, timeout_s: float) -> Muxer:
        """Return what FFmpeg opens.

        Args:
            relay_port: of loopback, where a relay stands for the server; None for straight to it.
            transport: of RTSP, "tcp" or "udp".
            timeout_s: of FFmpeg's own waiting.
        """
        parts = urlsplit(self.url.reveal())
        timeout_us = str(round(timeout_s * 1e6))
        match self.protocol:
            case "rtsp":
                options = {"rtsp_transport": transport, "timeout": timeout_us}
                return Muxer(_through(parts, "rtsp", relay_port), "rtsp", options)
            case "rtmp":
                application = parts.path.strip("/").rpartition("/")[0]
                # Servers with several sites tell them by it.
                named = urlunsplit((parts.scheme, _without_user(parts), f"/{application}", "", ""))
                options = {"flvflags": "no_duration_filesize", "rtmp_tcurl": named}
                return Muxer(_through(parts, "rtmp", relay_port), "flv", options)
            case "udp":
                query = parts.query or f"pkt_size={_MPEGTS_BYTES}"
                return Muxer(urlunsplit(parts._replace(query=query)), "mpegts", {"flush_packets": "1"})
            case _:
                options = {"flush_packets": "1", "rw_timeout": timeout_us}
                return Muxer(self.url.reveal(), "mpegts", options)


def target_of(pattern: str, stream: str) -> Target:
    """Return where a stream goes.

    Args:
        pattern: URL in which `{stream}` stands for the stream's name.
        stream: the name.

    Raises:
        ValueError: if it is none that can be pushed to; the message does not quote it.
    """
    names = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    if any(name != "stream" for name in names):
        raise ValueError("url may hold {stream} and no other braces (write them as %7B and %7D)")
    url = pattern.replace("{stream}", quote(stream, safe=""))
    if not url.isascii() or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise ValueError("url must be ASCII without blanks (other signs as %XX)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("url has no host, or a port that is none") from None
    if parts.scheme not in _PORTS:
        raise ValueError(f"url must begin with one of {', '.join(f'{name}://' for name in _PORTS)}")
    if not parts.hostname:
        raise ValueError(f"url must look like {parts.scheme}://host/path")
    port = port or _PORTS[parts.scheme]
    if not port:
        raise ValueError(f"url needs a port: {parts.scheme}://host:port")
    protocol = _TLS.get(parts.scheme, parts.scheme)
    if protocol == "rtmp" and "/" not in parts.path.strip("/"):
        raise ValueError(f"url must look like {parts.scheme}://host/application/key")
    if protocol == "srt":
        srt_options(url)
    return Target(protocol, parts.hostname, port, parts.scheme in _TLS, SecretUrl(url))


def _through(parts: SplitResult, scheme: str, relay_port: int | None) -> str:
    if relay_port is None:
        return urlunsplit(parts)
    user = parts.netloc.rpartition("@")[0]
    netloc = f"{user}@127.0.0.1:{relay_port}" if user else f"127.0.0.1:{relay_port}"
    return urlunsplit(parts._replace(scheme=scheme, netloc=netloc))


def _without_user(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]

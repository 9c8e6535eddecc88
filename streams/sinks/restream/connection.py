"""One connection to where a stream is pushed, from the first key frame to its end."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import av

from pipeline.condition import Reason
from pipeline.errors import SinkError
from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.copier import Copier
from streams.sinks.encoder import TIME_BASE
from streams.sinks.restream.relay import Relay, reason_of
from streams.sinks.restream.srt_options import srt_options
from streams.sinks.restream.srt_process import SrtProcess, srt_command
from streams.sinks.restream.target import Muxer, Target

_WAITING_PACKETS = 1000
"""In FFmpeg's own queue; it fills only while the server is slow to take the stream."""
_SET_UP_BYTES = 4096
"""More than RTSP and RTMP say before the first picture: what goes beyond is the stream."""
_QUIET_S = 0.05
_PROBATION_S = 1.0
"""Without a relay nothing is seen of what the server takes: it does after so long without an error."""


class Refused(SinkError):  # noqa: N818 - no failure of the sink
    """The server said no, and will again until somebody changes something.

    Attributes:
        reason: what kind of answer it was.
    """

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class Connection:
    """Sends the packets of one format. Used by one thread, except `cut`.

    PyAV holds Python's lock while FFmpeg connects, and while it says goodbye: a slow server would stop the
    whole process. So FFmpeg's muxer `fifo` does all that in a thread of its own, which must never need the
    lock: packets are in FFmpeg's memory (see `Copier`), and PyAV must not log what FFmpeg says.

    Args:
        target: where to.
        form: of the packets; their time base is 1/90000 s, H.264 and H.265 have start codes, and
            `form.extradata` their parameter sets.
        transport: of RTSP, "tcp" or "udp".
        timeout_s: for connecting, and for how long the server may take nothing.
        context: of TLS.
        srt: how a program that speaks SRT is started (`need_protocol`), None where PyAV does.

    Raises:
        SinkError: if there is no connection, with the reason.
    """

    def __init__(
        self,
        target: Target,
        form: PacketFormat,
        *,
        transport: str = "tcp",
        timeout_s: float = 5.0,
        context: ssl.SSLContext | None = None,
        srt: Sequence[str] | None = None,
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._relay: Relay | SrtProcess | None = None
        self._first_bytes = 0
        self._first_s = 0.0
        self._begun_s = time.monotonic()
        try:
            if target.is_tcp and transport == "tcp":
                secure = context if target.is_secure else None
                self._relay = Relay(target.host, target.port, timeout_s=timeout_s, context=secure)
            elif srt is not None:
                given = srt_options(target.url.reveal())
                self._relay = SrtProcess(srt, target.shown, given, timeout_s=timeout_s)
            elif target.is_tcp:
                # FFmpeg goes there itself, as the pictures go beside it: not where nobody answers.
                socket.create_connection((target.host, target.port), timeout=timeout_s).close()
        except SinkError as error:
            raise SinkError(f"{target.shown}: {error}") from error
        except OSError as error:
            raise SinkError(f"{target.shown}: {reason_of(error, timeout_s)}") from error
        if isinstance(self._relay, SrtProcess):
            muxer = Muxer(f"pipe:{self._relay.pipe}", "mpegts", {"flush_packets": "1"})
        else:
            port = self._relay.port if self._relay else None
            muxer = target.muxer(port, transport=transport, timeout_s=timeout_s)
        inner = ":".join(f"{key}={_quoted(value)}" for key, value in muxer.options.items())
        try:
            self._copier = Copier(
                muxer.address,
                replace(form, time_base=TIME_BASE, rotation_deg=0),
                container="fifo",
                options={
                    "fifo_format": muxer.name,
                    "format_opts": inner,
                    "queue_size": str(_WAITING_PACKETS),
                },
                origin=0,
                retelling=True,
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            told = self._told(error)
            self._give_up()
            raise told from error
        except BaseException:
            self._give_up()
            raise

    @property
    def is_established(self) -> bool:
        """Whether the server takes the stream, as far as can be seen."""
        if self._relay is None:
            return self._first_bytes > 0 and time.monotonic() - self._first_s > _PROBATION_S
        return self._first_bytes > 0 and self._relay.sent >= _SET_UP_BYTES + self._first_bytes

    def write(self, packet: Packet) -> None:
        """Send a packet, the first of which is a key frame. Waits while the server takes nothing.

        Raises:
            SinkError: if it cannot be sent; the connection is of no more use.
            Refused: if the server does not want the stream.
        """
        relay = self._relay
        if relay is not None and not relay.is_clear(self._timeout_s):
            raise SinkError(f"{self._target.shown}: it took nothing for {self._timeout_s:g} s")
        if relay is not None and not self.is_established and self._is_late():
            raise SinkError(f"{self._target.shown}: no answer within {2 * self._timeout_s:g} s")
        if isinstance(relay, SrtProcess) and relay.has_ended:
            raise self._told(SinkError("ffmpeg ended"))
        try:
            self._copier.write(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._told(error) from error
        if not self._first_bytes:
            self._first_bytes, self._first_s = len(packet.data), time.monotonic()

    def close(self) -> None:
        """Let out what is on its way, and leave."""
        relay = self._relay
        if relay is not None:
            relay.settle(_QUIET_S, self._timeout_s)
        if not isinstance(relay, SrtProcess):
            self.cut()
        with suppress(av.FFmpegError, OSError, ValueError):
            self._copier.close()
        if isinstance(relay, SrtProcess):  # it goes when its input ends
            relay.end(self._timeout_s)

    def cut(self) -> None:
        """Break off: whatever waits for the server fails; from any thread, more than once."""
        if self._relay is not None:
            self._relay.close()

    def _give_up(self) -> None:
        self.cut()
        if isinstance(self._relay, SrtProcess):
            self._relay.end(self._timeout_s)

    def _is_late(self) -> bool:
        return time.monotonic() - self._begun_s > 2 * self._timeout_s

    def _told(self, error: Exception) -> SinkError:
        """Return what happened; FFmpeg's own text holds the URL, with its secrets."""
        shown = self._target.shown
        match error:
            case av.HTTPUnauthorizedError():
                return Refused(
                    f"{shown}: it refuses the user or password (401); correct url", Reason.UNAUTHORIZED
                )
            case av.HTTPForbiddenError():
                return Refused(f"{shown}: it forbids this (403); ask who runs it", Reason.FORBIDDEN)
            case av.HTTPNotFoundError():
                return Refused(f"{shown}: it knows no such path (404); correct url", Reason.NOT_FOUND)
            case av.HTTPClientError() | av.HTTPServerError():
                return Refused(f"{shown}: it refuses the stream ({error.strerror})", Reason.REJECTED)
        why = self._relay.failure if self._relay is not None else ""
        if why and isinstance(self._relay, SrtProcess):
            told = f"{shown}: {why}"
            return Refused(told, Reason.UNAUTHORIZED) if self._relay.is_refused else SinkError(told)
        waited_s = time.monotonic() - self._begun_s
        if not why and not self.is_established and waited_s >= self._timeout_s:
            why = f"no answer within {self._timeout_s:g} s"
        elif not why:
            why = (error.strerror or "failed") if isinstance(error, OSError) else str(error)
        if not self.is_established:
            why += ", before it took the stream: see its log, and whether url is right"
        return SinkError(f"{shown}: {why}")


def need_protocol(target: Target) -> tuple[str, ...] | None:
    """Make sure that a target's protocol can be spoken here at all.

    Returns:
        How a program that speaks SRT is started, where the FFmpeg in PyAV does not; None else.

    Raises:
        SinkError: if it cannot, with what to do.
    """
    if target.protocol != "srt":
        return None
    try:
        av.open("srt://127.0.0.1:1", "r", timeout=0.001).close()  # it looks for the protocol first
    except av.ProtocolNotFoundError:
        try:
            return srt_command()
        except SinkError as error:
            raise SinkError(f"{target.shown}: {error}") from error
    except av.FFmpegError:
        pass
    return None


def _quoted(value: str) -> str:
    """Return a value for one of FFmpeg's lists of options."""
    return "".join(f"\\{sign}" if sign in "\\':" else sign for sign in value)

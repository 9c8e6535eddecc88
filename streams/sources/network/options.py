"""Options of the network sources, and how credentials get into the URL that FFmpeg opens."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from pydantic import AwareDatetime, Field, SecretStr, model_validator

from pipeline.plugin import Options
from pipeline.secret import SecretUrl
from streams.sources.hardware import Hwaccel

ClockChoice = Literal["auto", "camera", "arrival"]


class NetworkOptions(Options):
    """Options of `rtsp`, `rtsps`, `http`, `https`, `rtmp`, `rtmps`, `srt`, `udp` and `tcp`.

    Attributes:
        transport: how RTSP carries its media. TCP loses nothing and passes firewalls; UDP does not wait for
            what is lost.
        timeout_s: longest silence on a connection before it counts as dead, seconds. It must be longer than
            the time between two pictures. Over HTTP it is at least 20 s, as segments of HLS come that seldom.
        live: whether it is a live stream (True) or a recording on a server (False); found out by itself when
            left out.
        clock: where the time of day comes from. "auto" believes the camera (RTCP sender reports) as long as
            it lies within a minute of the arrival; "camera" believes it always; "arrival" never.
        start_time: of a recording: wall-clock time of its first picture, with its zone.
        username: beside those in the URL, which it replaces.
        password: the same.
        headers: further HTTP headers, e.g. Authorization or Referer.
        verify_tls: whether a server of https, rtsps or rtmps must show a certificate that is trusted. Without
            it, whoever is in between can read the password. Cameras sign their own certificates: give
            `ca_file`, or switch this off.
        ca_file: certificates that are trusted (PEM); those of the system when left out.
        wait_for_key: after damage, leave out every picture up to the next key frame: they are built on the
            damaged one. False leaves out only those that the decoder itself calls damaged.
        decode: "key_frames" leaves out all other pictures: little work, and enough for streams that are only
            recorded or streamed on, and for stages that need a picture every few seconds. Packets are copied
            all the same. The keeper's `stall_s` must be longer than the time between two key frames.
        hwaccel: decode by hardware. "none" by default: a 1080p picture takes 3 ms of one core, arrives
            sooner than through a graphics card and its copy back, and looks the same on every box.
            "auto" takes the first device that works. Where none does, or it fails on the way, decoding is
            done in software, with a warning, from the last key frame on if that is at most 1024 packets back.
    """

    transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    live: bool | None = None
    clock: ClockChoice = "auto"
    start_time: AwareDatetime | None = None
    username: SecretStr | None = None
    password: SecretStr | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    verify_tls: bool = True
    ca_file: Path | None = None
    wait_for_key: bool = True
    decode: Literal["all", "key_frames"] = "all"
    hwaccel: Hwaccel = "none"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username beside it")
        for name, value in self.headers.items():
            if not name or any(sign in name + value.get_secret_value() for sign in "\r\n"):
                raise ValueError(f"header {name!r} is empty or holds a line break")
        return self

    def plain_headers(self) -> dict[str, str]:
        """Return the headers in clear, for whoever sends them."""
        return {name: value.get_secret_value() for name, value in self.headers.items()}


def with_credentials(address: SecretUrl, options: NetworkOptions) -> SecretUrl:
    """Return the URL with the options' user and password in the place of its own, percent-encoded."""
    if options.username is None:
        return address
    scheme, _, rest = address.reveal().partition("://")
    host, slash, path = _split_host(rest)
    user = quote(options.username.get_secret_value(), safe="")
    if options.password is not None:
        user += ":" + quote(options.password.get_secret_value(), safe="")
    return SecretUrl(f"{scheme}://{user}@{host}{slash}{path}")


def _split_host(rest: str) -> tuple[str, str, str]:
    """Split what follows "://" into host with port (user removed), the slash, and the path."""
    authority, slash, path = rest.partition("/")
    return authority.rpartition("@")[2], slash, path

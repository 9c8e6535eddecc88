"""Options of the sink `live`."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipeline.plugin import SinkOptions
from streams.sinks.credentials import Credential
from streams.sinks.encoder import Preset

Pictures = Literal["original", "annotated"]


class LiveOptions(SinkOptions):
    """Options of the sink `live`.

    Attributes:
        host: address to listen on: 127.0.0.1 for this box alone, 0.0.0.0 or :: for all networks.
        port: 0 takes a free one.
        user: whom the password is of (Basic authentication).
        password: his.
        token: opens everything, as `Authorization: Bearer ...` or `?token=...`.
        open_to_all: say that nobody is asked who he is, although other machines can connect.
        names: under which this box is called where nobody is asked who he is; its addresses and its own name
            are known. A page of somebody else cannot name itself so and read along.
        certificate: PEM file; with it and `key` it is HTTPS.
        key: PEM file.
        offer: which pictures: those of the camera, copied; those with boxes and lines, encoded here.
        webrtc: offer WebRTC, too; None: if it is installed (`pip install "sightline[webrtc]"`).
        max_viewers: most at once, of all streams together.
        idle_s: so long after the last request of a viewer his programme is made no more.
        segment_s: of HLS: shortest segment, s; it ends with the next key frame.
        part_s: of low-latency HLS: longest part, s.
        segments: of HLS: how many are kept.
        stub_after_s: without a picture for so long, one that says so is shown.
        size: [width, height] px that an annotated picture may have at most; it keeps its proportions.
        rate_hz: most annotated pictures a second; None as they come.
        bitrate_kbps: of annotated video; None for a constant quality.
        crf: that quality, 0 (lossless) to 51.
        preset: effort of x264.
        jpeg_quality: of MJPEG and snapshots, 1..100.
    """

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8090, ge=0, le=65535)
    user: str = Field(default="sightline", pattern=r"^[^:\x00-\x1f]+$")
    password: Credential | None = None
    token: Credential | None = None
    open_to_all: bool = False
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    offer: tuple[Pictures, ...] = Field(default=("original", "annotated"), min_length=1)
    webrtc: bool | None = None
    max_viewers: int = Field(default=16, ge=1, le=1000)
    idle_s: float = Field(default=15.0, ge=1, le=3600)
    segment_s: float = Field(default=2.0, ge=0.5, le=10)
    part_s: float = Field(default=0.3, ge=0.25, le=2)
    segments: int = Field(default=7, ge=3, le=60)
    stub_after_s: float = Field(default=2.0, ge=0.5, le=60)
    size: tuple[int, int] | None = None
    rate_hz: float | None = Field(default=None, gt=0, le=240)
    bitrate_kbps: int | None = Field(default=None, ge=50, le=100_000)
    crf: int = Field(default=26, ge=0, le=51)
    preset: Preset = "superfast"
    jpeg_quality: int = Field(default=80, ge=1, le=100)

    @property
    def is_guarded(self) -> bool:
        """Whether viewers must say who they are."""
        return self.password is not None or self.token is not None

    @model_validator(mode="after")
    def _check(self) -> LiveOptions:
        if not (is_loopback(self.host) or self.is_guarded or self.open_to_all):
            raise ValueError(
                f"on {self.host} other machines could watch without being asked who they are: set `password` "
                "or `token`, or `open_to_all: true` where that is meant"
            )
        if (self.certificate is None) != (self.key is None):
            raise ValueError("`certificate` and `key` belong together")
        if self.size is not None and not all(16 <= side <= 8192 for side in self.size):
            raise ValueError("size must be [width, height], each 16 to 8192 px")
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

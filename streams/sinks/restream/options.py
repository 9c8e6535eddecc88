"""Options of the sink `push`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.plugin import SinkOptions
from streams.sinks.credentials import Credential, reveal
from streams.sinks.encoder import Encoding, Preset
from streams.sinks.restream.target import target_of

_OF_PICTURES = frozenset({"size", "bitrate_kbps", "crf", "rate_hz", "keyframe_s", "preset"})
_USUAL_RATE_HZ = 25.0


class PushOptions(SinkOptions):
    """Options of the push sink. The URL may be `env:NAME` or `file:PATH`.

    Attributes:
        url: where to: `rtsp://`, `rtsps://`, `rtmp://`, `rtmps://`, and by MPEG-TS `udp://` and `srt://`,
            which needs the program ffmpeg. `{stream}` in it stands for the stream's name. It may hold a user,
            a password and a key: only its host is ever shown.
        video: "original" sends the camera's own packets, without decoding or encoding; "annotated" the
            pictures as drawn, encoded as H.264.
        size: annotated: (width, height) px that a picture may have at most; it keeps its proportions.
        bitrate_kbps: annotated: bit rate, kept over each second; a constant quality when left out.
        crf: annotated: that quality, 0 (lossless) to 51; 6 more halves the bit rate.
        rate_hz: annotated: most pictures a second; all when left out.
        keyframe_s: annotated: seconds between key frames; a viewer that comes waits as long.
        preset: annotated: x264's effort.
        stub: whether a picture that says "no signal since ..." stands in for a live source that is gone, so
            that players stay connected.
        stub_after_s: after so many seconds without anything from the source.
        transport: of RTSP: "tcp" or "udp".
        timeout_s: for connecting, and for how long the server may take nothing.
        verify_tls: whether the server must show a certificate that is trusted (rtsps, rtmps).
        ca_file: certificates that are trusted (PEM); those of the system when left out.
    """

    url: Credential
    video: Literal["original", "annotated"] = "original"
    size: tuple[int, int] | None = None
    bitrate_kbps: int | None = Field(default=None, ge=16, le=200_000)
    crf: int = Field(default=23, ge=0, le=51)
    rate_hz: float | None = Field(default=None, gt=0, le=240)
    keyframe_s: float = Field(default=2.0, gt=0, le=60)
    preset: Preset = "superfast"
    stub: bool = True
    stub_after_s: float = Field(default=2.0, ge=0.5, le=3600)
    transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: float = Field(default=5.0, gt=0, le=120)
    verify_tls: bool = True
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        target = target_of(reveal(self.url), "name")
        if target.is_secure and self.transport == "udp":
            raise ValueError(
                "transport: udp sends pictures in clear; leave it out with rtsps:// and rtmps://"
            )
        given = sorted(_OF_PICTURES & self.model_fields_set)
        if self.video == "original" and given:
            raise ValueError(
                f"{', '.join(given)}: only what is encoded has that; set video: annotated, or leave it out"
            )
        if self.size is not None and not all(16 <= side <= 8192 for side in self.size):
            raise ValueError("size must be [width, height], each 16 to 8192 px")
        return self

    def encoding(self, rate_hz: float | None) -> Encoding:
        """Return how pictures that come at a rate, as far as it is known, are encoded."""
        expected = rate_hz or _USUAL_RATE_HZ
        return Encoding(
            bitrate_kbps=self.bitrate_kbps,
            crf=self.crf,
            preset=self.preset,
            keyframe_s=self.keyframe_s,
            rate_hz=expected if self.rate_hz is None else min(expected, self.rate_hz),
        )

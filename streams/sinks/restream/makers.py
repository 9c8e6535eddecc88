"""What is sent: the packets of a source, made fit for it, or pictures that are encoded."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from pipeline.moment import Moment
from pipeline.packet import Packet, PacketFormat
from pipeline.picture import U8Array
from streams.sinks.encoder import Encoder, Encoding, scaled
from streams.sinks.restream.annex_b import AnnexB

Given = TypeVar("Given", contravariant=True)


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet that can be sent.

    Attributes:
        form: what a connection must know, with the parameter sets.
        packet: with start codes where its codec has them.
        part: what it follows without a break in its time stamps.
    """

    form: PacketFormat
    packet: Packet
    part: Hashable


class Maker(Protocol, Generic[Given]):
    """Makes packets that can be sent out of what comes in. Used by one thread."""

    def make(self, given: Given, *, key: bool) -> Coded:
        """Return it as a packet, a key frame where one is asked for and can be had.

        Raises:
            SinkError: if it cannot be made.
        """


@dataclass(frozen=True, slots=True)
class Taken:
    """A packet of a source with the format that it belongs to."""

    form: PacketFormat
    packet: Packet


class CopyMaker:
    """Makes them out of a source's packets."""

    def __init__(self) -> None:
        self._form: PacketFormat | None = None
        self._annex_b: AnnexB | None = None

    def make(self, given: Taken, *, key: bool) -> Coded:  # noqa: ARG002 - a key frame must come by itself
        """Return a packet as it is, but for start codes and parameter sets."""
        if self._annex_b is None or given.form is not self._form:
            self._form, self._annex_b = given.form, AnnexB(given.form)
        packet = self._annex_b.converted(given.packet)
        return Coded(self._annex_b.form, packet, given.form.run)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture to be encoded.

    Attributes:
        bgr: (H, W, 3) uint8, read-only.
        moment: when it was taken.
        run: of its frame.
    """

    bgr: U8Array
    moment: Moment
    run: str


class DrawMaker:
    """Makes them out of pictures. The first one decides the size of all: others are fitted in.

    Args:
        stream: name of the stream.
        encoding: how.
        most: (width, height) px that a picture may have, None for as it is.
    """

    def __init__(self, stream: str, encoding: Encoding, most: tuple[int, int] | None) -> None:
        self._stream = stream
        self._encoding = encoding
        self._most = most
        self._size: tuple[int, int] | None = None
        self._encoder: Encoder | None = None
        self._last_s = 0.0
        self._parts = 0

    def make(self, given: Drawn, *, key: bool) -> Coded:
        """Return a picture as a packet."""
        pts_s = given.moment.pts_s
        if self._size is None:
            self._size = scaled(given.bgr.shape[1], given.bgr.shape[0], self._most)
        if self._encoder is None or pts_s <= self._last_s:  # the media clock began anew
            self._parts += 1
            self._encoder = Encoder(self._stream, given.run, *self._size, self._encoding)
        self._last_s = pts_s
        packet = self._encoder.encode(given.bgr, given.moment, key=key)
        return Coded(self._encoder.form, packet, self._parts)


class StandIn:
    """The picture that stands in for a source that is gone, as packets like its own.

    Args:
        form: of what it stands in for.
        bgr: the picture, as large as that.
        rate_hz: how often it will be sent.
    """

    def __init__(self, form: PacketFormat, bgr: U8Array, rate_hz: float) -> None:
        encoding = Encoding(codec="hevc" if form.codec == "hevc" else "h264", crf=28, rate_hz=rate_hz)
        self._encoder = Encoder(form.stream, "stand-in", form.width, form.height, encoding)
        self._form = form
        self._bgr = bgr

    def make(self, moment: Moment, *, key: bool) -> Coded:
        """Return the picture once more."""
        packet = self._encoder.encode(self._bgr, moment, key=key)
        # The connection keeps what it knows of the source: the same codec and size.
        form = replace(self._form, extradata=self._encoder.form.extradata)
        return Coded(form, packet, self)

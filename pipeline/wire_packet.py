"""A coded picture as a message, with all that a muxer needs: written, checked and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.packet import Packet, PacketFormat
from pipeline.wire_fields import VERSION, Header, Natural, Size, Text, WireError, moment_fields, moment_of
from pipeline.wire_tables import Int64

PACKET_TOPIC = "packet/"
_MAX_EXTRADATA_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class PacketMessage:
    """A packet as it travels: each with its whole format, so that a receiver may begin with any key frame.

    Attributes:
        bus: id of the publishing bus, new at each start of it; `n` counts within it.
        n: number of the message on its topic, from 0.
        format: what a muxer must know; another `run` begins anew.
        packet: the packet itself.
    """

    bus: str
    n: int
    format: PacketFormat
    packet: Packet

    @property
    def topic(self) -> str:
        """What subscribers name: `packet/<stream>`."""
        return PACKET_TOPIC + self.packet.stream

    @property
    def payload(self) -> bytes | None:
        """The coded picture."""
        return self.packet.data

    @classmethod
    def read(cls, checked: Mapping[str, Any], payload: bytes | None) -> PacketMessage:
        """Make the message of a checked header and its payload.

        Raises:
            WireError: if there is no payload.
        """
        stream, run = checked["stream"], checked["run"]
        if not payload:
            raise WireError("a packet message carries no packet")
        numerator, denominator = checked["time_base"]
        same = {name: checked[name] for name in ("codec", "width", "height", "extradata", "live")}
        form = PacketFormat(
            stream=stream,
            run=run,
            time_base=Fraction(numerator, denominator),
            rotation_deg=checked["rotation_deg"],
            reorder=checked["reorder"],
            **same,
        )
        packet = Packet(
            stream=stream,
            run=run,
            sequence=checked["sequence"],
            data=payload,
            moment=moment_of(checked),
            **{name: checked[name] for name in ("pts", "dts", "duration", "is_key")},
        )
        return cls(checked["bus"], checked["n"], form, packet)

    def header(self) -> dict[str, Any]:
        """Return the header's fields as plain values."""
        form, packet = self.format, self.packet
        return {
            "v": VERSION,
            "type": "packet",
            "bus": self.bus,
            "n": self.n,
            "stream": packet.stream,
            "run": packet.run,
            "sequence": packet.sequence,
            **moment_fields(packet.moment),
            "codec": form.codec,
            "width": form.width,
            "height": form.height,
            "time_base": [form.time_base.numerator, form.time_base.denominator],
            "extradata": form.extradata,
            "live": form.live,
            "rotation_deg": form.rotation_deg,
            "reorder": form.reorder,
            "pts": packet.pts,
            "dts": packet.dts,
            "duration": packet.duration,
            "is_key": packet.is_key,
        }


class PacketHeader(Header):
    """The fields of a packet message, in strict types."""

    type: Literal["packet"]
    codec: Annotated[Text, Field(max_length=64)]
    width: Size
    height: Size
    time_base: Annotated[list[Annotated[int, Field(ge=1, lt=1 << 31)]], Field(min_length=2, max_length=2)]
    extradata: Annotated[bytes, Field(max_length=_MAX_EXTRADATA_BYTES)]
    live: bool
    rotation_deg: Literal[0, 90, 180, 270]
    reorder: Annotated[int, Field(ge=0, le=16)]
    pts: Int64
    dts: Int64 | None
    duration: Natural
    is_key: bool

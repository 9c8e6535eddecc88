"""The kind of sink that takes what the source delivered, without decoding: it records, or streams on."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pipeline.packet import Packet, PacketFormat
from pipeline.plugin import Input, Sink


class PacketSink(Sink):
    """A sink of coded packets. For each stream it has a queue and a thread of its own (`pipeline.feed`).

    `open_packets`, `on_packet`, `on_idle` and `close_packets` of one stream come from that stream's packet
    thread; the methods of `Sink` come from the output thread as ever. A sink that is slow or fails harms
    neither analytics nor other sinks: what does not fit its queue is dropped up to the next key frame,
    counted and told (`sink.state`). Packets of recordings wait for room instead.

    What it raises means: this does not work now. Its files are closed (`close_packets`), an event
    `sink.state` tells why, and after a pause it is opened anew for the next key frame, for ever.

    Attributes:
        queue_bytes: how many bytes of packets may wait for it, of each stream.
        queue_s: and how many seconds of media: a sink that takes recordings at their own pace must have few
            left when they end.
    """

    queue_bytes: ClassVar[int] = 32 << 20
    queue_s: ClassVar[float] = math.inf

    @classmethod
    def needs_packets(cls, options: Any) -> bool:  # noqa: ARG003
        """Whether it takes packets at all, as configured: one that may encode pictures need not."""
        return True

    @classmethod
    def does_without(cls, options: Any) -> bool:  # noqa: ARG003
        """Whether it has something to do, as configured, also for sources that have no packets to copy."""
        return False

    @classmethod
    def inputs(cls, options: Any) -> frozenset[Input]:
        """Return what it takes, as configured."""
        found = super().inputs(options)
        return found | {"packets"} if cls.needs_packets(options) else found

    def open_packets(self, form: PacketFormat) -> None:
        """Prepare for packets of this format; the first that follows is a key frame.

        Raises:
            SinkError: if it cannot be done now.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement open_packets")

    def on_packet(self, packet: Packet) -> None:
        """Take a packet. After a jump of `Packet.sequence`, which means a loss, the next is a key frame."""
        raise NotImplementedError(f"{type(self).__name__} does not implement on_packet")

    def on_idle(self, stream: str) -> None:
        """Do what is due without a packet; called about once a second, from before the first packet on."""

    def close_packets(self, stream: str) -> None:
        """Finish what was opened: the connection is over, or something failed. Safe more than once."""

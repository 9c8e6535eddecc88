"""The packets of one stream on their way to the bus."""

from __future__ import annotations

import logging

from pipeline.bus import Bus
from pipeline.errors import SightlineError
from pipeline.packet import Packet, PacketFormat

logger = logging.getLogger(__name__)


class BusPackets:
    """Publishes each packet that somebody subscribes to, in the thread of the source; a `Taker`.

    Publishing never waits, so recordings are not slowed down by it: a program that must have all of their
    packets has to be as fast as they are read.

    Args:
        bus: where to.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._form: PacketFormat | None = None
        self._refused = ""

    def begin(self, form: PacketFormat) -> None:
        """Take note of the format of what follows."""
        self._form = form

    def put(self, packet: Packet) -> None:
        """Publish a packet; what the protocol cannot carry is left out and told once."""
        form = self._form
        if form is None or packet.run != form.run:
            return
        try:
            self._bus.publish_packet(form, packet)
        except SightlineError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                logger.warning("stream '%s': a packet cannot be published: %s", packet.stream, error)

    def over(self) -> None:
        """Take note that nothing more of the format follows."""
        self._form = None

"""A recorder to be killed: feeds a clip again and again, and says after each packet how many it has fed."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from streams.sinks.record.sink import RecordSink
from tests.packets import packets_of
from tests.streams.sinks.record.feeding import recording, repeated

FRAGMENT_S = 0.5
SPEED = 20
"""Times as fast as life."""


def main(out: str, clip: str, start_ns: str) -> None:
    """Record until killed."""
    form, packets = packets_of(Path(clip), live=True, start_ns=int(start_ns))
    many = repeated(packets, 100)
    begun_s = time.monotonic()
    with recording(Path(out), segment_s=3, fragment_s=FRAGMENT_S, sync_s=1) as sink:
        assert isinstance(sink, RecordSink)
        sink.open_packets(replace(form, run=start_ns))
        for number, packet in enumerate(many, 1):
            time.sleep(max(0.0, begun_s + packet.moment.pts_s / SPEED - time.monotonic()))
            sink.on_packet(packet)
            os.write(1, number.to_bytes(4, "little"))


if __name__ == "__main__":
    main(*sys.argv[1:])

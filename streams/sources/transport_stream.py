"""MPEG transport streams carry no length: the only trace of a cut is half a packet at the end."""

from __future__ import annotations

_SYNC = 0x47
_MIN_PACKETS = 4

# ISO/IEC 13818-1, 2.4.3.2: 188 bytes from the sync byte on. Blu-ray and camcorders put 4 bytes of time stamp
# before it, some broadcasters 16 bytes of parity behind it.
_PACKET_AND_TAIL_BYTES = ((188, 188), (192, 188), (204, 204))

TAIL_BYTES = 204 * 16
"""As much of a file's end as `ends_inside_packet` wants to see."""


def ends_inside_packet(tail: bytes) -> bool:
    """Tell from the last bytes of a transport stream whether its last packet is incomplete.

    Junk before the packets is no matter; where no rhythm of packets can be seen the answer is False.
    """
    for packet_bytes, after_sync_bytes in _PACKET_AND_TAIL_BYTES:
        for first in range(min(packet_bytes, len(tail))):
            syncs = tail[first::packet_bytes]
            if len(syncs) >= _MIN_PACKETS and syncs.count(_SYNC) == len(syncs):
                return (len(tail) - first) % packet_bytes != after_sync_bytes % packet_bytes
    return False

"""Stands for a graphics card: a plain decoder that gives NV12 and fails when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import pytest
from av.codec.codec import Codec
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame

from streams.sources import hardware

Fails = Callable[[int], Exception | None]
"""Tells with what a card fails at its n-th packet, from 1; None where it does not."""


def never(_packet: int) -> None:
    return None


def lost_at(at: int) -> Fails:
    """A card that is gone from packet `at` on."""
    return lambda packet: av.error.ExternalError(1, "device\nlost") if packet >= at else None


def damaged_at(*at: int) -> Fails:
    return lambda packet: av.error.InvalidDataError(1, "invalid data") if packet in at else None


class Card:
    """A card's decoder.

    Args:
        context: decodes in its place.
        fails: when.
        silent_from: packet from which on it gives nothing and does not say so.
    """

    OWN = ("context", "fails", "silent_from", "packets")

    def __init__(self, context: Any, fails: Fails = never, silent_from: int | None = None) -> None:
        self.context, self.fails, self.silent_from = context, fails, silent_from
        self.packets = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.context, name, value)

    @property
    def is_open(self) -> bool:
        return bool(self.context.is_open)

    @property
    def flags(self) -> int:
        return int(self.context.flags)

    def decode(self, packet: Packet[Stream] | None) -> list[VideoFrame]:
        self.packets += 1
        error = self.fails(self.packets)
        if error is not None:
            try:
                raise error
            finally:
                del error  # whose traceback would hold this card
        frames = self.context.decode(packet)
        if self.silent_from is not None and self.packets >= self.silent_from:
            return []
        return [
            frame.reformat(format="nv12") if frame.format.name == "yuv420p" else frame for frame in frames
        ]

    def flush_buffers(self) -> None:
        self.context.flush_buffers()


def insert(patch: pytest.MonkeyPatch, fails: Fails = never, silent_from: int | None = None) -> list[Card]:
    """Let `hwaccel: cuda` find a card; return the list that each opened decoder is put in."""
    opened: list[Card] = []

    def open_card(_device: str, codec: Codec) -> Any:
        context = av.CodecContext.create(codec.name, "r")
        opened.append(Card(context, fails, silent_from))
        return opened[-1]

    patch.setattr(hardware, "hwdevices_available", lambda: ["cuda"])
    patch.setattr(hardware, "opened", open_card)
    return opened

"""WebRTC for viewers, by WHEP (draft-ietf-wish-whep): an offer comes by HTTP, pictures go by UDP.

Each programme is encoded once, whoever watches: a viewer's connection gets packets, not pictures.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec
from typing import Any, TypeAlias

import av
from av.bitstream import BitStreamFilterContext

from pipeline.packet import Packet, PacketFormat
from streams.sinks.copying.template import template_of
from streams.sinks.live.programme import Programme

logger = logging.getLogger(__name__)

_TICKS_PER_S = 90_000
_TIME_BASE = Fraction(1, _TICKS_PER_S)
CodedPacket: TypeAlias = "av.Packet[Any]"
_MOST_WAITING = 90
_CONNECT_S = 20.0


def is_installed() -> bool:
    """Whether aiortc is there."""
    return find_spec("aiortc") is not None


class OfferError(Exception):
    """An offer that cannot be answered; says why in one line."""


class Peers:
    """The connections of all WebRTC viewers. Used by the server's thread.

    Args:
        on_leave: called for each that is over.
    """

    def __init__(self, on_leave: Callable[[], None]) -> None:
        self._on_leave = on_leave
        self._peers: dict[str, _Peer] = {}

    async def answer(
        self, offer: str, programme: Programme, wake: Callable[[], None], ask_for_key: Callable[[], None]
    ) -> tuple[str, str]:
        """Return a new viewer's id, which nobody can guess, and the answer to his offer (SDP).

        Args:
            offer: SDP.
            programme: what he watches, H.264 without B frames.
            wake: has the programme made.
            ask_for_key: asks for a key frame of it.

        Raises:
            OfferError: if the offer is none, or has no H.264.
        """
        peer = _Peer(programme, wake, ask_for_key, self._gone)
        try:
            sdp = await peer.answer(offer)
        except BaseException as error:
            await peer.close()
            if isinstance(error, OfferError) or not isinstance(error, Exception):
                raise
            # aiortc and aioice raise what they like for a bad offer.
            raise OfferError(f"this is no offer that can be answered: {type(error).__name__}") from error
        if peer.is_closed:  # before it was known here
            raise OfferError("the connection was closed at once")
        self._peers[peer.id] = peer
        return peer.id, sdp

    async def leave(self, peer_id: str) -> bool:
        """End a viewer's connection; False if there is none of this id."""
        peer = self._peers.get(peer_id)
        if peer is None:
            return False
        await peer.close()
        return True

    async def close(self) -> None:
        """End all connections."""
        for peer in list(self._peers.values()):
            await peer.close()

    def _gone(self, peer_id: str) -> None:
        if self._peers.pop(peer_id, None) is not None:
            self._on_leave()


class _Peer:
    """One viewer's connection, with its packets on their way from the programme."""

    def __init__(
        self,
        programme: Programme,
        wake: Callable[[], None],
        ask_for_key: Callable[[], None],
        gone: Callable[[str], None],
    ) -> None:
        import aiortc

        self.id = secrets.token_urlsafe(16)
        self._programme = programme
        self._wake = wake
        self._ask_for_key = ask_for_key
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        # Without a configuration aiortc asks a server on the internet for this box's address.
        self._connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self._connection.on("connectionstatechange", self._state_changed)
        self._track = _track(ask_for_key)
        self._annex_b = _AnnexB(self._deliver)
        self.is_closed = False
        self._deadline = self._loop.call_later(_CONNECT_S, self._give_up)
        self._closing: asyncio.Task[None] | None = None

    async def answer(self, offer: str) -> str:
        from aiortc import RTCRtpSender, RTCSessionDescription

        sender = self._connection.addTrack(self._track)
        # aiortc asks its own encoder for key frames, and has no hook for those who encode elsewhere.
        sender._send_keyframe = self._ask_for_key  # type: ignore[method-assign]
        wanted = [
            codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType in _CODECS
        ]
        for transceiver in self._connection.getTransceivers():
            if transceiver.sender is sender:
                transceiver.setCodecPreferences(wanted)
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        chosen = str(self._connection.localDescription.sdp)
        if not _H264_FIRST.search(chosen):
            raise OfferError("the offer has no H.264")
        return chosen

    async def close(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self._deadline.cancel()
        self._programme.remove(self._annex_b)
        self._track.stop()
        self._gone(self.id)
        with suppress(Exception):  # whatever state it is in, it is over
            await self._connection.close()

    async def _state_changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected" and not self.is_closed:
            self._deadline.cancel()
            self._programme.add(self._annex_b, from_key=False)
            self._wake()
            self._ask_for_key()
        elif state in ("failed", "closed", "disconnected"):
            await self.close()

    def _give_up(self) -> None:
        self._closing = self._loop.create_task(self.close())

    def _deliver(self, packet: CodedPacket) -> None:
        with suppress(RuntimeError):  # the server may have stopped
            self._loop.call_soon_threadsafe(self._track.push, packet)


_CODECS = ("video/H264", "video/rtx")
_H264_FIRST = re.compile(r"^m=video \d+ \S+ (\d+)\b.*^a=rtpmap:\1 H264/90000", re.MULTILINE | re.DOTALL)


class _AnnexB:
    """Listens to a programme; hands on its packets with start codes and parameter sets, as RTP needs them."""

    def __init__(self, deliver: Callable[[CodedPacket], None]) -> None:
        self._deliver = deliver
        self._filter: BitStreamFilterContext | None = None

    def begin(self, form: PacketFormat) -> None:
        holder, template = template_of(form)
        try:
            self._filter = BitStreamFilterContext("h264_mp4toannexb", template)
        finally:
            holder.close()

    def put(self, packet: Packet, time_s: float) -> None:
        if self._filter is None:
            return
        coded = av.Packet(packet.data)
        coded.is_keyframe = packet.is_key
        ticks = round(time_s * _TICKS_PER_S)
        for made in self._filter.filter(coded):  # which empties `coded`
            made.pts, made.time_base = ticks, _TIME_BASE
            self._deliver(made)

    def finish(self) -> None:
        self._filter = None


def _track(ask_for_key: Callable[[], None]) -> Any:
    """Return a track of coded packets: bounded, and behind it goes on with the next key frame."""
    from aiortc import MediaStreamTrack
    from aiortc.mediastreams import MediaStreamError

    class CodedTrack(MediaStreamTrack):
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self._coded: deque[CodedPacket] = deque()
            self._there = asyncio.Event()
            self._awaits_key = True

        def push(self, packet: CodedPacket) -> None:
            if len(self._coded) >= _MOST_WAITING:
                self._coded.clear()
                self._awaits_key = True
                ask_for_key()
            self._awaits_key = self._awaits_key and not packet.is_keyframe
            if not self._awaits_key:
                self._coded.append(packet)
                self._there.set()

        def stop(self) -> None:
            super().stop()
            self._there.set()

        async def recv(self) -> Any:
            while not self._coded:
                if self.readyState != "live":
                    raise MediaStreamError
                self._there.clear()
                await self._there.wait()
            return self._coded.popleft()

    return CodedTrack()

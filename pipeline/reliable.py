"""Events for programs that must miss none: they name themselves, acknowledge, and go on where they stopped.

A ROUTER socket beside the publishing ones (docs/protocol.md, "Reliable events"). What is sent comes out of
the journal, at most a window ahead of what was acknowledged: a slow or absent program costs disk, not memory.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgpack
import zmq

from pipeline.blame import one_line
from pipeline.curve import CurveOptions, Guard
from pipeline.errors import SinkError
from pipeline.journal import Entry, Journal
from pipeline.kinds import doubts_of
from pipeline.peers import Peers
from pipeline.place import Place, attach

logger = logging.getLogger(__name__)

VERSION = 1
_WINDOW = 1000
"""Events that may be sent ahead of what a consumer has acknowledged."""
_BATCH = 100
_MOST_SESSIONS = 256
_MOST_REQUEST_BYTES = 4096
_POLL_MS = 100
_RUSH_S = 0.002
_NOTE_S = 0.05
_LOOK_S = 5.0
"""How often it is looked who has gone."""
_SAY_AGAIN_S = 60.0
"""How long the same failure is said once."""
_QUEUED = 64


@dataclass(slots=True)
class _Session:
    """One connected consumer.

    Attributes:
        name: in the journal.
        kinds: prefixes of the kinds that it wants, empty for all.
        sent: number up to which everything was sent.
        acknowledged: number up to which it has everything.
        noted: the same, as the journal knows it.
    """

    name: str
    kinds: tuple[str, ...]
    sent: int
    acknowledged: int
    noted: int

    def wants(self, kind: str) -> bool:
        return not self.kinds or kind.startswith(self.kinds)


class ReliableServer:
    """Serves the journal to consumers until it is closed; one thread.

    Args:
        journal: what is served.
        address: to bind to.
        curve: encrypt, and who may connect; None for neither.
        reserved: names of the journal's own sinks, which no program may take: the two would take events
            from each other.
        emitted: the kinds of events that can come about, to tell who asks for others; None when unknown.

    Attributes:
        endpoint: the address with its real port.

    Raises:
        SinkError: if the address cannot be had.
    """

    def __init__(
        self,
        journal: Journal,
        address: str,
        curve: CurveOptions | None = None,
        reserved: Collection[str] = (),
        emitted: Collection[str] | None = None,
    ) -> None:
        self._journal = journal
        self._reserved = frozenset(reserved)
        self._emitted = emitted
        self._sessions: dict[bytes, _Session] = {}
        self._gone: set[bytes] = set()
        self._refused = 0
        self._noted_s = 0.0
        self._said: tuple[str, float] = "", -_SAY_AGAIN_S
        self._stopping = False
        self._bell, self._ring = os.pipe()
        os.set_blocking(self._ring, False)
        os.set_blocking(self._bell, False)
        self._context = zmq.Context()
        self._guard = Guard(self._context, curve)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.sndhwm = _QUEUED
        self._socket.router_mandatory = True
        self._socket.maxmsgsize = _MOST_REQUEST_BYTES
        self._peers = Peers()
        self._peers.watch(self._socket, self._context, "reliable")
        try:
            self.endpoint = attach(self._socket, Place(address), self._guard, "serve events")
        except BaseException:
            self._guard.close()
            self._context.destroy(linger=0)
            self._close_pipe()
            raise
        self._peers.start()
        self._stop_listening = journal.on_growth(self._wake)
        self._thread = threading.Thread(target=self._work, name="reliable-events", daemon=True)
        self._thread.start()

    def statistics(self) -> dict[str, Any]:
        """Return who is connected, messages that were refused, and who was not let in, as plain values."""
        names = sorted(session.name for session in list(self._sessions.values()))
        return {"connected": names, "refused": self._refused, **self._peers.counts("reliable")}

    def drain(self, timeout_s: float) -> None:
        """Wait, for at most so long, until those who are connected have everything that the journal has."""
        newest, ends_s = self._journal.newest, time.monotonic() + timeout_s
        while time.monotonic() < ends_s and any(
            session.acknowledged < newest for session in list(self._sessions.values())
        ):
            time.sleep(0.01)

    def close(self) -> None:
        """Serve nobody any more; safe more than once. What was not acknowledged stays in the journal."""
        if self._stopping:
            return
        self._stopping = True
        self._stop_listening()
        self._wake()
        self._thread.join()  # which closes the socket: nobody else may touch it
        self._peers.close()
        self._guard.close()
        self._context.term()
        self._close_pipe()

    def _wake(self) -> None:
        with suppress(BlockingIOError, OSError):  # full: it is awake anyway
            os.write(self._ring, b".")

    def _close_pipe(self) -> None:
        for end in (self._bell, self._ring):
            os.close(end)

    def _work(self) -> None:
        try:
            self._serve()
            with self._going_on():
                self._answer_all()
                self._note_acknowledged(0.0, all_of_them=True)
        finally:
            self._socket.close(linger=200)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        sent_s = looked_s = time.monotonic()
        while not self._stopping:
            with self._going_on():
                poller.poll(_POLL_MS)
                # Events that come in a rush travel together: a message each would cost four times as much.
                time.sleep(max(0.0, _RUSH_S - (time.monotonic() - sent_s)))
                with suppress(BlockingIOError):
                    os.read(self._bell, 4096)
                self._answer_all()
                self._forget_who_has_gone()
                self._send_all()
                sent_s = time.monotonic()
                self._note_acknowledged(sent_s)
                if sent_s - looked_s >= _LOOK_S:
                    looked_s = sent_s
                    self._look_who_is_there()

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log what fails, and not at each turn: whatever it was, the others go on being served."""
        try:
            yield
        except Exception as error:
            said, when_s = self._said
            if said != str(error) or time.monotonic() - when_s >= _SAY_AGAIN_S:
                self._said = str(error), time.monotonic()
                is_known = isinstance(error, SinkError | sqlite3.Error)  # the disk
                logger.error("reliable events: %s", one_line(error), exc_info=not is_known)
            time.sleep(_NOTE_S)  # what fails at each turn must not take the processor

    def _answer_all(self) -> None:
        for _ in range(1000):  # then the events have their turn
            try:
                peer, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            request = _read(parts)
            if request is None:
                self._refused += 1
            elif request["type"] == "join":
                self._join(peer, request)
            elif peer not in self._sessions:
                self._tell(peer, {"type": "unknown"})  # after a restart of ours: it joins again
            elif request["type"] == "ack" and request.get("box", self._journal.box) == self._journal.box:
                self._acknowledge(self._sessions[peer], request["seq"])

    def _join(self, peer: bytes, request: Mapping[str, Any]) -> None:
        name = request["name"]
        if name in self._reserved:
            self._refuse(peer, "a sink of the box itself has this name; choose another")
            return
        for other, session in list(self._sessions.items()):
            if session.name == name and other != peer:
                self._note_acknowledged(0.0, all_of_them=True)
                self._tell(other, {"type": "replaced"})
                self._sessions.pop(other, None)
        if peer not in self._sessions and len(self._sessions) >= _MOST_SESSIONS:
            self._look_who_is_there()
            self._forget_who_has_gone()
        if peer not in self._sessions and len(self._sessions) >= _MOST_SESSIONS:
            self._refuse(peer, f"{_MOST_SESSIONS} consumers are connected already")
            return
        try:
            has = self._journal.join(name, from_start=request["from"] == "start")
        except SinkError as error:
            if isinstance(error.__cause__, sqlite3.Error):  # of the disk, for now: it asks again
                raise
            self._refuse(peer, str(error))
            return
        self._gone.discard(peer)
        self._sessions[peer] = _Session(name, tuple(request["kinds"]), has, has, has)
        doubts = [] if self._emitted is None else doubts_of(request["kinds"], self._emitted)
        for doubt in doubts:
            logger.info("reliable events: '%s' is told: %s", name, doubt)
        joined = {"box": self._journal.box, "acknowledged": has, "newest": self._journal.newest}
        self._tell(peer, {"type": "joined", **joined, "doubts": doubts})

    def _refuse(self, peer: bytes, why: str) -> None:
        self._refused += 1
        self._tell(peer, {"type": "refused", "why": why})

    def _acknowledge(self, session: _Session, seq: int) -> None:
        # Nobody has what was not sent: a number from another box must not skip events.
        session.acknowledged = max(session.acknowledged, min(seq, session.sent))

    def _note_acknowledged(self, now_s: float, *, all_of_them: bool = False) -> None:
        """Have the journal note what was acknowledged, not too often: what it does not know comes again."""
        if not all_of_them and now_s - self._noted_s < _NOTE_S:
            return
        self._noted_s = now_s
        for session in self._sessions.values():
            if session.acknowledged > session.noted:
                self._journal.acknowledge(session.name, session.acknowledged)
                session.noted = session.acknowledged

    def _send_all(self) -> None:
        for peer, session in list(self._sessions.items()):
            while self._send_some(peer, session):
                pass

    def _send_some(self, peer: bytes, session: _Session) -> bool:
        """Send a consumer its next batch; False when there is none, or no room."""
        room = _WINDOW - (session.sent - session.acknowledged)
        if room <= 0 or session.sent >= self._journal.newest:
            return False
        entries = self._journal.read(session.sent, min(room, _BATCH))
        if not entries:
            return False
        wanted = [entry for entry in entries if session.wants(entry.kind)]
        if not self._tell_events(peer, entries[-1].seq, wanted):
            return False
        session.sent = entries[-1].seq
        return True

    def _look_who_is_there(self) -> None:
        """Send each consumer no event: only then does ZeroMQ say that nobody is there.

        Those who went without having acknowledged a whole window are sent nothing else.
        """
        for peer, session in list(self._sessions.items()):
            self._tell_events(peer, session.sent, ())

    def _forget_who_has_gone(self) -> None:
        """End the sessions of those who were not there, after what they had said before was read."""
        if self._gone:
            self._note_acknowledged(0.0, all_of_them=True)
            for peer in self._gone:
                self._sessions.pop(peer, None)
            self._gone.clear()

    def _tell_events(self, peer: bytes, upto: int, entries: Sequence[Entry]) -> bool:
        message = {
            "type": "events",
            "box": self._journal.box,
            "upto": upto,
            "seqs": [entry.seq for entry in entries],
        }
        return self._tell(peer, message, [entry.body for entry in entries])

    def _tell(self, peer: bytes, message: Mapping[str, Any], bodies: Sequence[bytes] = ()) -> bool:
        header = msgpack.packb({"v": VERSION, **message})
        try:
            self._socket.send_multipart([peer, header, *bodies], zmq.NOBLOCK)
        except zmq.Again:  # its queue is full; it is tried again when it acknowledges, or at the next look
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                self._gone.add(peer)
                return False
            raise
        return True


def _read(parts: list[bytes]) -> dict[str, Any] | None:
    """Return a request whose fields are right, None for anything else."""
    try:
        request = msgpack.unpackb(parts[-1], max_map_len=16, max_array_len=64)
    except Exception:  # msgpack raises many kinds
        return None
    if len(parts) != 1 or not isinstance(request, dict) or request.get("v") != VERSION:
        return None
    match request.get("type"):
        case "ping":
            return request
        case "ack":
            seq = request.get("seq")
            return request if isinstance(seq, int) and not isinstance(seq, bool) and seq >= 0 else None
        case "join":
            name, kinds = request.get("name"), request.get("kinds", [])
            request |= {"from": request.get("from", "resume"), "kinds": kinds}
            named = isinstance(name, str) and 0 < len(name) <= 64 and name.isprintable()
            listed = isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds)
            return request if named and listed and request["from"] in ("resume", "start") else None
    return None

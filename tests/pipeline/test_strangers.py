"""Every socket of the bus against those who talk nonsense: it is dropped and counted, and service goes on."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgpack
import psutil
import pytest
import zmq

from pipeline.bus import Bus
from pipeline.client import ReliableListener
from pipeline.curve import Credentials, CurveOptions, make_keys
from pipeline.curve import Keys as Pair
from pipeline.hub import Ends, Hub
from pipeline.journal import Journal
from pipeline.listen import Listener
from pipeline.place import Place
from pipeline.reliable import ReliableServer
from pipeline.wire import EventMessage, encode
from tests.pipeline.messages import FREE, make_event, make_frame, wait_until

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x01"
"""The signature and version of ZMTP 3.1 (ZeroMQ RFC 37); a mechanism of 20 bytes and 32 more follow."""
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
NULL = GREETING + b"NULL".ljust(20, b"\0") + bytes(32)
CURVE = GREETING + b"CURVE".ljust(20, b"\0") + bytes(32)
MESSAGES: Sequence[list[bytes]] = (
    [b""],
    [b"\x01" + b"x" * 1100],
    [b"\x02event/gate"],
    [b"no subscription"],
    [b"event/gate"],
    [b"event/gate", b"\xc1"],
    [b"event/gate", msgpack.packb({"v": 2, "type": "event"})],
    [b"event/gate", b"h", b"p", b"q"],
    [b"frame/gate", bytes(1 << 20), bytes(2 << 20)],
    [b"packet/" + bytes(1100), b"\x80"],
    [msgpack.packb({"v": 1, "type": "join", "name": ""})],
    [msgpack.packb({"v": 1, "type": "ack", "seq": -1})],
    [b"\xdd\x7f\xff\xff\xff"],
)
"""What no socket of ours takes from a peer that is let in."""


def nonsense(seed: int) -> bytes:
    """Bytes of a peer that does not speak ZeroMQ, or not to its end, or beyond all bounds."""
    rng = random.Random(seed)
    noise = rng.randbytes(rng.randrange(1, 400))
    kinds = [
        noise,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,
        GREETING[: rng.randrange(1, 12)],
        NULL[: rng.randrange(12, 64)],
        NULL + noise,
        CURVE + noise,
        CURVE + b"\x04\xc8\x05HELLO\x01\x00" + rng.randbytes(192),
        NULL + b"\x06" + struct.pack(">Q", 1 << 62) + noise,
        NULL + READY + b"\x02" + struct.pack(">Q", 1 << 40) + noise,
        NULL + READY + b"\x02" + struct.pack(">Q", 100 << 20) + noise,
        NULL + READY + noise,
        NULL + READY + b"\x01\x03abc" * 500,
    ]
    return kinds[seed % len(kinds)]


def shout(endpoint: str, seed: int) -> socket.socket:
    """Connect, say something, and stay; whoever is called may hang up."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    with suppress(OSError):
        connection.sendall(nonsense(seed))
    return connection


@dataclass
class Target:
    """A socket of ours under attack.

    Attributes:
        endpoint: where it listens.
        peers: connections that it has.
        noticed: what it has refused and whom it did not let in or cut off, so far.
        serves: does what it is there for, once.
        kinds: types of sockets that talk to it.
    """

    endpoint: str
    peers: Callable[[], int]
    noticed: Callable[[], int]
    serves: Callable[[], None]
    kinds: tuple[int, ...]


@contextmanager
def publishing(name: str, curve: Keys | None) -> Iterator[Target]:
    with ExitStack() as stack:
        bus = stack.enter_context(Bus(FREE, FREE, FREE, curve=curve and curve.box))
        endpoint = bus.endpoints[name]

        def counts(*keys: str) -> int:
            return sum(bus.statistics()[f"{name}_{key}"] for key in keys)

        def serves() -> None:
            if name == "packets":  # they need a recording; who subscribes is seen all the same
                with Listener([endpoint], ["packet/gate"], curve and curve.shown):
                    wait_until(lambda: bus.wants_packets("gate"))
                return
            with Listener([endpoint], [f"{name[:-1]}/"], curve and curve.shown) as listener:

                def arrives() -> bool:
                    bus.publish_event(make_event())
                    bus.publish_frame(make_frame())
                    return listener.receive(timeout_s=0.01) is not None

                wait_until(arrives)

        yield Target(
            endpoint,
            lambda: counts("peers"),
            lambda: counts("refused", "strangers", "gone"),
            serves,
            (zmq.SUB, zmq.XSUB, zmq.REQ, zmq.DEALER),
        )


@contextmanager
def at_the_hub(side: str, curve: Keys | None) -> Iterator[Target]:
    options = curve and curve.box
    with Hub({"events": Ends(FREE, FREE)}, boxes=options, programs=options) as hub:
        ends = hub.endpoints["events"]

        def counts(*keys: str) -> int:
            return sum(hub.statistics()["events"][key] for key in keys)

        def serves() -> None:
            place = Place(ends.boxes, connects=True)
            with (
                Bus(place, None, curve=curve and curve.to_hub) as bus,
                Listener([ends.programs], ["event/"], curve and curve.shown) as listener,
            ):

                def arrives() -> bool:
                    bus.publish_event(make_event())
                    received = listener.receive(timeout_s=0.01)
                    return received is not None and received.message.bus == bus._id

                wait_until(arrives)

        kinds = (zmq.XPUB, zmq.PUB, zmq.PUSH) if side == "boxes" else (zmq.XSUB, zmq.SUB, zmq.PULL)
        yield Target(
            getattr(ends, side),
            lambda: counts("boxes", "programs"),
            lambda: counts("refused", "strangers", "gone"),
            serves,
            kinds,
        )


@contextmanager
def reliable(folder: Path, curve: Keys | None) -> Iterator[Target]:
    journal = Journal(folder / "journal.sqlite3", keep_s=1e6, keep_bytes=10**8)
    journal.append([make_event(1)])
    server = ReliableServer(journal, FREE, curve and curve.box)

    def serves() -> None:
        with ReliableListener(
            server.endpoint, "shop", from_start=True, credentials=curve and curve.shown
        ) as listener:
            journal.append([make_event(2)])
            assert listener.receive(10) is not None
            listener.acknowledge()

    def counts(*keys: str) -> int:
        found = server.statistics()
        return sum(found[key] for key in keys)

    try:
        yield Target(
            server.endpoint,
            lambda: counts("peers"),
            lambda: counts("refused", "strangers", "gone"),
            serves,
            (zmq.DEALER, zmq.REQ, zmq.SUB),
        )
    finally:
        server.close()
        journal.close()


@dataclass(frozen=True)
class Keys:
    """What the box has, and what those show who are let in."""

    box: CurveOptions
    to_hub: CurveOptions
    shown: Credentials


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    own, _ = make_keys(folder, "box")
    make_keys(folder / "clients", "known")
    known = folder / "clients/known.key_secret"
    return Keys(
        CurveOptions(key=folder / "box.key_secret", clients=folder / "clients"),
        CurveOptions(key=known, hub=own),
        Credentials.read(own, known),
    )


TARGETS = ["events", "frames", "packets", "boxes", "programs", "reliable"]


@contextmanager
def target(name: str, folder: Path, curve: Keys | None) -> Iterator[Target]:
    if name == "reliable":
        made = reliable(folder, curve)
    elif name in ("boxes", "programs"):
        made = at_the_hub(name, curve)
    else:
        made = publishing(name, curve)
    with made as found:
        yield found


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Greetings have 0.2 s here, not 5; what ZeroMQ has given up is tried again after 0.05 s, not 1."""
    monkeypatch.setattr("pipeline.place.HANDSHAKE_MS", 200)
    monkeypatch.setattr("pipeline.listen.HANDSHAKE_MS", 200)
    monkeypatch.setattr("pipeline.peers._GIVEN_UP_S", 0.05)


@pytest.mark.parametrize("encrypted", [False, True], ids=["open", "curve"])
@pytest.mark.parametrize("name", TARGETS)
def test_who_does_not_speak_zeromq_is_dropped_and_counted(
    name: str, encrypted: bool, keys: Keys, tmp_path: Path
) -> None:
    curve = keys if encrypted else None
    with target(name, tmp_path, curve) as attacked:
        attacked.serves()
        wait_until(lambda: attacked.peers() == 0)
        before = attacked.noticed()
        crowd = 39
        with ExitStack() as stack:
            for seed in range(crowd):
                stack.enter_context(closing(shout(attacked.endpoint, seed)))
            attacked.serves()  # while all of them are there
            if encrypted:  # nobody is let in, and none stays, though none of them hangs up
                wait_until(lambda: attacked.peers() == 0)
                assert attacked.noticed() >= before + crowd
        wait_until(lambda: attacked.peers() == 0)
        assert attacked.noticed() >= before + crowd
        attacked.serves()


@pytest.mark.parametrize("encrypted", [False, True], ids=["open", "curve"])
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_no_message_of_ours_is_dropped_and_counted(
    name: str, encrypted: bool, keys: Keys, tmp_path: Path
) -> None:
    """From peers that speak ZeroMQ, and where there are keys show the right ones."""
    curve = keys if encrypted else None
    with target(name, tmp_path, curve) as attacked, zmq.Context() as context:
        before = attacked.noticed()
        for kind in attacked.kinds:
            with context.socket(kind) as talker:
                talker.linger, talker.sndtimeo = 300, 300
                if curve:
                    curve.shown.show(talker)
                talker.connect(attacked.endpoint)
                for parts in MESSAGES:
                    with suppress(zmq.ZMQError):  # REQ waits for its answer, SUB sends subscriptions only
                        talker.send_multipart(parts)
                attacked.serves()
        assert attacked.noticed() > before
        attacked.serves()


@pytest.mark.parametrize("name", TARGETS)
def test_without_the_right_keys_nobody_is_let_in(name: str, keys: Keys, tmp_path: Path) -> None:
    unknown = Credentials(keys.shown.server, read_pair())
    wrong = Credentials(read_pair().public, keys.shown.keys)
    with target(name, tmp_path, keys) as attacked, zmq.Context() as context:
        for shown in (None, unknown, wrong):
            before = attacked.noticed()
            with context.socket(attacked.kinds[0]) as talker:
                talker.linger = 0
                if shown is not None:
                    shown.show(talker)
                talker.connect(attacked.endpoint)
                wait_until(lambda before=before: attacked.noticed() > before)  # type: ignore[misc]
        attacked.serves()


def read_pair() -> Pair:
    return Pair(*zmq.curve_keypair())


def test_a_listener_takes_nonsense_from_no_server_and_goes_on_trying() -> None:
    """Servers that talk rubbish, at which ZeroMQ alone gives up for ever; then one of ours."""
    good = EventMessage("0" * 16, 0, make_event())
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0.0)
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with Listener([endpoint]) as listener:
            for seed in range(13):
                with closing(accepted(server, listener)) as connection:
                    connection.sendall(nonsense(seed))
                    assert listener.receive(timeout_s=0.01) is None
            server.close()
            with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
                publisher.linger = 0
                publisher.bind(endpoint)
                wait_until(lambda: listener.receive(timeout_s=0.01) is None and publisher.poll(0) > 0)
                for parts in MESSAGES:
                    publisher.send_multipart(parts)
                publisher.send_multipart(encode(good))
                received = listener.receive(timeout_s=10)
                assert received is not None
                assert received.message == good
            addressed = sum(parts[0].startswith(b"event/") for parts in MESSAGES)
            assert listener.statistics()["refused"] == addressed


def accepted(server: socket.socket, listener: Listener) -> socket.socket:
    found: list[socket.socket] = []

    def look() -> bool:
        assert listener.receive(timeout_s=0.005) is None
        with suppress(BlockingIOError):
            found.append(server.accept()[0])
        return bool(found)

    wait_until(look)
    return found[0]


def test_a_message_beyond_all_bounds_does_not_end_a_subscription() -> None:
    """ZeroMQ cuts the connection, and alone would never come back."""
    good = EventMessage("0" * 16, 0, make_event())
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.linger = 0
        publisher.bind(FREE)
        with Listener([publisher.getsockopt_string(zmq.LAST_ENDPOINT)]) as listener:
            assert publisher.poll(10_000)
            publisher.recv()
            publisher.send_multipart([b"event/gate", bytes((32 << 20) + 1)])
            wait_until(lambda: listener.receive(timeout_s=0.01) is None and publisher.poll(0) > 0)

            def arrives() -> bool:
                publisher.send_multipart(encode(good))
                return listener.receive(timeout_s=0.02) is not None

            wait_until(arrives)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_storm_of_strangers_costs_neither_memory_nor_time(name: str, tmp_path: Path) -> None:
    process = psutil.Process()
    with target(name, tmp_path, None) as attacked:

        def storm(first: int) -> None:
            for start in range(first, first + 1000, 50):
                with ExitStack() as stack:
                    for seed in range(start, start + 50):
                        stack.enter_context(closing(shout(attacked.endpoint, seed)))
                attacked.serves()
            wait_until(lambda: attacked.peers() == 0)

        storm(0)
        before = process.memory_info().rss, process.num_fds(), process.num_threads()
        storm(1000)
        after = process.memory_info().rss, process.num_fds(), process.num_threads()
        assert after[0] - before[0] < 20 << 20
        assert after[1] <= before[1] + 2
        assert after[2] == before[2]
        assert attacked.noticed() >= 2000

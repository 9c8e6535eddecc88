"""Every socket of the bus against those who talk nonsense: it is dropped and counted, and service goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

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
from tests.pipeline.messages import FREE, make_event, make_frame, wait_until
from tests.pipeline.strangers import MESSAGES, shout
from tests.servers.footprint import Footprint, resident_mib


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
    """Greetings have 0.1 s here, not 5."""
    monkeypatch.setattr("pipeline.place.HANDSHAKE_MS", 100)


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
                talker.linger, talker.sndtimeo = 0, 50
                if curve:
                    curve.shown.show(talker)
                talker.connect(attacked.endpoint)
                for parts in MESSAGES:
                    with suppress(zmq.ZMQError):  # REQ waits for its answer, SUB sends subscriptions only
                        talker.send_multipart(parts)
                attacked.serves()
        wait_until(lambda: attacked.noticed() > before)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_storm_of_strangers_costs_neither_memory_nor_time(name: str, tmp_path: Path) -> None:
    with target(name, tmp_path, None) as attacked:

        def storm(first: int) -> None:
            for start in range(first, first + 1000, 50):
                with ExitStack() as stack:
                    for seed in range(start, start + 50):
                        stack.enter_context(closing(shout(attacked.endpoint, seed)))
                attacked.serves()
            wait_until(lambda: attacked.peers() == 0)

        storm(0)
        held, before_mib = Footprint.now(), resident_mib()
        storm(1000)
        assert resident_mib() - before_mib < 20
        held.assert_same_again(10)
        assert attacked.noticed() >= 2000

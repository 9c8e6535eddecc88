"""Several boxes and several programs at one hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from pipeline.bus import Bus
from pipeline.curve import Credentials, CurveOptions, make_keys
from pipeline.errors import ConfigError, SinkError
from pipeline.hub import Ends, Hub
from pipeline.listen import Listener
from pipeline.place import Place
from pipeline.wire import BoxMessage, EventMessage, FrameMessage, PacketMessage, encode
from tests.packets import packets_of
from tests.pipeline.messages import FREE, SpyOverlay, make_event, make_frame, wait_until
from tests.servers.daemons import free_port

LOCAL = {name: Ends(FREE, FREE) for name in ("events", "frames", "packets")}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(LOCAL) as hub:
        yield hub


def box(hub: Hub, **options: CurveOptions) -> Bus:
    places = (Place(hub.endpoints[name].boxes, connects=True) for name in ("events", "frames", "packets"))
    return Bus(*places, **options)


def program(hub: Hub, *topics: str, credentials: Credentials | None = None) -> Listener:
    return Listener([ends.programs for ends in hub.endpoints.values()], topics, credentials)


def events_of(listener: Listener, most: int) -> list[EventMessage]:
    found = []
    while len(found) < most:
        received = listener.receive(timeout_s=10)
        assert received is not None
        assert isinstance(received.message, EventMessage)
        found.append(received.message)
    return found


def test_events_of_several_boxes_reach_several_programs(hub: Hub) -> None:
    with ExitStack() as stack:
        north, south = (stack.enter_context(box(hub)) for _ in range(2))
        one = stack.enter_context(program(hub, "event/"))
        two = stack.enter_context(program(hub, "event/north", "event/south"))
        for bus in (north, south):
            wait_until(lambda bus=bus: bus.statistics()["events_subscriptions"] == 3)  # type: ignore[misc]
        for number in range(50):
            north.publish_event(make_event(number, "north"))
            south.publish_event(make_event(number, "south"))
        for listener in (one, two):
            found = events_of(listener, 100)
            for stream in ("north", "south"):
                own = [message for message in found if message.event.stream == stream]
                assert [message.n for message in own] == list(range(50))
            assert len({message.bus for message in found}) == 2
            assert listener.statistics()["lost"] == 0
        wait_until(lambda: hub.statistics()["events"]["passed"] == 100)  # counted once it is passed on
        wait_until(lambda: [hub.statistics()["events"][side] for side in ("boxes", "programs")] == [2, 2])
        counts = hub.statistics()["events"]
        assert (counts["passed"], counts["refused"]) == (100, 0)
        assert counts["bytes"] > 100 * len(encode(EventMessage("0" * 16, 0, make_event()))[1])


def test_a_box_draws_only_what_a_viewer_behind_the_hub_wants(hub: Hub) -> None:
    painted = SpyOverlay()
    with box(hub) as north, box(hub) as south:
        wait_until(lambda: hub.statistics()["frames"]["boxes"] == 2)
        with program(hub, "frame/north") as viewer:
            wait_until(lambda: north.wants_frames("north"))
            wait_until(lambda: south.wants_frames("north"))
            assert not south.wants_frames("south")
            assert not south.publish_frame(make_frame(0, "south", overlay=painted))
            assert painted.painted == 0
            assert north.publish_frame(make_frame(3, "north", overlay=painted))
            assert painted.painted == 1
            received = viewer.receive(timeout_s=10)
            assert received is not None
            assert isinstance(received.message, FrameMessage)
            assert received.message.sequence == 3
        wait_until(lambda: not north.wants_frames("north"))
        assert not north.publish_frame(make_frame(4, "north", overlay=painted))
        assert painted.painted == 1


def test_packets_go_through_as_they_are(hub: Hub, tmp_path: Path) -> None:
    from tests.media import write_crossing_video

    form, packets = packets_of(write_crossing_video(tmp_path / "a.mp4", frames=20), "yard")
    with box(hub) as bus, program(hub, "packet/yard") as recorder:
        wait_until(lambda: bus.wants_packets("yard"))
        for packet in packets:
            assert bus.publish_packet(form, packet)
        for packet in packets:
            received = recorder.receive(timeout_s=10)
            assert received is not None
            assert isinstance(received.message, PacketMessage)
            assert (received.message.packet, received.message.format, received.lost) == (packet, form, 0)


def test_every_side_may_restart() -> None:
    ports = [free_port() for _ in range(4)]
    at = [f"tcp://127.0.0.1:{port}" for port in ports]
    places = {"events": Ends(at[0], at[1]), "frames": Ends(at[2], at[3])}

    def new_box() -> Bus:
        return Bus(Place(at[0], connects=True), Place(at[2], connects=True))

    def arrives(bus: Bus, listener: Listener) -> None:
        """Publish until the program gets something from this bus."""

        def once() -> bool:
            bus.publish_event(make_event())
            received = listener.receive(timeout_s=0.02)
            return received is not None and received.message.bus == bus._id

        wait_until(once, 20)

    with ExitStack() as stack:
        bus = stack.enter_context(new_box())  # before there is a hub
        listener = stack.enter_context(Listener([at[1], at[3]], ["event/", "frame/"]))
        hub = Hub(places)
        arrives(bus, listener)
        wait_until(lambda: bus.wants_frames("gate"))
        hub.close()
        wait_until(lambda: not bus.wants_frames("gate"))  # nothing is drawn for a hub that is away
        stack.enter_context(Hub(places))
        arrives(bus, listener)
        wait_until(lambda: bus.wants_frames("gate"), 20)
        with new_box() as another:
            arrives(another, listener)
        with Listener([at[1]], ["event/"]) as late:
            arrives(bus, late)
        assert listener.statistics()["refused"] == 0


def test_over_files_too(tmp_path: Path) -> None:
    ends = Ends(f"ipc://{tmp_path}/boxes", f"ipc://{tmp_path}/programs")
    with Hub({"events": ends}) as hub:
        assert hub.endpoints["events"] == ends
        with Bus(Place(ends.boxes, connects=True), None) as bus, Listener([ends.programs]) as listener:
            wait_until(lambda: bus.statistics()["events_subscriptions"] == 1)
            bus.publish_event(make_event(7))
            assert events_of(listener, 1)[0].event == make_event(7)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for folder, name in [("own", "hub"), ("boxes", "gate"), ("clients", "shop"), ("elsewhere", "stranger")]:
        make_keys(tmp_path / folder, name)
    return tmp_path


def test_known_boxes_publish_known_programs_subscribe_and_nobody_does_both(keys: Path) -> None:
    own = keys / "own/hub.key_secret"
    curves = {name: CurveOptions(key=own, clients=keys / name) for name in ("boxes", "clients")}
    pairs = {
        "gate": keys / "boxes/gate.key_secret",
        "shop": keys / "clients/shop.key_secret",
        "stranger": keys / "elsewhere/stranger.key_secret",
    }
    shown = {name: Credentials.read(keys / "own/hub.key", pair) for name, pair in pairs.items()}
    curve = {name: CurveOptions(key=pair, hub=keys / "own/hub.key") for name, pair in pairs.items()}
    with ExitStack() as stack:
        hub = stack.enter_context(
            Hub({"events": Ends(FREE, FREE)}, boxes=curves["boxes"], programs=curves["clients"])
        )
        at = Place(hub.endpoints["events"].boxes, connects=True)
        buses = {
            name: stack.enter_context(Bus(at, None, curve=options)) for name, options in curve.items()
        } | {"plain": stack.enter_context(Bus(at, None))}
        listeners = {
            name: stack.enter_context(program(hub, "event/", credentials=credentials))
            for name, credentials in (*shown.items(), ("plain", None))
        }
        wait_until(lambda: buses["gate"].statistics()["events_subscriptions"] == 1, 20)
        wait_until(lambda: hub.statistics()["events"]["strangers"] >= 6, 20)
        for bus in buses.values():
            bus.publish_event(make_event())
        assert events_of(listeners["shop"], 1)[0].bus == buses["gate"]._id
        for name in ("gate", "stranger", "plain"):
            assert listeners[name].receive(timeout_s=0.02) is None
        assert listeners["shop"].receive(timeout_s=0.05) is None
        wait_until(lambda: hub.statistics()["events"]["passed"] == 1)


def test_a_box_that_does_not_know_the_hubs_key_is_told_so(keys: Path) -> None:
    curve = CurveOptions(key=keys / "boxes/gate.key_secret")
    with pytest.raises(ConfigError, match="the hub's public key is missing"):
        Bus(Place("tcp://127.0.0.1:5587", connects=True), None, curve=curve)


def test_what_is_no_message_is_dropped_and_counted(hub: Hub) -> None:
    with zmq.Context() as context, context.socket(zmq.XPUB) as rogue, program(hub, "event/") as listener:
        rogue.linger = 0
        rogue.connect(hub.endpoints["events"].boxes)
        assert rogue.poll(10_000)
        good = encode(EventMessage("0" * 16, 0, make_event()))
        wrong = [
            [b"event/alone"],
            [b"event/gate", b"h", b"p", b"more"],
            [b"event/" + b"x" * 1020, b"h"],
            [b"event/gate", bytes((1 << 20) + 1)],
        ]
        for parts in (*wrong, good):
            rogue.send_multipart(parts)
        assert events_of(listener, 1)[0].event == make_event()
        wait_until(lambda: hub.statistics()["events"]["passed"] == 1, 10)  # counted once it is passed on
        assert hub.statistics()["events"]["refused"] == len(wrong)
        assert listener.statistics()["refused"] == 0


def test_the_hub_tells_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.relay._LOOK_S", 0.02)
    with Hub(LOCAL) as hub, box(hub) as bus, program(hub, "status/_hub", "event/") as listener:
        wait_until(lambda: bus.statistics()["events_subscriptions"] == 2)
        bus.publish_event(make_event())
        found = None
        # The box is counted when ZeroMQ's monitor tells of it.
        while not isinstance(found, BoxMessage) or not found.sockets["events_boxes"]:
            received = listener.receive(timeout_s=10)
            assert received is not None
            found = received.message
        assert found.topic == "status/_hub"
        assert found.sockets["events_boxes"] == 1
        assert found.sockets["frames_strangers"] == 0


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "nowhere"])
def test_a_wrong_address_is_one_line_and_leaves_nothing_open(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        Hub({"events": Ends(FREE, FREE), "frames": Ends(FREE, address)})


def test_an_address_in_use_is_one_line(hub: Hub) -> None:
    taken = hub.endpoints["frames"].programs
    with pytest.raises(SinkError, match=f"{taken}: Address already in use"):
        Hub({"frames": Ends(FREE, taken)})

"""Packets over the bus: with what travels a muxer makes the same file again."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from pipeline.bus import Bus
from pipeline.config.load import load_config
from pipeline.engine import Engine
from pipeline.errors import ConfigError
from pipeline.listen import Listener
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_bus import BusPackets
from pipeline.wire import PacketMessage, WireError, decode, encode
from pipeline.wire_lines import format_message, json_line
from streams.sinks.copying.copier import Copier
from tests.media import write_crossing_video
from tests.packets import hashes, hashes_in, packets_of, without_decode_times
from tests.pipeline.messages import FREE, wait_until

BUS_ID = "0123456789abcdef"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crossing_video(tmp_path_factory.mktemp("source") / "source.mp4", frames=60)


def collect(listener: Listener, most: int) -> list[PacketMessage]:
    found: list[PacketMessage] = []
    while len(found) < most:
        received = listener.receive(timeout_s=10)
        assert received is not None
        assert isinstance(received.message, PacketMessage)
        found.append(received.message)
    return found


@pytest.mark.parametrize("decode_times", [True, False], ids=["file", "camera"])
def test_a_subscriber_makes_the_same_file_again(recording: Path, tmp_path: Path, decode_times: bool) -> None:
    form, packets = packets_of(recording)
    sent = packets if decode_times else without_decode_times(packets)
    with Bus(None, None, FREE) as bus, Listener([bus.endpoints["packets"]], ["packet/gate"]) as listener:
        wait_until(lambda: bus.wants_packets("gate"))
        for packet in sent:
            assert bus.publish_packet(form, packet)
        found = collect(listener, len(sent))
        assert listener.statistics()["lost"] == 0
    assert [message.packet for message in found] == sent
    with Copier(tmp_path / "copy.mp4", found[0].format, container="mp4") as copier:
        for message in found:
            copier.write(message.packet)
    assert hashes_in(tmp_path / "copy.mp4") == hashes(packets)


def test_who_comes_in_the_midst_can_begin_at_the_next_key_frame(recording: Path, tmp_path: Path) -> None:
    form, packets = packets_of(recording)
    middle = 25  # key frames are 0, 20, 40
    with Bus(None, None, FREE) as bus, Listener([bus.endpoints["packets"]], ["packet/"]) as listener:
        wait_until(lambda: bus.wants_packets("gate"))
        for packet in packets[middle:]:
            bus.publish_packet(form, packet)
        found = collect(listener, len(packets) - middle)
    key = next(number for number, message in enumerate(found) if message.packet.is_key)
    with Copier(tmp_path / "tail.mp4", found[key].format, container="mp4") as copier:
        for message in found[key:]:
            copier.write(message.packet)
    assert hashes_in(tmp_path / "tail.mp4") == hashes(packets[40:])


def test_nothing_is_sent_without_a_subscriber(recording: Path) -> None:
    form, packets = packets_of(recording)
    with Bus(FREE, FREE, FREE) as bus, Listener([bus.endpoints["packets"]], ["packet/yard"]) as listener:
        wait_until(lambda: bus.wants_packets("yard"))
        assert not bus.publish_packet(form, packets[0])
        assert bus.statistics()["packets_sent"] == 0
        assert listener.receive(timeout_s=0.05) is None
    assert not bus.publish_packet(form, packets[0])


def test_who_does_not_read_loses_the_newer_ones_and_can_tell(recording: Path) -> None:
    """The queue is bounded in packets; what follows a loss has a larger number."""
    form, packets = packets_of(recording)
    large = Packet(**{name: getattr(packets[0], name) for name in Packet.__slots__} | {"data": bytes(50_000)})
    with Bus(None, None, FREE) as bus, Listener([bus.endpoints["packets"]], ["packet/gate"]) as listener:
        wait_until(lambda: bus.wants_packets("gate"))
        for _ in range(2000):
            bus.publish_packet(form, large)
        found = []
        while (received := listener.receive(timeout_s=0.5)) is not None:
            found.append(received)
        bus.publish_packet(form, packets[1])
        last = listener.receive(timeout_s=10)
        assert last is not None
        assert 500 < len(found) < 1990
        assert last.lost + sum(received.lost for received in found) == 2000 - len(found)
        assert listener.statistics()["lost"] == 2000 - len(found)


def message_of(recording: Path, number: int = 0) -> PacketMessage:
    form, packets = packets_of(recording)
    return PacketMessage(BUS_ID, number, form, packets[number])


def test_a_packet_that_breaks_the_protocol_is_refused(recording: Path) -> None:
    message = message_of(recording)
    topic, header, payload = encode(message)
    fields = msgpack.unpackb(header)
    for change, reason in [
        ({"time_base": [1, 0]}, "field time_base"),
        ({"time_base": [1]}, "field time_base"),
        ({"extradata": "text"}, "field extradata"),
        ({"extradata": bytes(70_000)}, "field extradata"),
        ({"pts": 2**63}, "field pts"),
        ({"is_key": 1}, "field is_key"),
        ({"rotation_deg": 45}, "field rotation_deg"),
        ({"codec": ""}, "field codec"),
        ({"width": 0}, "field width"),
    ]:
        with pytest.raises(WireError, match=reason):
            decode([topic, msgpack.packb(fields | change), payload])
    for wrong in ([topic, header], [topic, header, b""], [topic, header, payload, b""]):
        with pytest.raises(WireError):
            decode(wrong)


def test_lines_of_packets(recording: Path) -> None:
    message = message_of(recording)
    assert "  gate  packet 0  h264 320x240  " in format_message(message)
    assert format_message(message).endswith("key frame")
    assert '"packet_bytes":' in json_line(message)
    assert '"extradata":"AWQ' in json_line(message), "avcC, Base64"


def test_a_topic_of_packets_is_known() -> None:
    with pytest.raises(
        ConfigError, match="write event/STREAM, status/STREAM, frame/STREAM, raw/STREAM or packet/STREAM"
    ):
        Listener(["tcp://127.0.0.1:1"], ["packets/gate"])


def test_the_format_is_with_each_packet(recording: Path) -> None:
    form, _ = packets_of(recording)
    for number in (0, 7):
        found = decode(encode(message_of(recording, number)))
        assert isinstance(found, PacketMessage)
        assert found.format == form
        assert isinstance(found.format, PacketFormat)


def test_what_the_bus_cannot_carry_is_told_once_and_stops_nothing(
    recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    form, packets = packets_of(recording)
    huge = Packet(
        **{name: getattr(packets[0], name) for name in Packet.__slots__} | {"data": bytes(33 << 20)}
    )
    with Bus(None, None, FREE) as bus, Listener([bus.endpoints["packets"]], ["packet/gate"]) as listener:
        wait_until(lambda: bus.wants_packets("gate"))
        taker = BusPackets(bus)
        taker.put(packets[0])  # nobody knows its format yet
        taker.begin(form)
        for packet in (huge, huge, packets[1]):
            taker.put(packet)
        taker.over()
        taker.put(packets[2])
        assert collect(listener, 1)[0].packet == packets[1]
        assert bus.statistics()["packets_sent"] == 1
    assert len(caplog.messages) == 1
    assert "payload has 34603008 bytes" in caplog.text


def test_packets_of_a_run_reach_the_bus(recording: Path, tmp_path: Path) -> None:
    """A camera's way: file, source, tap, bus, program, muxer."""
    text = f"streams:\n  gate: {{source: {recording}}}\nbus: {{packets: 'tcp://127.0.0.1:*'}}\n"
    (tmp_path / "c.yaml").write_text(text)
    with Engine(load_config(tmp_path / "c.yaml", out=tmp_path / "out")) as engine:
        assert engine._bus is not None
        with Listener([engine._bus.endpoints["packets"]], ["packet/gate"]) as listener:
            wait_until(lambda: engine._bus is not None and engine._bus.wants_packets("gate"))
            engine.run()
            _, packets = packets_of(recording)
            found = collect(listener, len(packets))
    assert hashes([message.packet for message in found]) == hashes(packets)
    assert [message.packet.moment.pts_s for message in found] == pytest.approx(
        [packet.moment.pts_s for packet in packets]
    )
    with Copier(tmp_path / "copy.mp4", found[0].format, container="mp4") as copier:
        for message in found:
            copier.write(message.packet)
    assert hashes_in(tmp_path / "copy.mp4") == hashes_in(recording)

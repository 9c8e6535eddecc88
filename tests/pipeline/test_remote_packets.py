"""Packets of a bus for a sink that copies them and runs in a process of its own."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.bus import Bus
from pipeline.listen import Listener
from pipeline.packet import Packet, PacketFormat
from pipeline.packet_sink import PacketSink
from pipeline.plugin import SinkContext, SinkOptions, StreamInfo
from pipeline.remote_packets import PacketFeeds
from tests.media import write_crossing_video
from tests.packets import hashes, packets_of
from tests.pipeline.messages import FREE, wait_until


class Deck(PacketSink):
    """Keeps what it is told."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SinkOptions(**options), SinkContext(Path()))
        self.said: list[str] = []
        self.packets: list[Packet] = []
        self.failing = False

    def open_stream(self, info: StreamInfo) -> None:
        self.said.append(f"stream {info.stream} {info.codec} {info.width}x{info.height}")

    def close_stream(self, stream: str) -> None:
        self.said.append(f"stream {stream} closed")

    def open_packets(self, form: PacketFormat) -> None:
        self.said.append(f"open {form.stream} {form.run}")

    def on_packet(self, packet: Packet) -> None:
        if self.failing:
            raise OSError("full")
        self.packets.append(packet)

    def close_packets(self, stream: str) -> None:
        self.said.append(f"close {stream}")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> tuple[PacketFormat, list[Packet]]:
    return packets_of(write_crossing_video(tmp_path_factory.mktemp("source") / "x.mp4", frames=60))


class Running:
    """The feeds at work in a thread, as `sightline sink` has them in its own."""

    def __init__(self, deck: Deck, endpoint: str) -> None:
        self._stop = threading.Event()
        self._listener = Listener([endpoint], ["packet/"])
        self.feeds = PacketFeeds("deck", deck, self._listener)
        self._thread = threading.Thread(target=lambda: self.feeds.run(self._stop.is_set))
        self._thread.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.feeds.close()
        self._listener.close()


def test_a_sink_gets_all_packets_as_they_were(recording: tuple[PacketFormat, list[Packet]]) -> None:
    form, packets = recording
    deck = Deck()
    with Bus(None, None, FREE) as bus, Running(deck, bus.endpoints["packets"]) as running:
        wait_until(lambda: bus.wants_packets("gate"))
        for packet in packets:
            bus.publish_packet(form, packet)
        wait_until(lambda: len(deck.packets) == len(packets))
        assert (running.feeds.come, running.feeds.lost) == (60, 0)
    assert hashes(deck.packets) == hashes(packets)
    assert deck.said == [
        f"stream gate h264 {form.width}x{form.height}",
        "open gate run-1",
        "close gate",
        "stream gate closed",
    ]


def test_after_a_loss_it_goes_on_at_a_key_frame(recording: tuple[PacketFormat, list[Packet]]) -> None:
    form, packets = recording  # key frames are 0, 20, 40
    deck = Deck()
    with Bus(None, None, FREE) as bus, Running(deck, bus.endpoints["packets"]):
        wait_until(lambda: bus.wants_packets("gate"))
        for packet in [*packets[:5], *packets[8:30]]:
            bus.publish_packet(form, packet)
        wait_until(lambda: len(deck.packets) == 15)
    assert [packet.sequence for packet in deck.packets] == [*range(5), *range(20, 30)]


def test_another_run_and_another_start_of_the_box_begin_anew(
    recording: tuple[PacketFormat, list[Packet]],
) -> None:
    form, packets = recording
    deck = Deck()
    with Bus(None, None, FREE) as bus:
        endpoint = bus.endpoints["packets"]
        running = Running(deck, endpoint)
        wait_until(lambda: bus.wants_packets("gate"))
        for run in ("run-1", "run-2"):
            for packet in packets[:3]:
                bus.publish_packet(replace(form, run=run), replace(packet, run=run))
        wait_until(lambda: len(deck.packets) == 6)
    with Bus(None, None, endpoint) as bus, running:
        wait_until(lambda: bus.wants_packets("gate"))
        for packet in packets[:3]:
            bus.publish_packet(replace(form, run="run-2"), replace(packet, run="run-2"))
        wait_until(lambda: len(deck.packets) == 9)
    opened = [said for said in deck.said if said.startswith("open")]
    assert opened == ["open gate run-1", "open gate run-2", "open gate run-2"]


def test_a_stream_that_is_not_wanted_is_left_out(recording: tuple[PacketFormat, list[Packet]]) -> None:
    form, packets = recording
    deck = Deck(streams=("gate",))
    with Bus(None, None, FREE) as bus, Running(deck, bus.endpoints["packets"]):
        wait_until(lambda: bus.wants_packets("gate"))
        for stream in ("gate2", "gate"):
            bus.publish_packet(replace(form, stream=stream), replace(packets[0], stream=stream))
        wait_until(lambda: len(deck.packets) == 1)
    assert {packet.stream for packet in deck.packets} == {"gate"}


def test_a_sink_that_fails_is_tried_again_at_the_next_key_frame(
    recording: tuple[PacketFormat, list[Packet]], caplog: pytest.LogCaptureFixture
) -> None:
    form, packets = recording
    deck = Deck()
    deck.failing = True
    with Bus(None, None, FREE) as bus, Running(deck, bus.endpoints["packets"]):
        wait_until(lambda: bus.wants_packets("gate"))
        bus.publish_packet(form, packets[0])
        wait_until(lambda: "sink 'deck' failed and is tried again: OSError: full" in caplog.text)
        deck.failing = False
        number = 1
        while not deck.packets:
            bus.publish_packet(form, replace(packets[0], sequence=number))
            number += 1
            time.sleep(0.01)


def test_a_recording_that_its_sink_is_too_slow_for_holds_up_no_other_stream(
    recording: tuple[PacketFormat, list[Packet]],
) -> None:
    form, packets = recording
    gate = threading.Event()

    class Slow(Deck):
        queue_bytes = 1

        def on_packet(self, packet: Packet) -> None:
            if packet.stream == "gate":
                gate.wait(10)
            super().on_packet(packet)

    deck = Slow()
    camera = replace(form, stream="camera", live=True)
    try:
        with Bus(None, None, FREE) as bus, Running(deck, bus.endpoints["packets"]):
            wait_until(lambda: bus.wants_packets("gate"))
            for packet in packets[:5]:
                bus.publish_packet(form, packet)
            bus.publish_packet(camera, replace(packets[0], stream="camera"))
            wait_until(lambda: [packet.stream for packet in deck.packets] == ["camera"], 3)
            gate.set()
    finally:
        gate.set()

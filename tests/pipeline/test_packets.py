from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat, Tap
from pipeline.packets import Packets
from pipeline.picture import BgrPicture

START_NS = 1_800_000_000_000_000_000


class Keeping:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.calls: list[str] = []

    def begin(self, form: PacketFormat) -> None:
        self.calls.append(f"begin {form.run}")

    def put(self, packet: Packet) -> None:
        self.packets.append(packet)

    def over(self) -> None:
        self.calls.append("over")


def form(run: str = "a") -> PacketFormat:
    return PacketFormat("gate", run, "h264", 64, 48, Fraction(1, 1000))


def put(tap: Tap, pts: int) -> None:
    tap.put(str(pts).encode(), pts=pts, dts=None, duration=40, is_key=False)


def frame(ticks: int | None, pts_s: float, run: str = "a") -> Frame:
    picture = BgrPicture(np.zeros((2, 2, 3), np.uint8))
    moment = Moment(pts_s, START_NS + round(pts_s * 1e9), Clock.ARRIVAL, 5)
    return Frame("gate", run, 0, moment, picture, ticks=ticks)


def test_a_packet_has_the_clocks_of_its_frame() -> None:
    taker = Keeping()
    packets = Packets([taker])
    tap = packets.tap()
    tap.begin(form())
    put(tap, 5000)
    put(tap, 5040)
    assert taker.packets == []
    packets.placed(frame(5000, 100.0))
    put(tap, 5080)
    assert [p.sequence for p in taker.packets] == [0, 1, 2]
    assert [p.moment.pts_s for p in taker.packets] == pytest.approx([100.0, 100.04, 100.08])
    assert taker.packets[2].moment.time_ns == START_NS + 100_080_000_000
    assert taker.packets[2].moment.uncertainty_ns == 5


def test_a_jump_of_the_clock_is_followed() -> None:
    taker = Keeping()
    packets = Packets([taker])
    tap = packets.tap()
    tap.begin(form())
    packets.placed(frame(0, 10.0))
    put(tap, 900_000)
    packets.placed(frame(900_000, 10.04))
    put(tap, 900_040)
    assert taker.packets[-1].moment.pts_s == pytest.approx(10.08)


@pytest.mark.parametrize("leap", [3_600_000, -4_000])
def test_what_comes_after_a_leap_waits_for_its_frame(leap: int) -> None:
    taker = Keeping()
    packets = Packets([taker])
    tap = packets.tap()
    tap.begin(form())
    packets.placed(frame(5000, 10.0))
    put(tap, 5000)
    put(tap, 5040)
    put(tap, 5080 + leap)
    packets.placed(frame(5040, 10.04))  # the decoder is a picture late
    put(tap, 5120 + leap)
    assert len(taker.packets) == 2
    packets.placed(frame(5080 + leap, 10.08))
    put(tap, 5160 + leap)
    assert [p.sequence for p in taker.packets] == [0, 1, 2, 3, 4]
    assert [p.moment.pts_s for p in taker.packets] == pytest.approx([10.0, 10.04, 10.08, 10.12, 10.16])


def test_pictures_that_come_seconds_apart_are_no_leap() -> None:
    taker = Keeping()
    now_s = 50.0
    packets = Packets([taker], lambda: now_s)
    tap = packets.tap()
    tap.begin(form())
    put(tap, 0)
    packets.placed(frame(0, 100.0))  # that of a key frame, the only ones that are decoded
    for number in range(1, 4):
        now_s += 5.0
        put(tap, 5000 * number)
    now_s += 30.0
    put(tap, 15_040)  # was held up on its way
    assert [p.moment.pts_s for p in taker.packets] == pytest.approx([100.0, 105.0, 110.0, 115.0, 115.04])


def test_a_later_connection_silences_an_abandoned_one() -> None:
    taker = Keeping()
    packets = Packets([taker])
    old, new = packets.tap(), packets.tap()
    new.begin(form("b"))
    packets.placed(frame(0, 1.0, "b"))
    old.begin(form("a"))
    put(old, 40)
    put(new, 40)
    assert [p.run for p in taker.packets] == ["b"]
    assert taker.calls == ["begin b"]


def test_the_takers_are_told_when_a_connection_is_over() -> None:
    taker = Keeping()
    packets = Packets([taker])
    packets.tap().begin(form("a"))
    packets.tap().begin(form("b"))
    packets.over()
    packets.over()
    assert taker.calls == ["begin a", "over", "begin b", "over"]


def test_frames_of_another_run_or_without_ticks_teach_nothing() -> None:
    taker = Keeping()
    packets = Packets([taker])
    tap = packets.tap()
    tap.begin(form("a"))
    put(tap, 0)
    packets.placed(frame(0, 1.0, "z"))
    packets.placed(frame(None, 1.0))
    assert taker.packets == []


def test_what_waits_for_the_first_frame_is_bounded() -> None:
    taker = Keeping()
    packets = Packets([taker])
    tap = packets.tap()
    tap.begin(form())
    for number in range(1000):
        put(tap, number)
    packets.placed(frame(0, 0.0))
    assert [p.sequence for p in taker.packets] == list(range(744, 1000))

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from pipeline.moment import Clock, Moment
from pipeline.packet import Packet
from streams.sinks.copying.leaps import Leaps

STEP = 4  # ticks of 10 ms


def packet(number: int, pts: int, *, dts: int | None = None, at: float | None = None) -> Packet:
    seconds = number * 0.04 if at is None else at
    return Packet("gate", "a", number, b"x", pts, dts, STEP, False, Moment(seconds, 0, Clock.ARRIVAL))


def stamps(packets: list[Packet]) -> list[tuple[int, int | None]]:
    leaps = Leaps(Fraction(1, 100))
    return [(one.pts, one.dts) for one in map(leaps.without, packets)]


@pytest.mark.parametrize("leap", [360_000, -360_000, -(1 << 33), 150])
def test_stamps_go_on_as_media_time_does(leap: int) -> None:
    sent = [packet(number, 1000 + STEP * number, dts=996 + STEP * number) for number in range(10)]
    leapt = [replace(one, pts=one.pts + leap, dts=(one.dts or 0) + leap) for one in sent[5:]]
    assert stamps(sent[:5] + leapt) == [(one.pts, one.dts) for one in sent]


def test_pictures_out_of_order_and_pauses_stay_as_they_are() -> None:
    sent = [packet(0, 0), packet(3, 12), packet(1, 4), packet(2, 8), packet(100, 400), packet(101, 404)]
    leaps = Leaps(Fraction(1, 100))
    assert all(leaps.without(one) is one for one in sent)


def test_what_goes_back_on_both_clocks_follows_the_last() -> None:
    sent = [
        packet(0, 0, at=0.0),
        packet(1, 360_000, at=3600.0),
        packet(2, 8, at=0.08),
        packet(3, 12, at=0.12),
    ]
    assert [pts for pts, _ in stamps(sent)] == [0, 360_000, 360_004, 360_008]

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from streams.sinks.clips.ring import PacketRing


def form(run: str = "run") -> PacketFormat:
    return PacketFormat("gate", run, "h264", 64, 48, Fraction(1, 1000))


def packet(number: int, *, is_key: bool, size: int = 100, run: str = "run", step_s: float = 0.1) -> Packet:
    moment = Moment(number * step_s, number, Clock.ARRIVAL)
    return Packet("gate", run, number, bytes(size), number * 100, None, 100, is_key, moment)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 500)), max_size=80),
    st.floats(0, 5),
    st.integers(200, 5000),
)
def test_its_bounds_are_kept_and_it_reaches_back(
    given_packets: list[tuple[bool, int]], keep_s: float, most_bytes: int
) -> None:
    ring = PacketRing(keep_s, most_bytes)
    sent = []
    for number, (is_key, size) in enumerate(given_packets):
        sent.append(packet(number, is_key=is_key, size=size))
        ring.add(form(), sent[-1])
        kept = [found for _, _, found in ring.since(0)]
        assert ring.size == sum(len(found.data) for found in kept) <= most_bytes
        assert not kept or kept[0].is_key
        assert kept == [found for found in sent if kept and found.sequence >= kept[0].sequence]
        numbers = [number for number, _, _ in ring.since(0)]
        assert numbers == [found.sequence for found in kept]
        keys = [found for found in sent if found.is_key]
        due = [key for key in keys if key.moment.pts_s <= number * 0.1 - keep_s]
        if kept and not ring.shortened and due:
            assert kept[0].moment.pts_s == due[-1].moment.pts_s  # no more than needed, and no less


def test_a_group_that_is_too_large_is_not_kept() -> None:
    ring = PacketRing(10, 1000)
    for number in range(20):
        ring.add(form(), packet(number, is_key=number % 15 == 0))
    assert [number for number, _, _ in ring.since(0)] == list(range(15, 20))
    assert ring.shortened == 1
    assert ring.has_lost("run")


def test_where_a_time_can_be_shown_from() -> None:
    ring = PacketRing(100, 10**6)
    for number in range(40):
        run = "one" if number < 20 else "two"
        ring.add(form(run), packet(number, is_key=number % 10 == 0, run=run))
    assert ring.number_at("one", 1.45) == 10
    assert ring.number_at("one", 99.0) == 10
    assert ring.number_at("two", 0.0) == 20
    assert ring.number_at("three", 0.0) is None
    assert (ring.run_at(1.99), ring.run_at(2.01), ring.run_at(-1.0)) == ("one", "two", "one")
    assert ring.reach_s("two") == 2.0
    assert not ring.has_lost("one")


def test_what_comes_before_a_key_frame_is_left_out() -> None:
    ring = PacketRing(100, 10**6)
    ring.add(form(), packet(0, is_key=False))
    ring.add(form(), packet(1, is_key=True))
    ring.begin()
    ring.add(form("next"), packet(2, is_key=False, run="next"))
    assert [number for number, _, _ in ring.since(0)] == [1]
    assert ring.newest_s == 0.1

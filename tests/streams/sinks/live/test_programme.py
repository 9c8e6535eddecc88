from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packet import Packet
from streams.sinks.live.original import Original
from streams.sinks.live.programme import Programme, ProgrammeTime, Rhythm
from tests.streams.sinks.live.material import FakeClock, Heard, a_form, a_packet


def test_who_comes_later_gets_what_came_since_the_key_frame() -> None:
    programme = Programme("gate")
    programme.begin(a_form())
    for number in range(8):
        programme.put(a_packet(number, key=number in (0, 5)))
    early, late = Heard(), Heard()
    programme.add(early, from_key=True)
    programme.add(late, from_key=False)
    programme.put(a_packet(8))
    assert [packet.sequence for packet in early.packets] == [5, 6, 7, 8]
    assert [packet.sequence for packet in late.packets] == [8]
    assert early.forms == late.forms == [a_form()]
    programme.remove(early)
    programme.remove(early)
    assert (early.finished, programme.is_wanted) == (1, True)


def test_what_is_kept_is_bounded() -> None:
    programme = Programme("gate")
    programme.begin(a_form())
    programme.put(a_packet(0, key=True))
    for number in range(1, 20):
        programme.put(a_packet(number, size=1 << 20))
    heard = Heard()
    programme.add(heard, from_key=True)
    assert heard.packets == []  # a part of a group would be of no use


def test_after_a_loss_it_goes_on_with_a_key_frame() -> None:
    programme, heard = Programme("gate"), Heard()
    programme.add(heard, from_key=True)
    programme.put(a_packet(0, key=True))  # of nothing that was announced
    programme.begin(a_form())
    for number, key in [(0, False), (1, True), (2, False), (4, False), (5, False), (6, True), (7, False)]:
        programme.put(a_packet(number, key=key))
    assert [packet.sequence for packet in heard.packets] == [1, 2, 6, 7]


def test_a_listener_that_fails_is_let_go_and_the_others_go_on() -> None:
    class Failing(Heard):
        def put(self, packet: Packet, time_s: float) -> None:
            raise RuntimeError("broken")

    programme, bad, good = Programme("gate"), Failing(), Heard()
    programme.begin(a_form())
    programme.add(bad, from_key=True)
    programme.add(good, from_key=True)
    programme.put(a_packet(0, key=True))
    programme.put(a_packet(1))
    assert (programme.has(bad), programme.has(good), len(good.packets)) == (False, True, 2)


def test_nothing_old_is_shown_after_a_pause() -> None:
    programme, heard = Programme("gate"), Heard()
    programme.begin(a_form())
    programme.put(a_packet(0, key=True))
    programme.pause()
    programme.add(heard, from_key=True)
    assert (heard.forms, heard.packets) == ([], [])
    programme.end()
    assert (heard.finished, programme.has_ended) == (1, True)


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.integers(1, 5)), min_size=1, max_size=20))
def test_its_time_never_goes_back(runs: list[tuple[float, int]]) -> None:
    time = ProgrammeTime()
    told: list[float] = []
    for begin_s, pictures in runs:
        time.restart()
        told += [time.of(begin_s + number / 25) for number in range(pictures)]
    assert all(later > earlier for earlier, later in pairwise(told))
    assert told[0] == pytest.approx(1.0)


def test_a_break_is_as_long_as_the_media_clock_says() -> None:
    time = ProgrammeTime()
    assert time.of(50.0) == pytest.approx(1.0)
    time.restart()
    assert time.of(57.5) == pytest.approx(8.5)
    time.restart()
    assert time.of(3.0) == pytest.approx(8.6)  # the clock began anew


def test_the_rhythm_is_of_late() -> None:
    rhythm = Rhythm()
    assert rhythm.longest() == (0.0, 0.0)
    for number in range(300):
        rhythm.note(number * 0.04, is_key=number % 50 == 0)
    assert rhythm.longest() == pytest.approx((2.0, 0.04))
    for number in range(300, 375):
        rhythm.note(number * 0.04, is_key=False)
    assert rhythm.longest()[0] == pytest.approx(124 * 0.04)  # a key frame is overdue
    rhythm.interrupt()
    rhythm.note(23.0, is_key=True)
    rhythm.note(23.04, is_key=False)
    assert rhythm.longest() == pytest.approx((2.0, 0.04))  # the break is neither


def test_a_camera_and_its_stub_by_turns() -> None:
    clock = FakeClock()
    original, heard = Original("gate", clock), Heard()
    original.programme.add(heard, from_key=True)
    assert (original.codec, original.size, original.latest_ns) == (None, (1280, 720), None)
    original.open(a_form(rotation_deg=90, width=640, height=360))
    assert (original.codec, original.size, original.is_turned) == ("h264", (360, 640), True)
    original.put(a_packet(0, key=True))
    clock.now_s += 5
    assert original.silent_s == 5
    stub = replace(a_form(), run="stub")
    original.begin_stub(stub)
    assert original.put_stub(replace(a_packet(0, key=True, pts_s=900.0), run="stub"))
    original.put(a_packet(1))  # it cannot be shown without the one before
    assert original.put_stub(replace(a_packet(1, pts_s=900.25), run="stub"))
    original.put(a_packet(2, key=True))
    assert not original.put_stub(replace(a_packet(2, pts_s=900.5), run="stub"))
    original.put(a_packet(3))
    assert [(packet.run, packet.sequence) for packet in heard.packets] == [
        ("run-1", 0), ("stub", 0), ("stub", 1), ("run-1", 2), ("run-1", 3),
    ]  # fmt: skip
    assert [form.run for form in heard.forms] == ["run-1", "stub", "run-1"]
    assert heard.times == sorted(heard.times)


def test_a_camera_that_comes_back_replaces_the_stub_at_its_first_key_frame() -> None:
    original, heard = Original("gate", FakeClock()), Heard()
    original.programme.add(heard, from_key=True)
    original.open(a_form())
    original.put(a_packet(0, key=True))
    original.close()
    original.begin_stub(a_form(run="stub"))
    original.close()  # said twice
    original.put_stub(a_packet(0, key=True, pts_s=5.0))
    original.open(a_form(run="run-2"))
    assert original.put_stub(a_packet(1, pts_s=5.25))
    original.put(a_packet(0, key=True, pts_s=9.0))
    assert [form.run for form in heard.forms] == ["run-1", "stub", "run-2"]
    assert len(heard.packets) == 4

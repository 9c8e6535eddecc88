from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.moment import Clock, Moment
from streams.sinks.live.options import LiveOptions
from streams.sinks.live.original import Original
from streams.sinks.live.studio import Still, Studio
from tests.servers import footprint
from tests.streams.sinks.live.material import Heard, a_form, a_packet

PATIENCE_S = 10.0


def until(holds: Callable[[], object]) -> None:
    footprint.until(lambda: bool(holds()), PATIENCE_S, threads)


def picture(value: int = 90, width: int = 64, height: int = 48) -> Any:
    return np.full((height, width, 3), value, np.uint8)


def moment(number: int) -> Moment:
    return Moment(number / 25, 10**18 + number, Clock.ARRIVAL)


@contextmanager
def working(
    original: Original | None = None, clock: Callable[[], float] | None = None, **options: Any
) -> Iterator[tuple[Studio, list[Still]]]:
    shown: list[Still] = []
    extra = {} if clock is None else {"clock": clock}
    studio = Studio("gate", LiveOptions(**options), original, shown.append, **extra)
    try:
        yield studio, shown
    finally:
        studio.close()
        studio.close()


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_without_a_viewer_nothing_is_made() -> None:
    with working() as (studio, shown):
        studio.offer(picture(), moment(0))
        assert not studio.is_wanted
        assert "gate-live-pictures" not in threads()
        assert shown == []


def test_jpeg_and_video_of_the_same_pictures() -> None:
    heard = Heard()
    with working(size=(32, 32), jpeg_quality=95) as (studio, shown):
        studio.annotated.add(heard, from_key=True)
        studio.wants_stills = True
        studio.wake()
        for number in range(5):
            studio.see(moment(number), (64, 48))
            studio.offer(picture(20 + 40 * number), moment(number))
            until(lambda number=number: len(heard.packets) == len(shown) > number)  # type: ignore[misc]
    (form,) = heard.forms
    assert (form.width, form.height, form.codec) == (32, 24, "h264")
    decoder = av.CodecContext.create("h264", "r")
    levels = [float(frame.to_ndarray(format="gray").mean()) for frame in decoded(decoder, heard)]
    jpegs = [cv2.imdecode(np.frombuffer(still.jpeg, np.uint8), cv2.IMREAD_COLOR) for still in shown]
    assert [jpeg.shape for jpeg in jpegs] == [(24, 32, 3)] * 5
    assert [float(jpeg.mean()) for jpeg in jpegs] == pytest.approx([20, 60, 100, 140, 180], abs=3)
    assert levels == pytest.approx([20, 60, 100, 140, 180], abs=4)
    assert [still.time_ns for still in shown] == [10**18 + number for number in range(5)]


def decoded(decoder: Any, heard: Heard) -> list[Any]:
    frames = [frame for packet in heard.packets for frame in decoder.decode(av.Packet(packet.data))]
    return frames + decoder.decode(None)


def test_it_ends_with_its_last_viewer_and_forgets_what_he_saw() -> None:
    heard = Heard()
    with working() as (studio, _):
        studio.annotated.add(heard, from_key=True)
        studio.wake()
        studio.offer(picture(), moment(0))
        until(lambda: heard.packets)
        studio.annotated.remove(heard)
        until(lambda: "gate-live-pictures" not in threads())
        late = Heard()
        studio.annotated.add(late, from_key=True)
        assert (late.forms, late.packets) == ([], [])
        studio.wake()
        studio.offer(picture(), moment(1))
        until(lambda: late.packets)
        assert late.packets[0].is_key


def test_a_viewer_may_come_at_the_moment_when_the_last_one_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread ends while the next begins: what the old one lays down must not be what the new one has."""
    entered = threading.Event()
    first, second = Heard(), Heard()
    with working() as (studio, _):
        pause = studio.annotated.pause

        def slow_pause() -> None:
            entered.set()
            time.sleep(0.1)
            pause()

        monkeypatch.setattr(studio.annotated, "pause", slow_pause)
        studio.annotated.add(first, from_key=True)
        studio.wake()
        studio.offer(picture(), moment(0))
        until(lambda: first.packets)
        studio.annotated.remove(first)
        assert entered.wait(PATIENCE_S)
        studio.annotated.add(second, from_key=False)
        studio.wake()
        numbers = count(1)

        def goes_on() -> bool:
            number = next(numbers)
            studio.offer(picture(), moment(number))
            return len(second.packets) > 40 and number > 50  # well after the old thread has ended

        until(goes_on)


def test_pictures_that_come_too_fast_are_passed_over_and_counted() -> None:
    entered, go = threading.Event(), threading.Event()
    taken: list[int | None] = []

    def show(still: Still) -> None:
        taken.append(still.time_ns)
        entered.set()
        go.wait(PATIENCE_S)

    studio = Studio("gate", LiveOptions(), None, show)
    studio.wants_stills = True
    studio.wake()
    studio.offer(picture(), moment(0))
    assert entered.wait(PATIENCE_S)
    for number in range(1, 30):  # while the first one is made
        studio.offer(picture(), moment(number))
    go.set()
    until(lambda: len(taken) == 2)
    studio.close()
    assert taken == [10**18, 10**18 + 29]
    assert studio.passed_over == 28


def test_a_rate_is_kept_by_media_time() -> None:
    heard = Heard()
    with working(rate_hz=5) as (studio, _):
        studio.annotated.add(heard, from_key=True)
        studio.wake()
        for number in range(50):
            before = len(heard.packets)
            studio.offer(picture(), moment(number))
            if number % 5 == 0:
                until(lambda before=before: len(heard.packets) > before)  # type: ignore[misc]
    assert [round(packet.moment.pts_s * 25) for packet in heard.packets] == list(range(0, 50, 5))


def test_key_frames_on_demand_but_not_all_the_time() -> None:
    heard = Heard()
    with working(segment_s=10) as (studio, _):
        studio.annotated.add(heard, from_key=True)
        studio.wake()
        for number in range(5):
            studio.ask_for_key()
            studio.offer(picture(), moment(number))
            until(lambda number=number: len(heard.packets) > number)  # type: ignore[misc]
    assert [packet.is_key for packet in heard.packets] == [True, False, False, False, False]


def test_a_stub_takes_the_place_of_pictures_and_of_packets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.studio._STUB_STEP_S", 0.02)
    now = [100.0]
    original = Original("gate", lambda: now[0])
    copied, encoded = Heard(), Heard()
    with working(original, lambda: now[0]) as (studio, shown):
        original.open(a_form(width=320, height=240))
        original.put(a_packet(0, key=True))
        studio.see(moment(0), (64, 48))
        original.programme.add(copied, from_key=True)
        studio.annotated.add(encoded, from_key=True)
        studio.wants_stills = True
        studio.wake()
        studio.offer(picture(), moment(0))
        until(lambda: shown)
        assert [still.is_stub for still in shown] == [False]

        def stands_in() -> bool:
            now[0] += 0.5
            return len(copied.forms) > 1 and len(encoded.packets) > 3 and shown[-1].is_stub

        until(stands_in)
        assert shown[-1].time_ns == 10**18  # of the last picture
        assert copied.forms[1].run == "live"
        assert (copied.forms[1].width, copied.forms[1].height) == (320, 240)
        assert encoded.times == sorted(encoded.times)
        assert len(encoded.forms) == 1  # the same video goes on
        original.put(a_packet(1, key=True, pts_s=70.0))
        assert copied.forms[2].run == "run-1"


def test_a_recording_has_no_stub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.studio._STUB_STEP_S", 0.005)
    now = [100.0]
    with working(None, lambda: now[0]) as (studio, shown):
        studio.is_live = False
        studio.wants_stills = True
        studio.wake()
        now[0] += 1000
        threading.Event().wait(0.2)  # forty times it would be due
        assert shown == []


def test_an_encoder_that_fails_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.sinks.live.studio._PAUSE_S", 0.01)
    heard = Heard()
    with working() as (studio, _):
        studio.annotated.add(heard, from_key=True)
        studio.wake()
        studio.offer(np.zeros((0, 0, 3), np.uint8), moment(0))
        numbers = count(1)

        def goes_on() -> bool:
            studio.offer(picture(), moment(next(numbers)))
            return bool(heard.packets)

        until(goes_on)
        assert heard.packets[0].is_key

"""A keeper: whatever its connections do, the next one comes, and nothing of an old one reaches the stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pipeline.condition import Reason, SourceState
from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame, Gap
from pipeline.keeper import SourceStatus
from pipeline.plugin import Source
from pipeline.reader import Reader
from tests.pipeline.cameras import PATIENCE_S, Camera, FakeClock, Kept

REFUSED = SourceError("nothing listens there", Reason.CONNECTION_REFUSED)
WRONG_PASSWORD = SourceError("the password is wrong", Reason.UNAUTHORIZED)


def test_a_camera_that_is_off_at_the_start_is_tried_until_it_is_there() -> None:
    kept = Kept(Camera([REFUSED]), Camera([REFUSED]), Camera(["connect", "open", 0.0, 0.1])).run()
    assert [frame.moment.pts_s for frame in kept.frames] == [0.0, 0.1]
    assert kept.frames[0].gap is None
    lost = [status for status in kept.statuses if status.state is SourceState.LOST]
    assert [(status.reason, status.detail) for status in lost[:2]] == [
        (Reason.CONNECTION_REFUSED, "nothing listens there"),
        (Reason.CONNECTION_REFUSED, "nothing listens there"),
    ]
    assert kept.keeper.status.connections == 1


def test_pauses_double_up_to_their_bound_and_are_visible() -> None:
    kept = Kept(*[Camera([REFUSED]) for _ in range(6)], retry_s=1.0, retry_most_s=10.0).run()
    assert kept.clock.pauses_s == [1, 2, 4, 8, 10, 10]
    backing = [status for status in kept.statuses if status.state is SourceState.BACKING_OFF]
    assert [status.failures for status in backing] == [1, 2, 3, 4, 5, 6]
    assert all(status.next_try_s is not None for status in backing)


def test_a_wrong_password_is_not_tried_often_enough_to_lock_the_account() -> None:
    kept = Kept(Camera([WRONG_PASSWORD]), Camera([WRONG_PASSWORD]), refused_retry_s=300.0).run()
    assert kept.clock.pauses_s == [300, 300]
    assert kept.states == ["refused", "connecting", "refused", "connecting", "ended"]


def test_runs_lie_one_after_the_other_on_one_clock_with_the_gap_between_them() -> None:
    clock = FakeClock()

    def passes(seconds: float) -> Callable[[], None]:
        return lambda: clock.pause(seconds)

    first = Camera(["connect", "open", 0.0, passes(0.5), 0.5, SourceError("cut", Reason.NO_DATA)])
    second = Camera([passes(2.0), "connect", "open", 40.0, passes(0.25), 40.25])
    kept = Kept(first, second, clock=clock, retry_s=1.0).run()
    assert [frame.moment.pts_s for frame in kept.frames] == [0.0, 0.5, 3.5, 3.75]
    assert kept.frames[2].gap == Gap("no data", 0.5, 3.0, "cut")
    assert [frame.gap for frame in kept.frames].count(None) == 3
    assert kept.frames[0].run != kept.frames[2].run
    wall_ns = [frame.moment.time_ns for frame in kept.frames]
    assert wall_ns[3] - wall_ns[2] == 250_000_000, "the wall clock is the source's own"


def test_several_failures_between_two_runs_are_one_gap_of_the_first_cause() -> None:
    clock = FakeClock()
    kept = Kept(
        Camera(["open", 0.0]), Camera([REFUSED]), Camera(["open", 0.0]), clock=clock, retry_s=1.0
    ).run()
    gap = kept.frames[1].gap
    assert gap is not None
    assert (gap.cause, gap.after_s, gap.seconds) == ("closed by the peer", 0.0, 3.0)


def test_what_a_server_repeats_at_a_new_connection_is_not_seen_twice() -> None:
    """It sends the pictures since its last key frame at once; their arrivals say when they really came."""

    class Bursting(Camera):
        def read(self) -> Iterator[Frame | Gap]:
            for item in super().read():
                if isinstance(item, Frame):
                    item.arrived_s = began_s + item.moment.pts_s
                yield item

    clock = FakeClock()
    began_s = clock.now_s
    first = Bursting(["open", 0.0, 1.0, 2.0, lambda: clock.pause(2.0)])
    second = Bursting(["open", 0.5, 1.5, 2.5, 3.0, lambda: clock.pause(0.5), 3.5])
    kept = Kept(first, second, clock=clock, retry_s=1.0).run()
    assert [frame.moment.pts_s for frame in kept.frames] == [0.0, 1.0, 2.0, 2.5, 3.0, 3.5]
    assert kept.frames[3].gap == Gap("closed by the peer", 2.0, 0.5, "the peer closed the connection")


def test_gaps_within_a_run_move_with_it() -> None:
    clock = FakeClock()
    second = Camera(["open", 5.0, Gap("decode error", 5.0, 0.2), 5.4])
    kept = Kept(Camera(["open", 0.0]), second, clock=clock, retry_s=1.0).run()
    assert [item.after_s for item in kept.items if isinstance(item, Gap)] == [1.0]


def test_what_is_missing_before_the_first_picture_is_a_part_of_the_break() -> None:
    second = Camera(["open", Gap("decode error", None, None, "no key frame yet"), 5.0])
    kept = Kept(Camera(["open", 0.0]), second, retry_s=1.0).run()
    assert [item for item in kept.items if isinstance(item, Gap)] == []
    gap = kept.frames[1].gap
    assert gap is not None
    assert (gap.cause, gap.after_s, gap.seconds) == ("closed by the peer, decode error", 0.0, 1.0)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (["deaf"], Reason.NO_ANSWER),
        (["connect", "deaf"], Reason.NO_DATA),
        (["connect", "open", "deaf"], Reason.NO_DATA),
        (["connect", "open", 0.0, 0.1, "deaf"], Reason.NO_DATA),
    ],
)
def test_a_connection_that_hangs_is_left_behind(script: list[object], reason: Reason) -> None:
    clock = FakeClock()
    looked = threading.Event()

    def look() -> None:
        looked.wait(PATIENCE_S)  # the patience begins when the keeper has seen how far the connection is
        clock.pause(100.0)

    hung = Camera([*script[:-1], look, script[-1], 0.2, 0.3])
    kept = Kept(hung, Camera(["connect", "open", 0.0]), clock=clock)
    expected = "playing" if 0.1 in script else "waiting" if "connect" in script else "connecting"

    def tell(status: SourceStatus) -> None:
        kept.statuses.append(status)
        if status.state.startswith(expected):
            looked.set()

    kept.keeper._tell = tell
    looked.set() if expected == "connecting" else None
    kept.run()
    assert reason in {status.reason for status in kept.statuses if status.state is SourceState.LOST}
    assert hung.closed.is_set()
    count = len(kept.items)
    hung.released.set()
    for thread in threading.enumerate():
        if thread.name == "gate-reader":
            thread.join(PATIENCE_S)
    assert len(kept.items) == count, "what an abandoned connection still yields goes nowhere"


def test_no_more_connections_are_begun_while_too_many_hang() -> None:
    clock = FakeClock()
    hung = [Camera([lambda: clock.pause(100.0), "deaf"]) for _ in range(3)]
    kept = Kept(*hung, clock=clock)
    seen: list[str] = []

    def pause(seconds: float) -> None:
        clock.pause(seconds)
        seen.append(kept.keeper.status.detail)
        if "3 earlier connections" in seen[-1]:
            kept.keeper.stop()

    kept.keeper._pause = pause
    kept.run()
    assert seen[-1] == "3 earlier connections have not come back"
    for camera in hung:
        camera.released.set()


def test_what_is_wrong_while_it_waits_is_told_and_is_the_reason_in_the_end() -> None:
    clock = FakeClock()
    looked = threading.Event()

    def look() -> None:
        camera.progress.trouble = (Reason.NO_KEY_FRAME, "no key frame yet")
        looked.wait(PATIENCE_S)
        clock.pause(100.0)

    camera = Camera(["connect", look, "silent"])
    kept = Kept(camera, clock=clock)

    def tell(status: object) -> None:
        kept.statuses.append(kept.keeper.status)
        if kept.keeper.status.reason is Reason.NO_KEY_FRAME:
            looked.set()

    kept.keeper._tell = tell
    kept.run()
    told = [(status.state, status.reason) for status in kept.statuses]
    assert (SourceState.WAITING, Reason.NO_KEY_FRAME) in told
    lost = next(status for status in kept.statuses if status.state is SourceState.LOST)
    assert (lost.reason, lost.detail) == (
        Reason.NO_KEY_FRAME,
        "no key frame yet within 15 s to its first picture",
    )


def test_media_time_that_stands_still_is_no_progress() -> None:
    clock = FakeClock()
    frozen = Camera(["connect", "open", 0.0, 0.0, 0.0, lambda: clock.pause(100.0), "silent"])
    kept = Kept(frozen, Camera(["open", 0.0]), clock=clock).run()
    assert len(kept.frames) == 2
    assert Reason.FROZEN_CLOCK in {status.reason for status in kept.statuses}


def test_one_picture_that_comes_twice_is_no_trouble_for_ever() -> None:
    own = (Reason.DECODE_ERRORS, "half of the pictures are damaged")
    camera = Camera(["connect", "open", 0.0, 0.0, 0.1])
    kept = Kept(camera).run()
    assert [frame.moment.pts_s for frame in kept.frames] == [0.0, 0.1]
    assert camera.progress.trouble is None

    camera = Camera(["connect", "open", 0.0, 0.0, lambda: setattr(camera.progress, "trouble", own), 0.1])
    Kept(camera).run()
    assert camera.progress.trouble == own, "what the source told itself is its own affair"


def test_a_slow_camera_gets_three_of_its_own_intervals() -> None:
    clock = FakeClock()
    step = [0.0, lambda: clock.pause(60.0), 60.0, lambda: clock.pause(60.0), 120.0]
    kept = Kept(Camera(["connect", "open", *step]), clock=clock, stall_s=100.0).run()
    assert len(kept.frames) == 3


def test_a_recording_on_a_server_ends_and_is_not_begun_again() -> None:
    kept = Kept(Camera(["connect", "open", 0.0, 0.1], recorded=True), Camera(["open", 9.0])).run()
    assert len(kept.frames) == 2
    assert kept.states[-1] == "ended"


def test_a_recording_that_breaks_off_is_a_failure() -> None:
    kept = Kept(Camera(["open", 0.0, SourceError("cut short")], recorded=True))
    with pytest.raises(SourceError, match="cut short"):
        kept.run()


def test_a_recording_that_pauses_is_waited_for_and_not_taken_for_ended() -> None:
    clock = FakeClock()
    looked = threading.Event()

    def look() -> None:
        clock.pause(100.0)
        looked.wait(0.5)  # several looks of the keeper

    kept = Kept(Camera(["connect", "open", 0.0, look, 0.1], recorded=True), clock=clock).run()
    assert [frame.moment.pts_s for frame in kept.frames] == [0.0, 0.1]
    assert "stalled" not in kept.states


def test_a_recording_that_is_given_up_while_it_opens_has_failed() -> None:
    clock = FakeClock()
    hung = Camera([lambda: clock.pause(100.0), "deaf", "open", 0.0], recorded=True)
    kept = Kept(hung, clock=clock)
    leave = kept.keeper._leave

    def too_late(reader: Reader, *, at_once: bool = False) -> None:
        hung.released.set()
        while reader.info is None:
            time.sleep(0.001)
        leave(reader, at_once=at_once)

    kept.keeper._leave = too_late  # type: ignore[method-assign]
    with pytest.raises(SourceError, match="no answer within 10 s"):
        kept.run()


def test_a_recording_whose_server_is_not_there_yet_is_waited_for() -> None:
    kept = Kept(Camera([REFUSED], recorded=True), Camera(["open", 0.0], recorded=True)).run()
    assert len(kept.frames) == 1


def test_what_can_never_be_had_as_configured_is_not_tried_again() -> None:
    kept = Kept(Camera([ConfigError("no such option")]), Camera(["open", 0.0]))
    with pytest.raises(ConfigError, match="no such option"):
        kept.run()


def test_a_defect_of_a_plug_in_is_a_failure_like_any_other() -> None:
    kept = Kept(Camera(["open", 0.0, ZeroDivisionError("division by zero")]), Camera(["open", 0.0])).run()
    assert len(kept.frames) == 2
    details = {status.detail for status in kept.statuses}
    assert "the source failed: ZeroDivisionError: division by zero" in details


def test_a_plug_in_that_tells_passwords_is_not_quoted() -> None:
    told = SourceError("rtsp://admin:hunter2@camera/1:\n  cannot be had" + "!" * 5000)
    camera = Camera(["open", 0.0, told])
    camera.progress.trouble = (Reason.NO_DATA, str(told))
    kept = Kept(camera, Camera(["open", 0.0])).run()
    gap = kept.frames[1].gap
    assert gap is not None
    texts = [gap.detail, *(status.detail for status in kept.statuses)]
    assert any("rtsp://***@camera/1: cannot be had" in text for text in texts)
    assert not any("hunter2" in text or "\n" in text or len(text) > 1000 for text in texts)


def test_a_source_that_cannot_be_made_is_tried_again() -> None:
    kept = Kept(Camera(["open", 0.0]), Camera(["open", 0.0]))
    make, tries = kept.keeper._make, iter([True, False, False, False])

    def sometimes() -> Source:
        if next(tries):
            raise OSError("too many open files")
        return make()

    kept.keeper._make = sometimes
    assert len(kept.run().frames) == 2


def test_a_box_without_a_thread_to_spare_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start, tries = threading.Thread.start, iter([True, True])

    def sometimes(thread: threading.Thread) -> None:
        if thread.name == "gate-reader" and next(tries, False):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", sometimes)
    kept = Kept(Camera(["open", 0.0]), Camera(["open", 0.0]), Camera(["open", 0.0]))
    assert len(kept.run().frames) == 1
    assert "cannot be read: can't start new thread" in {status.detail for status in kept.statuses}


@pytest.mark.parametrize(
    "script",
    [
        ["silent"],
        ["connect", "silent"],
        ["open", 0.0, "silent"],
        pytest.param(["deaf"], marks=pytest.mark.slow),
    ],
)
def test_stop_returns_in_every_state(script: list[object]) -> None:
    reached = threading.Event()
    camera = Camera([*script[:-1], reached.set, script[-1]])
    kept = Kept(camera)
    thread = threading.Thread(target=kept.keeper.run)
    thread.start()
    assert reached.wait(PATIENCE_S)
    begun_s = time.monotonic()
    kept.keeper.stop()
    stopped_s = time.monotonic()
    thread.join(PATIENCE_S / 2)  # before it would end by itself
    camera.released.set()
    assert not thread.is_alive()
    assert stopped_s - begun_s < PATIENCE_S / 4


def test_stop_ends_a_pause() -> None:
    kept = Kept(Camera([REFUSED]), refused_retry_s=3600)
    kept.keeper._pause = kept.keeper._wait
    kept.keeper._backoff._options = kept.keeper._options.model_copy(
        update={"retry_s": 3600.0, "retry_most_s": 3600.0}
    )
    thread = threading.Thread(target=kept.keeper.run)
    thread.start()
    while kept.keeper.status.state is not SourceState.BACKING_OFF:
        assert thread.is_alive()
    kept.keeper.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_stopped_before_it_began() -> None:
    kept = Kept(Camera(["open", 0.0]))
    kept.keeper.stop()
    kept.run()
    assert kept.items == []

"""Each fault that a camera, its network or its settings may have: what happens, and how soon.

Every fault is put to a bare source, which has to end within its time-outs, and to a running stream, whose
keeper has to say what is wrong and to have it playing again once the fault is over.

    SIGHTLINE_FAULTS=default SIGHTLINE_FAULT_TABLE=table.jsonl pytest -m "slow or not slow" <this file>

measures with the time-outs that users have by default, and writes a line for each fault.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import pytest

from pipeline.condition import Reason, SourceState
from tests.servers.footprint import Footprint, until
from tests.servers.rtsp import audio, pattern
from tests.streams.sources.network.rig import CAMERA, KEEPER, RATE_HZ, SOURCE, Bare, Rig, Running, record

SLACK_S = 5.0
"""What a busy box may add to any bound."""
AT_ONCE_S = 0.5
SILENCE_S = SOURCE.timeout_s
ANSWER_S = SOURCE.timeout_s
KEY_S = 10 / RATE_HZ


@dataclass(frozen=True)
class Fault:
    """A fault, and what is to come of it.

    Attributes:
        name: as the documentation calls it.
        at: when it happens: before the source is opened, or while it plays.
        harm: brings it about.
        told: what a bare source ends with, or the keeper tells; a source that is closed by its peer may end
            without an error. Nothing when it need not be noticed.
        within_s: how soon, at the latest.
        mend: ends it, beside `Rig.heal`.
        ends: whether a bare source ends by itself.
        survives: whether the connection stays.
        quick: whether it is tested with the quick tests.
    """

    name: str
    at: Literal["open", "play"]
    harm: Callable[[Rig], object]
    told: Collection[Reason] = ()
    within_s: float = AT_ONCE_S
    mend: Callable[[Rig], object] = lambda rig: None
    ends: bool = True
    survives: bool = False
    quick: bool = False


def killed(rig: Rig) -> None:
    rig.proxy.refuse()  # nobody listens any more, as on the real machine
    rig.camera.kill()


def sound_only(rig: Rig) -> None:
    rig.camera.restart({"/cam": audio()})


def no_key_frame(rig: Rig) -> None:
    rig.camera.restart({"/cam": pattern(rate=RATE_HZ, key_frames=False)})


def another_size(rig: Rig) -> None:
    rig.proxy.refuse()
    rig.camera.restart({"/cam": pattern(width=160, height=120, rate=RATE_HZ, key_every=10)})


def as_before(rig: Rig) -> None:
    rig.camera.restart(CAMERA)


def locked(rig: Rig) -> None:
    rig.login = "admin:wrong@"
    rig.camera.user, rig.camera.password = "admin", "right"
    rig.camera.restart()


def unlocked(rig: Rig) -> None:
    rig.camera.user = None
    rig.camera.restart()


def elsewhere(rig: Rig) -> None:
    rig.camera.restart({"/other": CAMERA["/cam"]})


def noise(rig: Rig) -> None:
    rig.proxy.garbage(bytes(range(256)) * 8)


FAULTS = [
    Fault("port refused", "open", lambda rig: rig.proxy.refuse(), {Reason.CONNECTION_REFUSED}),
    Fault("accepts and hangs up", "open", lambda rig: rig.camera.kill(), {Reason.CLOSED}, mend=as_before),
    Fault("accepts and says nothing", "open", lambda rig: rig.proxy.silence(), {Reason.NO_ANSWER}, ANSWER_S),
    Fault("hung before it was opened", "open", lambda rig: rig.camera.stall(), {Reason.NO_ANSWER}, ANSWER_S),
    Fault("wrong password", "open", locked, {Reason.UNAUTHORIZED}, mend=unlocked),
    Fault("unknown path", "open", elsewhere, {Reason.NOT_FOUND}, mend=as_before),
    Fault("sound only", "open", sound_only, {Reason.NO_VIDEO}, mend=as_before),
    Fault("never a key frame", "open", no_key_frame, {Reason.NO_KEY_FRAME}, 1.5, as_before, ends=False),
    Fault("killed", "play", killed, {Reason.CLOSED}, mend=as_before, quick=True),
    Fault("connection reset", "play", lambda rig: rig.proxy.cut(reset=True), {Reason.CLOSED}),
    Fault("half-closed", "play", lambda rig: rig.proxy.half_close(), {Reason.CLOSED}),
    Fault("hung (SIGSTOP)", "play", lambda rig: rig.camera.stall(), {Reason.NO_DATA}, SILENCE_S),
    Fault("cable pulled", "play", lambda rig: rig.proxy.stall(), {Reason.NO_DATA}, SILENCE_S),
    Fault("stops in the middle of a frame", "play", lambda rig: rig.proxy.stall(after_bytes=5000),
          {Reason.NO_DATA}, SILENCE_S + 1, quick=True),
    Fault("reboot with another picture size", "play", another_size, {Reason.CLOSED}),
    Fault("garbage in the connection", "play", noise),
    Fault("one byte in a thousand wrong", "play", lambda rig: rig.proxy.corrupt(1e-3)),
    Fault("link at a third of the rate", "play", lambda rig: rig.proxy.throttle(7000)),
    Fault("link half a second late", "play", lambda rig: rig.proxy.delay(0.5), survives=True),
]  # fmt: skip


def table(faults: list[Fault]) -> list[object]:
    return [
        pytest.param(fault, id=fault.name, marks=() if fault.quick else pytest.mark.slow) for fault in faults
    ]


@pytest.fixture
def rig() -> object:
    with Rig() as made:
        yield made


@pytest.mark.parametrize("fault", table([fault for fault in FAULTS if fault.told and fault.ends]))
def test_a_bare_source_ends_by_itself(rig: Rig, fault: Fault) -> None:
    before = Footprint.now()
    if fault.at == "open":
        fault.harm(rig)
        harmed_s = time.monotonic()
        bare = Bare(rig.url)
    else:
        bare = Bare(rig.url)
        until(lambda: bare.frames >= 5, 10, "the source plays")
        harmed_s = time.monotonic()
        fault.harm(rig)
    bare.has_ended(fault.within_s + SLACK_S)
    assert bare.ended_s is not None
    ends = {str(reason) for reason in fault.told} | ({"ended"} if Reason.CLOSED in fault.told else set())
    assert bare.outcome in ends, bare.error
    assert "wrong" not in str(bare.error).partition("user name or password")[0], "credentials are hidden"
    record(fault.name, reader="source", ends=bare.outcome, seconds=round(bare.ended_s - harmed_s, 2),
           says=str(bare.error).replace(str(rig.proxy.port), "PORT"))  # fmt: skip
    bare.source.close()
    rig.heal()
    rig.proxy.cut()
    before.assert_same_again(SLACK_S)


@pytest.mark.parametrize("fault", table(FAULTS))
def test_a_source_is_closed_in_every_state(rig: Rig, fault: Fault) -> None:
    before = Footprint.now()
    if fault.at == "open":
        fault.harm(rig)
        bare = Bare(rig.url)
        time.sleep(0.1)  # no event tells that it waits inside FFmpeg
    else:
        bare = Bare(rig.url)
        until(lambda: bare.frames >= 5, 10, "the source plays")
        fault.harm(rig)
    start_s = time.monotonic()
    bare.source.close()
    assert time.monotonic() - start_s < SILENCE_S / 2, "close returns at once"
    bare.has_ended(2 * SILENCE_S + SLACK_S)
    rig.heal()
    rig.proxy.cut()
    before.assert_same_again(SLACK_S)


@pytest.mark.parametrize("fault", table(FAULTS))
def test_a_stream_says_what_is_wrong_and_plays_again(rig: Rig, fault: Fault) -> None:
    before = Footprint.now()
    if fault.at == "open":
        fault.harm(rig)
        harmed_s = time.monotonic()
        running = Running(rig.url)
    else:
        running = Running(rig.url)
        running.plays(10)
        harmed_s = time.monotonic()
        fault.harm(rig)
    told_s = None
    if fault.told:
        bound_s = fault.within_s + SLACK_S
        until(lambda: heard(running, fault, harmed_s), bound_s, lambda: f"told; {running.told[-3:]}")
        told_s = round(heard(running, fault, harmed_s)[0] - harmed_s, 2)
        if any(reason.is_refusal for reason in fault.told):
            assert SourceState.REFUSED in {status.state for _, status in running.told}
    else:
        time.sleep(2.0)  # what is to be seen is that nothing happens
    states = list(dict.fromkeys(f"{one.state} ({one.reason})" for at, one in running.told if at >= harmed_s))
    healed_s = time.monotonic()
    rig.login = ""
    rig.heal()
    fault.mend(rig)
    again_s = running.plays(2 * KEEPER.connect_s + KEEPER.picture_s + KEEPER.refused_retry_s + SLACK_S)
    until(lambda: at_full_rate(running), 30, lambda: f"full rate; {running.sink.frames[-30:]}")
    full_s = time.monotonic() - healed_s
    assert not fault.survives or running.status.connections == 1
    if fault.harm is another_size:
        assert running.sink.sizes == [(320, 240), (160, 120)]
    frames = len(running.sink.frames)
    stopped_s = running.stop(KEEPER.connect_s + SLACK_S)
    assert running.stream.ledger.entry().in_flight == 0
    rig.proxy.cut()
    left_s = before.assert_same_again(2 * SILENCE_S + SLACK_S)
    record(
        fault.name, reader="stream", told_s=told_s, states=states, again_s=round(again_s, 2),
        full_rate_s=round(full_s, 2), stop_s=round(stopped_s, 2), left_s=round(left_s, 2), frames=frames,
        connections=running.status.connections,
    )  # fmt: skip


def heard(running: Running, fault: Fault, since_s: float) -> list[float]:
    """When one of the fault's reasons was told."""
    return [at for at, status in running.told if at >= since_s and status.reason in fault.told]


def at_full_rate(running: Running) -> bool:
    """Whether the last second brought all of its pictures, each a picture's time after the one before."""
    last = running.sink.frames[-RATE_HZ:]
    if len(last) < RATE_HZ:
        return False
    steps_s = [after[1] - before[1] for before, after in pairwise(last)]
    is_fresh = time.monotonic() - last[-1][2] < 0.2
    took_s = last[-1][2] - last[0][2]
    return is_fresh and max(steps_s) < 1.5 / RATE_HZ and took_s < 1.2 * (RATE_HZ - 1) / RATE_HZ

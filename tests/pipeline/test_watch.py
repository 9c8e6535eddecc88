"""Who is waited for, how long, and what is said meanwhile: one table."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.backoff import KeeperOptions
from pipeline.condition import Progress, Reason, SourceState
from pipeline.watch import Watch

OPTIONS = KeeperOptions(connect_s=10, picture_s=15, stall_s=5)
CONNECTING, WAITING = SourceState.CONNECTING, SourceState.WAITING
PLAYING, STALLED = SourceState.PLAYING, SourceState.STALLED
NO_KEY = (Reason.NO_KEY_FRAME, "no key frame yet")


@pytest.mark.parametrize(
    ("story", "now_s", "state", "reason"),
    [
        ([], 0, CONNECTING, None),
        ([], 10, CONNECTING, None),
        ([], 10.1, CONNECTING, Reason.NO_ANSWER),
        (["connected at 9"], 9, WAITING, None),
        (["connected at 9"], 24, WAITING, None),
        (["connected at 9"], 24.1, WAITING, Reason.NO_DATA),
        (["connected at 0", NO_KEY], 15.1, WAITING, Reason.NO_KEY_FRAME),
        ([1.0, 1.04], 2.5, PLAYING, None),
        ([1.0, 1.04], 2.6, STALLED, None),
        ([1.0, 1.04], 6, STALLED, None),
        ([1.0, 1.04], 6.1, STALLED, Reason.NO_DATA),
        ([1.0, 1.04, (Reason.FROZEN_CLOCK, "it stands")], 6.1, STALLED, Reason.FROZEN_CLOCK),
        ([1.0, 61.0], 63.6, PLAYING, None),
        ([1.0, 61.0], 152, STALLED, None),
        ([1.0, 61.0], 242, STALLED, Reason.NO_DATA),
        ([1.0, 1.04, "handed on at 100"], 101, PLAYING, None),
        ([1.0, 1.04, "handed on at 100"], 105.1, STALLED, Reason.NO_DATA),
    ],
)
def test_what_is_thought_of_a_connection(
    story: list[Any], now_s: float, state: SourceState, reason: Reason | None
) -> None:
    progress = Progress()
    watch = Watch(OPTIONS, progress, 0.0, patient=False)
    for step in story:
        if isinstance(step, tuple):
            progress.trouble = step
        elif isinstance(step, float):
            watch.picture(step)
        elif step.startswith("connected at"):
            progress.connected = True
            watch.judge(float(step.split()[-1]))
        else:
            watch.handed_on(float(step.split()[-1]))
    verdict = watch.judge(now_s)
    assert verdict.state is state
    assert (verdict.give_up[0] if verdict.give_up else None) is reason


def test_who_is_patient_never_gives_up() -> None:
    watch = Watch(OPTIONS, Progress(), 0.0, patient=True)
    assert watch.judge(1e6).give_up is None
    watch.picture(1e6)
    assert watch.judge(2e6).state is PLAYING


def test_a_connection_that_was_given_up_says_how_long_it_was_waited_for() -> None:
    watch = Watch(OPTIONS, Progress(), 0.0, patient=False)
    give_up = watch.judge(11).give_up
    assert give_up == (Reason.NO_ANSWER, "no answer within 10 s")


def test_it_has_played_since_its_first_picture() -> None:
    watch = Watch(OPTIONS, Progress(), 0.0, patient=False)
    assert watch.played_s(5) == 0
    watch.picture(5)
    watch.picture(6)
    assert watch.played_s(15) == 10
    assert watch.pictures == 2

"""Things that stages share: made once, closed after the last holder, whatever fails."""

from __future__ import annotations

import threading

import pytest

from pipeline.plugin import StageContext
from pipeline.shared import Shared


class Thing:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_holders_of_one_key_have_one_thing_and_the_last_closes_it() -> None:
    shared = Shared()
    first, second = shared.lease("a", Thing), shared.lease("a", Thing)
    other = shared.lease("b", Thing)
    assert first.value is second.value
    assert other.value is not first.value
    first.close()
    first.close()
    assert first.value.closed == 0
    second.close()
    assert (first.value.closed, other.value.closed) == (1, 0)
    assert shared.lease("a", Thing).value is not first.value


def test_what_cannot_be_made_is_tried_again_by_the_next() -> None:
    shared = Shared()

    def fail() -> Thing:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        shared.lease("a", fail)
    with shared.lease("a", Thing) as lease:
        assert lease.value.closed == 0
    assert lease.value.closed == 1


def test_one_that_is_slow_to_make_holds_only_those_who_want_it() -> None:
    shared = Shared()
    begun, may_end = threading.Event(), threading.Event()
    made: list[Thing] = []

    def slowly() -> Thing:
        begun.set()
        assert may_end.wait(10)
        made.append(Thing())
        return made[-1]

    leases = []
    threads = [threading.Thread(target=lambda: leases.append(shared.lease("slow", slowly))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    with shared.lease("quick", Thing):
        may_end.set()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert {id(lease.value) for lease in leases} == {id(made[0])}
    for lease in leases:
        assert made[0].closed == 0
        lease.close()
    assert made[0].closed == 1


def test_the_end_of_a_run_closes_what_is_left_once() -> None:
    shared = Shared()
    lease = shared.lease("a", Thing)
    shared.close()
    lease.close()
    assert lease.value.closed == 1


def test_stages_made_alone_share_with_nobody() -> None:
    one, two = StageContext("a"), StageContext("a")
    assert one == two
    assert one.shared is not two.shared

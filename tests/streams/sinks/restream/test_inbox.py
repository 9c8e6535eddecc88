from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sinks.restream.inbox import Inbox, Waiting


def packets(count: int, key_every: int = 5, step_s: float = 0.04) -> Iterator[Waiting[int]]:
    for number in range(count):
        yield Waiting(number, number * step_s, 100, number % key_every == 0)


def taken(inbox: Inbox[int]) -> list[int]:
    found = []
    while (waiting := inbox.take(0)) is not None:
        found.append(waiting.item)
    return found


@pytest.mark.parametrize(
    ("inbox", "left"),
    [
        (Inbox[int](most_items=12, most_bytes=10**6, most_s=10), range(10, 20)),
        (Inbox[int](most_items=100, most_bytes=700, most_s=10), range(15, 20)),
        (Inbox[int](most_items=100, most_bytes=10**6, most_s=0.3), range(15, 20)),
        (Inbox[int](most_items=100, most_bytes=10**6, most_s=10), range(20)),
    ],
)
def test_what_is_old_goes_first_from_key_frame_to_key_frame(inbox: Inbox[int], left: range) -> None:
    for waiting in packets(20):
        inbox.put(waiting)
    assert taken(inbox) == list(left)
    assert inbox.dropped == 20 - len(left)


def test_without_a_key_frame_all_goes_until_there_is_one() -> None:
    inbox = Inbox[int](most_items=3, most_bytes=10**6, most_s=10)
    for waiting in packets(12, key_every=10):
        inbox.put(waiting)
    assert taken(inbox) == [10, 11]


@given(steps=st.lists(st.sampled_from(["key", "delta", "take"]), max_size=60), most=st.integers(1, 6))
def test_what_is_taken_can_be_decoded_and_nothing_is_lost_uncounted(steps: list[str], most: int) -> None:
    inbox = Inbox[int](most_items=most, most_bytes=10**6, most_s=10)
    put, got, last = 0, 0, None
    for step in ["key", *steps]:
        if step == "take":
            waiting = inbox.take(0)
            if waiting is not None:
                assert waiting.can_start or (last is not None and waiting.item == last + 1)
                last, got = waiting.item, got + 1
        else:
            inbox.put(Waiting(put, put * 0.04, 1, step == "key"))
            put += 1
    assert got + len(taken(inbox)) + inbox.dropped == put


def test_a_recording_waits_for_room_but_not_for_a_line_that_is_down() -> None:
    inbox = Inbox[int](most_items=2, most_bytes=10**6, most_s=10)
    stages: list[str] = []

    def put() -> None:
        for waiting in packets(4):
            inbox.put(waiting, wait=True)
            stages.append("put")

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    assert [inbox.take(5).item, inbox.take(5).item] == [0, 1]
    thread.join(5)
    assert stages == ["put"] * 4
    inbox.put(next(packets(1)), wait=False)
    inbox.flow(False)
    inbox.put(next(packets(1)), wait=True)  # returns
    inbox.finish(empty=True)
    inbox.put(next(packets(1)), wait=True)  # likewise
    assert inbox.is_over

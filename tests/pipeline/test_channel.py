"""Channels: bounded, nothing lost under "every", the newest wins under "latest"."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.channel import Channel, Policy

JOIN_S = 10.0


def make(
    policy: Policy, items: int = 3, size: int = 1000, lost: list[tuple[int, int]] | None = None
) -> Channel[int]:
    drops = lost if lost is not None else []
    return Channel(
        policy,
        capacity_items=items,
        capacity_bytes=size,
        weigh=abs,
        on_drop=lambda dropped, following: drops.append((dropped, following)),
    )


def in_thread(work: object) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


@pytest.mark.parametrize(("items", "size"), [(0, 1), (1, 0), (-1, 5)])
def test_capacity_has_no_default_and_no_zero(items: int, size: int) -> None:
    with pytest.raises(ValueError, match="needs room"):
        make("every", items, size)


def test_latest_drops_the_oldest_and_names_what_follows_it() -> None:
    lost: list[tuple[int, int]] = []
    channel = make("latest", items=2, lost=lost)
    for item in (1, 2, 3, 4):
        assert channel.put(item)
    assert lost == [(1, 2), (2, 3)]
    assert channel.take(5) == [3, 4]
    statistics = channel.statistics()
    assert (statistics.put, statistics.taken, statistics.dropped) == (4, 2, 2)


def test_latest_is_bounded_in_bytes_too() -> None:
    lost: list[tuple[int, int]] = []
    channel = make("latest", items=100, size=10, lost=lost)
    for item in (4, 5, 6):
        channel.put(item)
    assert channel.statistics().bytes <= 10
    assert [dropped for dropped, _ in lost] == [4, 5]


def test_one_item_larger_than_the_channel_passes_alone() -> None:
    channel = make("every", size=10)
    assert channel.put(50)
    assert channel.take() == [50]


def test_every_blocks_the_producer_until_there_is_room() -> None:
    channel = make("every", items=1)
    channel.put(1)
    second = in_thread(lambda: channel.put(2))
    assert channel.take() == [1]
    second.join(JOIN_S)
    assert channel.take() == [2]


def test_close_lets_the_rest_be_taken_and_refuses_more() -> None:
    channel = make("every")
    channel.put(1)
    channel.close()
    assert not channel.put(2)
    assert channel.take() == [1]
    assert channel.take() == []


def test_abort_returns_what_waited_and_frees_a_blocked_producer() -> None:
    channel = make("every", items=1)
    channel.put(1)
    answers: list[bool] = []
    blocked = in_thread(lambda: answers.append(channel.put(2)))
    left = channel.abort()
    blocked.join(JOIN_S)
    assert answers == [False]
    assert left == [1]
    assert channel.statistics().bytes == 0


def test_a_full_batch_is_waited_for_but_not_beyond_the_end() -> None:
    channel = make("every", items=8)
    batches: list[list[int]] = []

    def consume() -> None:
        while batch := channel.take(3, fill=True):
            batches.append(batch)

    consumer = in_thread(consume)
    for item in range(1, 8):
        channel.put(item)
    channel.close()
    consumer.join(JOIN_S)
    assert batches == [[1, 2, 3], [4, 5, 6], [7]]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 30), max_size=40),
    items=st.integers(1, 5),
    size=st.integers(1, 40),
    most=st.integers(1, 6),
    fill=st.booleans(),
)
def test_every_loses_nothing_keeps_order_and_never_hangs(
    sizes: list[int], items: int, size: int, most: int, fill: bool
) -> None:
    channel = make("every", items=items, size=size)
    taken: list[int] = []

    def consume() -> None:
        while batch := channel.take(most, fill=fill):
            assert len(batch) <= most
            taken.extend(batch)

    def produce() -> None:
        for item in sizes:
            assert channel.put(item)
        channel.close()

    threads = [in_thread(consume), in_thread(produce)]
    for thread in threads:
        thread.join(JOIN_S)
    assert not any(thread.is_alive() for thread in threads)
    assert taken == sizes
    statistics = channel.statistics()
    assert statistics.most_waiting <= items
    assert (statistics.put, statistics.taken, statistics.dropped) == (len(sizes), len(sizes), 0)


@settings(deadline=None, max_examples=60)
@given(sizes=st.lists(st.integers(1, 30), max_size=40), items=st.integers(1, 5), size=st.integers(1, 40))
def test_latest_accounts_for_every_item(sizes: list[int], items: int, size: int) -> None:
    lost: list[tuple[int, int]] = []
    channel = make("latest", items=items, size=size, lost=lost)
    for item in sizes:
        channel.put(item)
    kept = channel.take(len(sizes) + 1) if sizes else []
    assert [dropped for dropped, _ in lost] + kept == sizes
    assert len(kept) <= items
    assert len(kept) <= 1 or sum(kept) <= size


def test_latest_rides_out_a_hiccup_without_a_loss() -> None:
    lost: list[tuple[int, int]] = []
    channel = make("latest", items=5, lost=lost)
    for item in (1, 2, 3, 4):
        channel.put(item)
    taken = []
    for item in (5, 6):  # two are taken for each that comes, until it has caught up
        taken += channel.take() + channel.take()
        channel.put(item)
    taken += channel.take() + channel.take()
    assert lost == []
    assert taken == [1, 2, 3, 4, 5, 6]


def test_latest_gives_a_consumer_that_stays_behind_the_newest_only() -> None:
    lost: list[tuple[int, int]] = []
    channel = make("latest", items=5, lost=lost)
    ages = []
    for step in range(40):  # two come for each that is taken
        channel.put(2 * step + 1)
        channel.put(2 * step + 2)
        (item,) = channel.take()
        ages.append(2 * step + 2 - item)
    assert max(ages[10:]) == 0, "always the newest"
    assert len(lost) == 40, "and all others are accounted for"
    channel.close()
    assert channel.take() == []


def test_latest_does_not_relapse_when_the_consumer_happens_to_be_in_time_once() -> None:
    channel = make("latest", items=5)
    newest, ages = 0, []
    for step in range(60):
        for _ in range(1 if step % 5 == 4 else 2):  # at every fifth take nothing is left over
            newest += 1
            channel.put(newest)
        (item,) = channel.take()
        ages.append(newest - item)
    assert max(ages[12:]) == 0


def test_latest_keeps_all_again_once_the_consumer_has_waited() -> None:
    lost: list[tuple[int, int]] = []
    channel = make("latest", items=5, lost=lost)
    for step in range(20):
        channel.put(2 * step + 1)
        channel.put(2 * step + 2)
        channel.take()
    waiting = in_thread(channel.take)
    while not channel._changed._waiters:  # type: ignore[attr-defined]
        assert waiting.is_alive()
    channel.put(100)
    waiting.join(JOIN_S)
    before = len(lost)
    for item in (101, 102, 103):
        channel.put(item)
    assert [channel.take() for _ in range(3)] == [[101], [102], [103]]
    assert len(lost) == before


def test_every_never_skips_for_a_slow_consumer() -> None:
    channel = make("every", items=64, size=10_000)
    taken = []
    for step in range(30):
        channel.put(2 * step + 1)
        channel.put(2 * step + 2)
        taken += channel.take()
    assert taken == list(range(1, 31))


def test_news_pass_beside_the_capacity_and_are_bounded() -> None:
    channel = make("every", items=1)
    assert channel.put(1)
    assert [channel.put_beyond(item, most=3) for item in (2, 3, 4)] == [True, True, False]
    assert channel.take(9) == [1, 2, 3]
    channel.close()
    assert not channel.put_beyond(5, most=3)


@pytest.mark.parametrize(("there", "whole", "taken"), [(1, 1, 1), (3, 1, 3), (3, 2, 2), (4, 2, 4)])
def test_what_does_not_fill_up_in_time_is_taken_in_whole_batches(there: int, whole: int, taken: int) -> None:
    channel = make("every", items=6)
    for item in range(there):
        channel.put(item)
    assert channel.take(4, fill=True, patience_s=0.01, whole=whole) == list(range(taken))


def test_less_than_a_batch_is_waited_for() -> None:
    channel = make("every", items=6)
    channel.put(1)
    later = threading.Timer(0.05, channel.put, [2])
    later.start()
    assert channel.take(4, fill=True, patience_s=0.005, whole=2) == [1, 2]
    later.join(JOIN_S)

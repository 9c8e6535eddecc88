"""Streams that meet, each in a thread of its own."""

import random
import threading
import time

import pytest

from stages.identify.exchange import Exchange
from stages.identify.records import Match, Record
from tests.stages.identify.world import START_NS, S, World, options

FRAME_NS = S // 5


def play(
    exchange: Exchange, stream: str, records: list[Record], frames: int, pauses: random.Random
) -> list[str]:
    """Hand in a stream's records frame by frame; return what was decided, and at which frame."""
    said, left = [], list(records)
    for number in range(frames):
        now_ns = START_NS + number * FRAME_NS
        due = [record for record in left if record.ready_ns <= now_ns]
        left = left[len(due) :]
        if pauses.random() < 0.02:
            time.sleep(0.002)
        for outcome in exchange.advance(stream, now_ns, due):
            assert isinstance(outcome, Match)
            said.append(f"{number} {outcome.left.who} {outcome.came.who} {outcome.score:.12f}")
    exchange.leave(stream)
    return said


def meet(seed: int) -> dict[str, list[str]]:
    pauses = random.Random(seed)
    world = World(people=50, noise=0.7)
    exchange = Exchange(options(min_score=0.2))
    by_stream = {
        name: [r for r in world.records() if r.content.who[0] == name] for name in ("north", "south")
    }
    said: dict[str, list[str]] = {}
    for name in by_stream:
        exchange.join(name)

    def run(name: str) -> None:
        exchange.begin(name, live=False)
        said[name] = play(exchange, name, by_stream[name], 1500, pauses)

    threads = [threading.Thread(target=run, args=(name,)) for name in by_stream]
    pauses.shuffle(threads)
    for thread in threads:
        thread.start()
        time.sleep(pauses.random() * 0.02)
    for thread in threads:
        thread.join(60)
    assert not exchange.statistics().get("not_waited_for")
    return said


def test_what_is_decided_and_at_which_frame_does_not_depend_on_the_threads():
    first = meet(1)
    assert len(first["south"]) > 15
    assert first["north"] == []
    assert meet(2) == first


def test_a_camera_waits_for_nobody():
    exchange = Exchange(options(), patience_s=60)
    for name, live in (("north", False), ("south", True)):
        exchange.join(name)
        exchange.begin(name, live=live)
    assert exchange.advance("south", START_NS, []) == []


def test_a_recording_does_not_wait_for_cameras_or_those_who_left():
    exchange = Exchange(options(), patience_s=60)
    for name in ("north", "south", "east"):
        exchange.join(name)
    exchange.begin("north", live=False)
    exchange.begin("south", live=True)
    exchange.leave("east")
    assert exchange.advance("north", START_NS, []) == []


def test_one_that_does_not_move_is_given_up_once():
    now = iter(range(10_000))
    exchange = Exchange(options(), clock=lambda: next(now) * 10.0, patience_s=30)
    for name in ("north", "south"):
        exchange.join(name)
    exchange.begin("north", live=False)
    for number in range(50):
        exchange.advance("north", START_NS + number, [])
    assert exchange.statistics()["not_waited_for"] == 1
    assert next(now) < 60, "it is waited for once, not at each frame"


@pytest.mark.parametrize("way", ["leave", "close"])
def test_who_waits_is_released(way):
    exchange = Exchange(options(), patience_s=60)
    for name in ("north", "south"):
        exchange.join(name)
    exchange.begin("north", live=False)
    waiting = threading.Thread(target=exchange.advance, args=("north", START_NS, []))
    waiting.start()
    exchange.leave("south") if way == "leave" else exchange.close()
    waiting.join(10)
    assert not waiting.is_alive()

from __future__ import annotations

import asyncio
import threading

import pytest

from pipeline.awaiting import in_thread
from pipeline.bus import Bus
from pipeline.listen import Listener
from tests.pipeline.messages import FREE, make_event, wait_for_subscriptions


def test_it_returns_what_the_call_returns_and_raises_what_it_raises() -> None:
    async def main() -> None:
        assert await in_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await in_thread(lambda: 1 / 0)

    asyncio.run(main())


@pytest.mark.parametrize("cancelled", [1, 3])
def test_who_is_cancelled_waits_for_the_thread_and_puts_back_what_it_found(cancelled: int) -> None:
    entered, gate, back = threading.Event(), threading.Event(), []

    def call() -> int:
        entered.set()
        assert gate.wait(10)
        return 7

    async def main() -> None:
        work = asyncio.ensure_future(in_thread(call, back.append))
        await asyncio.to_thread(entered.wait, 10)
        for _ in range(cancelled):
            work.cancel()
            await asyncio.sleep(0)
            assert not work.done()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert back == [7]


def test_a_call_that_fails_after_all_puts_nothing_back() -> None:
    entered, gate, back = threading.Event(), threading.Event(), []

    def call() -> float:
        entered.set()
        assert gate.wait(10)
        return 1 / 0

    async def main() -> None:
        work = asyncio.ensure_future(in_thread(call, back.append))
        await asyncio.to_thread(entered.wait, 10)
        work.cancel()
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(main())
    assert back == []


def test_who_stops_awaiting_messages_of_a_bus_loses_none() -> None:
    async def main() -> None:
        with Bus(FREE, None) as bus, Listener([bus.endpoints["events"]]) as listener:
            wait_for_subscriptions(bus, events=1)
            got: list[int] = []

            async def read() -> None:
                async for received in listener:
                    got.append(received.message.n)  # noqa: PERF401 - a cancelled comprehension keeps none

            for number in range(3):
                reading = asyncio.ensure_future(read())
                await asyncio.sleep(0.1)
                reading.cancel()
                await asyncio.sleep(0)
                bus.publish_event(make_event(number))  # its thread still waits, and finds it
                with pytest.raises(asyncio.CancelledError):
                    await reading
            assert len(got) == 2
            got.append((await anext(aiter(listener))).message.n)
            assert (got, listener.statistics()["received"]) == ([0, 1, 2], 3)

    asyncio.run(asyncio.wait_for(main(), 20.0))

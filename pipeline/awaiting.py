"""Waiting for a thread in asyncio: who is cancelled loses nothing, and no two threads use one socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_thread(
    call: Callable[[], _Result], put_back: Callable[[_Result], None] = lambda _: None
) -> _Result:
    """Return what `call` returns in a thread of its own; it must end within a moment.

    A thread cannot be cancelled: who is cancelled here waits until it is over, as what it uses is for one
    thread. What it has found by then goes to `put_back`.
    """
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:  # again: the thread is not over for that
                continue
        if not work.cancelled() and work.exception() is None:
            put_back(work.result())
        raise

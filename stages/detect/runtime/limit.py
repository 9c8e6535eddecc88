"""A limit for calls into libraries that cannot be interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def within(limit_s: float, call: Callable[[], T], late: Callable[[T], None]) -> T:
    """Call in a thread of its own and wait for it, but not for ever.

    Args:
        limit_s: longest wait, seconds.
        call: what is to be done.
        late: is given what came after nobody waited any more, to free it.

    Returns:
        What the call returned.

    Raises:
        TimeoutError: if it has not come back; its thread goes on, and keeps no process alive.
        Exception: whatever the call raised.
    """
    lock = threading.Lock()
    done = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []
    given_up = False

    def work() -> None:
        try:
            result = call()
        except BaseException as error:
            errors.append(error)
        else:
            with lock:
                unwanted = given_up
                if not unwanted:
                    results.append(result)
            if unwanted:
                late(result)
        done.set()

    threading.Thread(target=work, name="within", daemon=True).start()
    done.wait(limit_s)
    with lock:
        given_up = not results and not errors
    if errors:
        raise errors[0]
    if given_up:
        raise TimeoutError(f"no answer within {limit_s:g} s")
    return results[0]

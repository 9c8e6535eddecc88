"""How far a download or an export is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int | None], None]
"""Takes what is fetched, the bytes that are here, and how many there will be, None when nobody knows."""

_LINE_EVERY_S = 10.0


@contextmanager
def shown(console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """Yield what shows progress on stderr; nothing is written before its first call.

    Args:
        console: where to; stderr when None.
        clock: monotonic seconds.
    """
    from rich.console import Console

    where = console or Console(stderr=True)
    if where.is_terminal:
        with _bar(where) as tell:
            yield tell
    else:
        yield _Lines(where, clock)


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        tasks = {}

        def tell(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tell


class _Lines:
    """Writes the first, the last, and a line every few seconds in between."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._next_s: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now_s = self._clock()
        is_whole = total is not None and done >= total
        if now_s < self._next_s.get(what, now_s) and not is_whole:
            return
        self._next_s[what] = now_s + _LINE_EVERY_S
        of = "" if total is None else f" of {megabytes(total)}"
        self._console.print(f"{what}: {megabytes(done)}{of}", markup=False, highlight=False, soft_wrap=True)


def megabytes(count: int) -> str:
    """Return bytes in words: "5.4 MB"."""
    return f"{count / 1e6:.1f} MB"

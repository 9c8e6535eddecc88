"""Progress of a run on stderr: a live table on a wide terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.condition import SourceState
from pipeline.engine import Engine
from pipeline.keeper import SourceStatus
from pipeline.secret import without_credentials
from pipeline.stream import State, Stream

_LINE_EVERY_S = 5.0
_NEWS = {SourceState.PLAYING, SourceState.STALLED, SourceState.BACKING_OFF, SourceState.REFUSED}
_TABLE_COLUMNS = 80
"""A terminal with fewer columns would cut the table's cells short."""


class Display:
    """Shows how far each stream is; give `refresh` to `Engine.run` as its tick.

    Args:
        engine: what to show.
        quiet: show nothing but errors.
        console: where to; stderr when None.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._quiet = quiet
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._next_line_s = clock() + _LINE_EVERY_S
        self._live: Live | None = None
        self._stop_asked = False
        self._told: set[str] = set()
        self._news: dict[str, tuple[object, ...]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self._console.is_terminal and self._console.width >= _TABLE_COLUMNS and not self._quiet:
            live = Live(self._table(), console=self._console, auto_refresh=False, transient=False)
            with self._whoever_reads():
                self._live = self._stack.enter_context(live)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._whoever_reads():
            self._stack.close()

    def announce_stop(self) -> None:
        """Have the next refresh say that the run is about to end; safe in a signal handler."""
        self._stop_asked = True

    def refresh(self) -> None:
        """Show the present state."""
        self.tell_errors()
        with self._whoever_reads():
            self._tell_news()
            if self._stop_asked and not self._quiet:
                self._stop_asked = False
                self._console.show_cursor()  # for when the process ends in the midst of the live table
                self._print("stopping: what is on its way is finished; Ctrl-C once more ends it at once")
            if self._live:
                self._live.update(self._table(), refresh=True)
            elif not self._quiet and self._clock() >= self._next_line_s:
                self._next_line_s = self._clock() + _LINE_EVERY_S
                for stream in self._engine.streams:
                    self._print(self._line(stream))

    def tell_errors(self) -> None:
        """Say of each failed stream why it failed; each is said once, also when called again."""
        for stream in self._engine.streams:
            name = stream.config.name
            if stream.state is State.FAILED and name not in self._told:
                self._told.add(name)
                with self._whoever_reads():
                    self._print(error_line(name, str(stream.error)))

    def _tell_news(self) -> None:
        """Say when a camera is lost, why, and when it is back; a failure that repeats is said once."""
        if self._quiet:
            return
        for stream in self._engine.streams:
            status, name = stream.source, stream.config.name
            if status is None or status.state not in _NEWS:
                continue
            news = (status.state is SourceState.PLAYING, status.reason)
            if self._news.get(name, (True, None)) != news:
                self._news[name] = news
                self._print(news_line(name, status, time.monotonic()))

    @contextmanager
    def _whoever_reads(self) -> Iterator[None]:
        """Fall silent when nobody reads stderr any more; rich would end the whole run for that."""
        try:
            yield
        except (OSError, SystemExit):
            self._quiet, self._live = True, None

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("stream", "state", "done", "frames", "frames/s", "dropped", "counts"):
            table.add_column(
                heading, justify="right" if heading in ("done", "frames", "frames/s") else "left"
            )
        for stream in self._engine.streams:
            table.add_row(*map(Text, self._cells(stream)))  # a line's name may look like rich's markup
        return table

    def _line(self, stream: Stream) -> str:
        name, state, done, frames, rate, dropped, counts = self._cells(stream)
        return f"{name}: {state}, {done}, {frames} frames, {rate} frames/s, dropped {dropped}, {counts}"

    def _cells(self, stream: Stream) -> tuple[str, ...]:
        entry = stream.ledger.entry()
        lost = entry.captured - entry.finished - entry.in_flight
        seconds = stream.seconds
        rate = f"{entry.finished / seconds:.0f}" if seconds > 0 else "-"
        return (
            stream.config.name,
            _state(stream),
            _done(stream),
            str(entry.finished),
            rate,
            str(lost),
            counts_text(stream.tally.counts()) or "-",
        )


def _state(stream: Stream) -> str:
    """Return a live stream's source state while it runs; "playing" is what a person wants to read."""
    status = stream.source
    is_at_work = stream.state in (State.OPENING, State.RUNNING)
    return str(status.state) if status and is_at_work else str(stream.state)


def news_line(stream: str, status: SourceStatus, now_s: float) -> str:
    """Return what is said of a live source whose state is news."""
    if status.state is SourceState.PLAYING:
        return f"stream '{stream}': playing" + (f", but {status.detail}" if status.detail else "")
    again = ""
    if status.next_try_s is not None:
        again = f"; next try in {max(0.0, status.next_try_s - now_s):.0f} s, and so on for ever"
    return f"warning: stream '{stream}': {status.state}: {status.detail or status.reason}{again}"


def _done(stream: Stream) -> str:
    if stream.state is State.ENDED:
        return "100%"  # whatever duration was declared
    if stream.media_span_s is None:
        return "-"
    position_s = stream.media_span_s[1]
    duration_s = stream.info.duration_s if stream.info else None
    return f"{position_s:.1f} s" if not duration_s else f"{min(1.0, position_s / duration_s):.0%}"


def error_line(stream: str, message: str) -> str:
    """Return what is said of a stream's error; the message may name the stream itself."""
    named = message if message.startswith(f"stream '{stream}'") else f"stream '{stream}': {message}"
    return f"error: {without_credentials(named)}"


def counts_text(counts: dict[str, dict[str, dict[str, int]]]) -> str:
    """Return totals as `gate: up 2, down 3`, lines separated by ` | `."""
    return " | ".join(
        f"{line}: "
        + ", ".join(f"{direction} {sum(labels.values())}" for direction, labels in directions.items())
        for line, directions in counts.items()
    )

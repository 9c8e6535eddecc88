"""Cameras whose every connection follows a script, to put a keeper into every situation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.backoff import KeeperOptions
from pipeline.frame import Frame, Gap
from pipeline.keeper import Keeper, SourceStatus
from pipeline.plugin import Options, Source, StreamInfo
from tests.pipeline.parts import frame

PATIENCE_S = 20.0


class FakeClock:
    """Seconds that pass only when somebody lets them."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.pauses_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.now_s += seconds


class Camera(Source):
    """One connection: does what its script says.

    "open" opens (before it, the source is still being opened), "connect" tells that the peer has answered,
    "silent" says nothing more until it is closed, "deaf" not even then; numbers are frames' media times;
    gaps are yielded; exceptions are raised; functions are called.
    """

    live = True

    def __init__(self, script: Sequence[Any], name: str = "gate", recorded: bool = False) -> None:
        super().__init__(f"camera://{name}", Options(), name)
        self._script = list(script)
        self._recorded = recorded
        self.closed = threading.Event()
        self.released = threading.Event()

    def open(self) -> StreamInfo:
        while (step := self._script.pop(0)) != "open":
            self._do(step)
        return StreamInfo(self.stream, self.url, f"run{id(self)}", 8, 6, live=not self._recorded)

    def read(self) -> Iterator[Frame | Gap]:
        for number, step in enumerate(self._script):
            if isinstance(step, int | float):
                one = frame(number, self.stream, f"run{id(self)}")
                one.moment = one.moment.shifted(step - one.moment.pts_s)
                yield one
            elif isinstance(step, Gap):
                yield step
            else:
                self._do(step)

    def close(self) -> None:
        self.closed.set()

    def _do(self, step: Any) -> None:
        if step == "connect":
            self.progress.connected = True
        elif step == "silent":
            self.closed.wait(PATIENCE_S)
        elif step == "deaf":
            self.released.wait(PATIENCE_S)
        elif isinstance(step, Exception):
            raise step
        else:
            step()


class Kept:
    """A keeper at work over the given connections; after the last of them it is stopped."""

    def __init__(
        self,
        *connections: Source,
        clock: FakeClock | None = None,
        take: Callable[[Frame | Gap], bool] = lambda item: True,
        **options: float,
    ) -> None:
        self.clock = clock or FakeClock()
        self.items: list[Frame | Gap] = []
        self.statuses: list[SourceStatus] = []
        self.infos: list[StreamInfo] = []
        self._take = take
        self._left = list(connections)
        self.keeper = Keeper(
            self._left.pop(0),
            self._make,
            opened=self.infos.append,
            deliver=self._deliver,
            tell=self.statuses.append,
            options=KeeperOptions(**options),
            clock=self.clock,
            draw=lambda: 1.0,
            pause=self.clock.pause,
        )

    def _make(self) -> Source:
        if not self._left:
            self.keeper.stop()
            return Camera(["silent"])
        return self._left.pop(0)

    def _deliver(self, info: StreamInfo, item: Frame | Gap) -> bool:
        self.items.append(item)
        return self._take(item)

    def run(self) -> Kept:
        self.keeper.run()
        return self

    @property
    def frames(self) -> list[Frame]:
        return [item for item in self.items if isinstance(item, Frame)]

    @property
    def states(self) -> list[str]:
        """The states that were told, each once in a row."""
        told = [str(status.state) for status in self.statuses]
        return [state for before, state in zip(["", *told], told, strict=False) if state != before]

"""Threads that run one opened network: they take pictures from a desk, together where a batch gains."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from pipeline.errors import ModelError
from stages.detect.runtime.base import Inputs, OutOfMemoryError, Outputs, Parts, Runtime


@dataclass(slots=True, eq=False)
class Job:
    """One picture that waits for the network.

    Attributes:
        stream: it belongs to.
        inputs: one array per input, first axis 1.
        done: set when there are outputs or an error.
        outputs: of this picture.
        error: why there are none.
    """

    stream: str
    inputs: Inputs
    done: threading.Event = field(default_factory=threading.Event)
    outputs: Outputs | None = None
    error: Exception | None = None

    def fail(self, error: Exception) -> None:
        """End it without outputs."""
        self.error = error
        self.done.set()


@dataclass(slots=True, eq=False)
class Call:
    """One call of the network that is running.

    Attributes:
        crew: that runs it.
        jobs: the pictures in it.
        started_s: by the desk's clock.
        given_up: True when nobody waits for it any more.
    """

    crew: Crew
    jobs: list[Job]
    started_s: float
    given_up: bool = False


class Desk(Protocol):
    """Where a crew gets its work."""

    def take(self, crew: Crew, most: int) -> Call | None:
        """Wait for pictures, at most so many, and return them as a call; None when the crew is to go home."""

    def settle(self, call: Call, results: Sequence[Outputs | Exception] | None) -> None:
        """Hand out what a call has given, one result per job; None when it was stopped half-way."""

    def opened(self, crew: Crew) -> None:
        """Take note that its network is open."""

    def left(self, crew: Crew, error: Exception | None) -> None:
        """Take note that its last thread has gone, and why, if it could not open the network."""


class Crew:
    """An opened network with as many threads as it has use for.

    Its threads open the network themselves unless it is open already, and the last of them closes it, so that
    a network that hangs holds nobody else.

    Attributes:
        runtime: the network, None until it is open.
        retired: True when its threads are to go home after what they are at.

    Args:
        desk: where work comes from.
        open_network: opens the network.
        say: is told one line when a batch had to be made smaller.
        runtime: the network, where it is open already.
    """

    def __init__(
        self,
        desk: Desk,
        open_network: Callable[[], Runtime],
        say: Callable[[str], None],
        runtime: Runtime | None = None,
    ) -> None:
        self.runtime = runtime
        self.retired = False
        self._desk = desk
        self._open_network = open_network
        self._say = say
        self._most = 1
        self._lock = threading.Lock()
        self._at_work = 1
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; returns at once."""
        self._spawn(self._first)

    def join(self, timeout_s: float) -> None:
        """Wait for the threads, for each at most so long."""
        for thread in list(self._threads):
            thread.join(timeout_s)

    def _spawn(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name="inference", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _first(self) -> None:
        try:
            if self.runtime is None:
                self.runtime = self._open_network()
        except Exception as error:  # whatever it is, those who wait must hear of it
            self._desk.left(self, error)
            return
        self._most = self.runtime.max_batch
        self._desk.opened(self)
        others = max(self.runtime.parallel, 1) - 1
        with self._lock:
            self._at_work += others
        for _ in range(others):
            self._spawn(self._work)
        self._work()

    def _work(self) -> None:
        try:
            while call := self._desk.take(self, self._most):
                results: list[Outputs | Exception] | None = None
                try:
                    results = self._run([job.inputs for job in call.jobs])
                finally:
                    self._desk.settle(call, results)
                # Nothing of a picture is kept while its thread waits for the next one.
                del call, results
        finally:
            with self._lock:
                self._at_work -= 1
                last = self._at_work == 0
            if last:
                if self.runtime is not None:
                    self.runtime.close()
                self._desk.left(self, None)

    def _network(self) -> Runtime:
        if self.runtime is None:
            raise ModelError("the network is not open")
        return self.runtime

    def _run(self, pictures: list[Inputs]) -> list[Outputs | Exception]:
        """Return outputs or error of each; a batch without room is halved, one that fails is split."""
        if len(pictures) == 1:
            try:
                return [self._network().run(pictures[0])]
            except ModelError as error:
                return [error]
            except Exception as error:
                return [ModelError(f"the network failed: {type(error).__name__}: {error}")]
        if len(pictures) > self._most:
            return [result for part in _parts(pictures, self._most) for result in self._run(part)]
        try:
            outputs = self._network().run(joined(pictures))
        except OutOfMemoryError as error:
            half = len(pictures) // 2
            if half < self._most:
                self._most = half
                self._say(
                    f"no room for {len(pictures)} pictures at once, from now on at most {half} ({error})"
                )
            return self._run(pictures)
        except Exception:  # whatever it is, it may be one picture's, and nobody is left waiting
            return [result for picture in pictures for result in self._run([picture])]
        parts = split(outputs, len(pictures))
        if parts is None:
            self._most = 1
            shapes = ", ".join(str(list(output.shape)) for output in outputs)
            self._say(f"outputs {shapes} cannot be divided among {len(pictures)} pictures; no more batches")
            return self._run(pictures)
        results: list[Outputs | Exception] = [*parts]
        return results


def joined(pictures: Sequence[Inputs]) -> Inputs:
    """Return the inputs of several pictures as those of one batch."""
    return [_concatenated(arrays) for arrays in zip(*pictures, strict=True)]


def _concatenated(arrays: Sequence[Any]) -> Any:
    if len(arrays) == 1:
        return arrays[0]
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    return Parts(arrays)  # made on a device: they are joined there, in the order of its work


def split(outputs: Outputs, count: int) -> list[Outputs] | None:
    """Return the outputs of a batch picture by picture.

    None if they do not belong to single pictures, as after a suppression inside the network that numbers the
    boxes of the whole batch.
    """
    if any(output.ndim == 0 or output.shape[0] != count for output in outputs):
        return None
    return [[output[place : place + 1] for output in outputs] for place in range(count)]


def _parts(pictures: list[Inputs], size: int) -> Iterable[list[Inputs]]:
    return (pictures[start : start + size] for start in range(0, len(pictures), size))

"""One network for all streams: fair, in batches where they gain, and never waited for without end."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

import numpy as np

from pipeline.errors import FrameLost, ModelError
from stages.detect.runtime.base import HungError, Inputs, Outputs, Runtime
from stages.detect.runtime.crew import Call, Crew, Job
from stages.detect.runtime.opening import OPENING_S

logger = logging.getLogger(__name__)

MOST_HUNG = 3
"""Calls that may be given up and not have come back; each holds a network's memory and a thread."""
MOST_BAD = 20
"""Pictures in a row without one usable output, after which the network is taken to give no other."""
_CLOSING_S = 5.0

BAD_OUTPUT = "bad network output"
HUNG = "model hung"


class Inference:
    """Runs a network for whoever asks, from any thread.

    Streams take turns, picture by picture. On a CPU as many pictures run at once as `Runtime.parallel` says,
    each by itself; on a GPU whatever is ready runs as one batch, for which the first picture waits no longer
    than `max_wait_s` and only while another stream could still bring one.

    A call that takes longer than `timeout_s` is given up with its network and its threads, its pictures are
    lost, and a new network is opened for those that follow.

    Args:
        open_network: opens the network; called here, and again after a hang.
        label: its name for messages.
        timeout_s: longest call.
        max_wait_s: longest wait for a fuller batch.
        clock: monotonic seconds.

    Raises:
        ModelError: of `open_network`.
    """

    def __init__(
        self,
        open_network: Callable[[], Runtime],
        label: str,
        *,
        timeout_s: float = 30.0,
        max_wait_s: float = 0.002,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label = label
        self.timeout_s = timeout_s
        self._open_network = open_network
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._streams: dict[str, int] = {}
        self._running: set[Call] = set()
        self._given_up: list[Crew] = []
        self._broken: ModelError | None = None
        self._closed = False
        self._bad_in_a_row = 0
        runtime = open_network()
        self.name, self.device, self.precision = runtime.name, runtime.device, runtime.precision
        self.batch = max(runtime.max_batch, runtime.parallel)
        self._opening_since_s: float | None = None
        self._crew = Crew(self, open_network, self._warn, runtime)
        self._crew.start()

    def join(self, stream: str) -> None:
        """Tell that this stream will bring pictures; batches wait for those who have joined only."""
        with self._changed:
            self._streams[stream] = self._streams.get(stream, 0) + 1

    def leave(self, stream: str) -> None:
        """Tell that it will bring no more."""
        with self._changed:
            left = self._streams.pop(stream, 0) - 1
            if left > 0:
                self._streams[stream] = left
            self._changed.notify_all()

    def run_many(self, requests: Sequence[Inputs], stream: str) -> list[Outputs | FrameLost]:
        """Run the network on some pictures of one stream; see `InferenceClient.run_many`."""
        jobs = [Job(stream, inputs) for inputs in requests]
        with self._changed:
            if self._closed:
                raise ModelError(f"'{self.label}' is closed")
            if self._broken:
                raise self._broken
            self._waiting.setdefault(stream, deque()).extend(jobs)
            self._changed.notify_all()
        for job in jobs:
            while not job.done.wait(self._patience_s()):
                self._give_up_what_hangs()
        return [self._result(job) for job in jobs]

    def close(self) -> None:
        """End the threads and free the network; who still waits gets a ModelError."""
        with self._changed:
            self._closed = True
            crew = self._crew
            crew.retired = True
            self._fail_waiting(ModelError(f"'{self.label}' is closed"))
            self._changed.notify_all()
        crew.join(_CLOSING_S)

    # What crews call.

    def take(self, crew: Crew, most: int) -> Call | None:
        """See `Desk.take`."""
        with self._changed:
            while not crew.retired:
                if not self._waiting:
                    self._changed.wait()
                    continue
                if most > 1:
                    self._wait_for_others(crew, most)
                if self._waiting and not crew.retired:  # another thread may have been faster
                    call = Call(crew, self._pick(most), self._clock())
                    self._running.add(call)
                    return call
            return None

    def settle(self, call: Call, results: Sequence[Outputs | Exception] | None) -> None:
        """See `Desk.settle`."""
        with self._changed:
            self._running.discard(call)
            if call.given_up:
                return
            if results is None:
                results = [ModelError(f"'{self.label}' was stopped")] * len(call.jobs)
            for job, result in zip(call.jobs, results, strict=True):
                if isinstance(result, Exception):
                    job.fail(result)
                else:
                    job.outputs = result
                    job.done.set()

    def opened(self, crew: Crew) -> None:
        """See `Desk.opened`."""
        with self._changed:
            if crew is self._crew:
                self._opening_since_s = None

    def left(self, crew: Crew, error: Exception | None) -> None:
        """See `Desk.left`."""
        with self._changed:
            if crew in self._given_up:
                self._given_up.remove(crew)
            if crew is self._crew and error is not None:
                broken = error if isinstance(error, ModelError) else ModelError(f"'{self.label}': {error}")
                self._break(broken)

    # The rest is called with the lock held, unless it says otherwise.

    def _pick(self, most: int) -> list[Job]:
        """Take the oldest picture of each stream in turn; the stream that was served goes to the end."""
        picked: list[Job] = []
        shapes: list[tuple[int, ...]] = []
        for stream in self._turns(most):
            job = self._waiting[stream][0]
            theirs = [array.shape for array in job.inputs]
            if picked and theirs != shapes:
                break  # a batch has one shape; it is the first of the next one
            shapes = theirs
            picked.append(self._waiting[stream].popleft())
            self._waiting.move_to_end(stream)
            if not self._waiting[stream]:
                del self._waiting[stream]
        return picked

    def _turns(self, most: int) -> list[str]:
        """Return whose turn it is, so many times, without taking anything."""
        left = {stream: len(jobs) for stream, jobs in self._waiting.items()}
        order = deque(left)
        turns: list[str] = []
        while order and len(turns) < most:
            stream = order.popleft()
            turns.append(stream)
            left[stream] -= 1
            if left[stream]:
                order.append(stream)
        return turns

    def _wait_for_others(self, crew: Crew, most: int) -> None:
        """Wait a little for streams that have joined, bring nothing at the moment, and are in no call."""
        until_s = self._clock() + self._max_wait_s
        while self._waiting and not crew.retired:
            busy = {job.stream for call in self._running for job in call.jobs if not call.given_up}
            may_come = self._streams.keys() - self._waiting.keys() - busy
            ready = sum(map(len, self._waiting.values()))
            left_s = until_s - self._clock()
            if ready >= most or not may_come or left_s <= 0:
                return
            self._changed.wait(left_s)

    def _give_up_what_hangs(self) -> None:
        """Lose the pictures of calls that take too long, and go on with a new network. Takes the lock."""
        with self._changed:
            now_s = self._clock()
            late = [call for call in self._running if now_s - call.started_s >= self.timeout_s]
            for call in late:
                call.given_up = True
                self._running.discard(call)
                for job in call.jobs:
                    job.fail(FrameLost(HUNG, f"'{self.label}' gave no answer for {self.timeout_s:g} s"))
            opening_s = self._opening_since_s
            if opening_s is not None and now_s - opening_s >= max(OPENING_S, self.timeout_s):
                self._break(HungError(f"'{self.label}' hung, and could not be opened again"))
            elif not self._closed and any(call.crew is self._crew for call in late):
                self._replace_crew()

    def _replace_crew(self) -> None:
        old = self._crew
        old.retired = True
        self._given_up.append(old)
        self._changed.notify_all()
        if len(self._given_up) > MOST_HUNG:
            self._break(
                HungError(
                    f"'{self.label}' hung {len(self._given_up)} times on {self.device} and did not come "
                    f"back; set another 'runtime' or 'device', or a longer 'timeout_s'"
                )
            )
            return
        self._warn(f"gave no answer for {self.timeout_s:g} s; given up, and opened anew")
        self._opening_since_s = self._clock()
        self._crew = Crew(self, self._open_network, self._warn)
        self._crew.start()

    def _break(self, error: ModelError) -> None:
        self._broken = error
        self._opening_since_s = None
        self._fail_waiting(error)

    def _fail_waiting(self, error: ModelError) -> None:
        for jobs in self._waiting.values():
            for job in jobs:
                job.fail(error)
        self._waiting.clear()

    def _patience_s(self) -> float:
        """Return the seconds until the first running call is late. Takes the lock."""
        with self._changed:
            started_s = min((call.started_s for call in self._running), default=self._clock())
            return max(started_s + self.timeout_s - self._clock(), 1e-3)

    def _result(self, job: Job) -> Outputs | FrameLost:
        """Return what became of a picture; raise what concerns all. Takes the lock."""
        if isinstance(job.error, FrameLost):
            return job.error
        if job.error is not None:
            raise job.error
        outputs = job.outputs or []
        bad = _places_of_bad(outputs)
        with self._changed:
            self._bad_in_a_row = self._bad_in_a_row + 1 if bad else 0
            in_a_row = self._bad_in_a_row
        if not bad:
            return outputs
        if in_a_row == 1:
            self._warn(f"its output {bad[0]} is not a number or infinite; the picture is lost")
        if in_a_row >= MOST_BAD:
            raise ModelError(
                f"'{self.label}' gave only numbers that are none (NaN, infinity) for {in_a_row} pictures on "
                f"{self.name}, {self.device}, {self.precision}; set 'precision: full' or another 'runtime', "
                f"or export it again"
            )
        return FrameLost(BAD_OUTPUT, f"'{self.label}': output {bad[0]} is not a number or infinite")

    def _warn(self, line: str) -> None:
        logger.warning("'%s': %s", self.label, line)


def _places_of_bad(outputs: Outputs) -> list[int]:
    """Return which outputs have values that are not finite.

    A sum is finite unless a value is not, or it overflows; only then each value is looked at.
    """
    bad = []
    for place, output in enumerate(outputs):
        if output.dtype.kind != "f":
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = not np.isfinite(output.sum(dtype=np.float32))
        if suspect and not np.isfinite(output).all():
            bad.append(place)
    return bad

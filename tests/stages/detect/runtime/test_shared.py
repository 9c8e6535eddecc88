"""One network for many threads: fair, in batches, and with an answer for everybody whatever happens to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from pipeline.errors import FrameLost, ModelError
from stages.detect.runtime.base import HungError, Inputs, OutOfMemoryError, Outputs
from stages.detect.runtime.shared import BAD_OUTPUT, HUNG, MOST_BAD, MOST_HUNG, Inference

PATIENCE_S = 20.0


def picture(value: float) -> Inputs:
    return [np.full((1, 2), value, np.float32)]


class Model:
    """Doubles what it is given; a gate can hold it, and a trick replaces what it does."""

    name = "onnxruntime"
    device = "cpu"
    precision = "f32"

    def __init__(self, max_batch: int = 1, parallel: int = 1) -> None:
        self.max_batch, self.parallel = max_batch, parallel
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)
        self.trick: Callable[[Inputs], Outputs] | None = None
        self.calls: list[list[float]] = []
        self.closed = threading.Event()
        self._inside = 0
        self.most_inside = 0
        self._lock = threading.Lock()

    def run(self, inputs: Inputs) -> Outputs:
        with self._lock:
            self.calls.append(inputs[0][:, 0].tolist())
            self._inside += 1
            self.most_inside = max(self.most_inside, self._inside)
        self.entered.release()
        try:
            assert self.gate.wait(PATIENCE_S)
            return self.trick(inputs) if self.trick else [array * 2 for array in inputs]
        finally:
            with self._lock:
                self._inside -= 1

    def close(self) -> None:
        self.closed.set()


class Clock:
    """Stands still until told, so that no call hangs but those that are meant to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def pass_by(self, seconds: float, inference: Inference) -> None:
        """Let time pass, and have somebody look at it."""
        self.now_s += seconds
        inference._give_up_what_hangs()


class Bench:
    """An inference with its models and the threads that ask it; everything ends with the test."""

    def __init__(self) -> None:
        self.models: list[Model] = []
        self.pool = ThreadPoolExecutor(16)
        self.made: list[Inference] = []

    def start(self, *models: Model, **settings: Any) -> Inference:
        left = list(models)
        self.models += models

        def open_network() -> Model:
            if not left:
                raise ModelError("no more models")
            return left.pop(0)

        self.made.append(Inference(open_network, "net.onnx", **settings))
        return self.made[-1]

    def ask(self, inference: Inference, stream: str, *values: float) -> Future[list[Outputs | FrameLost]]:
        return self.pool.submit(inference.run_many, [picture(value) for value in values], stream)

    def end(self) -> None:
        for model in self.models:
            model.gate.set()
        for inference in self.made:
            inference.close()
        self.pool.shutdown()


@pytest.fixture
def bench() -> Any:
    made = Bench()
    yield made
    made.end()


def got(future: Future[list[Outputs | FrameLost]]) -> list[float | str]:
    results = future.result(PATIENCE_S)
    return [one.cause if isinstance(one, FrameLost) else float(one[0][0, 0]) for one in results]


def enter(model: Model, times: int = 1) -> None:
    for _ in range(times):
        assert model.entered.acquire(timeout=PATIENCE_S)


def wait_for(inference: Inference, waiting: int) -> None:
    """Wait until so many pictures stand in the queue."""
    with inference._changed:
        ready = inference._changed.wait_for(
            lambda: sum(map(len, inference._waiting.values())) >= waiting, PATIENCE_S
        )
    assert ready


def test_each_gets_its_own_answer_in_order(bench: Bench) -> None:
    inference = bench.start(Model(parallel=2))
    futures = [bench.ask(inference, f"s{n}", *range(n, n + 5)) for n in range(12)]
    assert [got(future) for future in futures] == [[2.0 * v for v in range(n, n + 5)] for n in range(12)]


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_as_many_run_at_once_as_the_runtime_says(bench: Bench, parallel: int) -> None:
    model = Model(parallel=parallel)
    model.gate.clear()
    inference = bench.start(model)
    future = bench.ask(inference, "file", *range(6))
    enter(model, parallel)
    assert not model.entered.acquire(timeout=0.05)
    model.gate.set()
    assert got(future) == [2.0 * value for value in range(6)]
    assert model.most_inside == parallel
    assert all(len(call) == 1 for call in model.calls)


def test_streams_take_turns_however_much_one_of_them_brings(bench: Bench) -> None:
    model = Model()
    model.gate.clear()
    inference = bench.start(model)
    first = bench.ask(inference, "greedy", 0)
    enter(model)
    greedy = bench.ask(inference, "greedy", 1, 2, 3, 4)
    wait_for(inference, 4)
    modest = [bench.ask(inference, name, value) for name, value in (("a", 10), ("b", 20))]
    wait_for(inference, 6)
    model.gate.set()
    for future in (first, greedy, *modest):
        got(future)
    order = [call[0] for call in model.calls]
    assert order[:2] == [0, 1]
    assert sorted(order[2:4]) == [10, 20]
    assert order[4:] == [2, 3, 4]


def test_a_batch_takes_what_is_ready_up_to_its_size(bench: Bench) -> None:
    model = Model(max_batch=4)
    model.gate.clear()
    inference = bench.start(model)
    first = bench.ask(inference, "s", 0)
    enter(model)
    rest = [bench.ask(inference, f"s{n}", n) for n in range(1, 7)]
    wait_for(inference, 6)
    model.gate.set()
    assert [got(future) for future in (first, *rest)] == [[2.0 * n] for n in range(7)]
    assert [len(call) for call in model.calls] == [1, 4, 2]


def test_a_batch_waits_for_those_who_have_joined_and_for_no_one_else(bench: Bench) -> None:
    model = Model(max_batch=4)
    inference = bench.start(model, max_wait_s=PATIENCE_S)
    for stream in ("a", "b"):
        inference.join(stream)
    both = [bench.ask(inference, stream, value) for stream, value in (("a", 1), ("b", 2))]
    # Without b's picture a's would wait for long; with it nobody waits, since nobody else has joined.
    assert [got(future) for future in both] == [[2.0], [4.0]]
    assert [sorted(call) for call in model.calls] == [[1, 2]]
    inference.leave("b")
    assert got(bench.ask(inference, "a", 3)) == [6.0]


def test_a_stream_that_brings_nothing_delays_a_batch_by_its_wait_only(bench: Bench) -> None:
    model = Model(max_batch=4)
    inference = bench.start(model, max_wait_s=0.01)
    for stream in ("a", "dead"):
        inference.join(stream)
    assert got(bench.ask(inference, "a", 1)) == [2.0]


def test_a_stream_that_is_in_a_call_is_not_waited_for(bench: Bench) -> None:
    model = Model(max_batch=2, parallel=2)
    model.gate.clear()
    inference = bench.start(model, max_wait_s=PATIENCE_S)
    inference.join("slow")
    slow = bench.ask(inference, "slow", 1)
    enter(model)
    inference.join("quick")
    quick = bench.ask(inference, "quick", 2)
    enter(model)
    model.gate.set()
    assert (got(slow), got(quick)) == ([2.0], [4.0])


def test_pictures_of_another_size_are_not_in_one_batch(bench: Bench) -> None:
    model = Model(max_batch=4)
    model.gate.clear()
    inference = bench.start(model)
    first = bench.ask(inference, "s", 0)
    enter(model)
    wide = bench.pool.submit(inference.run_many, [[np.ones((1, 3), np.float32)]], "wide")
    wait_for(inference, 1)
    narrow = bench.ask(inference, "narrow", 1)
    wait_for(inference, 2)
    model.gate.set()
    assert (got(first), got(wide), got(narrow)) == ([0.0], [2.0], [2.0])
    assert [len(call) for call in model.calls] == [1, 1, 1]


def test_a_call_that_hangs_loses_its_picture_only_and_a_new_network_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = Model(), Model()
    old.gate.clear()
    clock = Clock()
    inference = bench.start(old, new, timeout_s=5.0, clock=clock)
    hung = bench.ask(inference, "a", 1)
    enter(old)
    behind = bench.ask(inference, "b", 2)
    clock.pass_by(6.0, inference)
    assert got(hung) == [HUNG]
    assert got(behind) == [4.0]
    assert new.calls == [[2.0]]
    assert "'net.onnx': gave no answer for 5 s; given up, and opened anew" in caplog.text
    assert not old.closed.is_set()
    old.gate.set()
    assert old.closed.wait(PATIENCE_S)
    assert got(bench.ask(inference, "a", 3)) == [6.0]
    assert old.calls == [[1.0]]


def test_a_call_beside_one_that_hangs_is_finished(bench: Bench) -> None:
    old, new = Model(parallel=2), Model(parallel=2)
    stuck, slow = threading.Event(), threading.Event()
    clock = Clock()

    def trick(inputs: Inputs) -> Outputs:
        assert (stuck if inputs[0][0, 0] == 1 else slow).wait(PATIENCE_S)
        return [inputs[0] * 2]

    old.trick = trick
    inference = bench.start(old, new, timeout_s=5.0, clock=clock)
    hung = bench.ask(inference, "a", 1)
    enter(old)
    clock.pass_by(4.0, inference)
    beside = bench.ask(inference, "b", 2)
    enter(old)
    clock.pass_by(2.0, inference)
    assert got(hung) == [HUNG]
    slow.set()
    assert got(beside) == [4.0]
    assert not old.closed.is_set()
    stuck.set()
    assert old.closed.wait(PATIENCE_S)


def test_the_frames_of_a_batch_that_hangs_are_lost_together(bench: Bench) -> None:
    old, new = Model(max_batch=4), Model(max_batch=4)
    old.gate.clear()
    clock = Clock()
    inference = bench.start(old, new, timeout_s=5.0, max_wait_s=PATIENCE_S, clock=clock)
    for stream in ("a", "b"):
        inference.join(stream)
    both = [bench.ask(inference, stream, 1) for stream in ("a", "b")]
    enter(old)
    clock.pass_by(6.0, inference)
    assert [got(future) for future in both] == [[HUNG], [HUNG]]
    inference.leave("b")
    assert got(bench.ask(inference, "a", 3)) == [6.0]


def test_a_network_that_always_hangs_is_an_error_and_bounded(bench: Bench) -> None:
    models = [Model() for _ in range(10)]
    for model in models:
        model.gate.clear()
    inference = bench.start(*models, timeout_s=0.05)
    for _ in range(MOST_HUNG):
        assert got(bench.ask(inference, "a", 1)) == [HUNG]
    assert got(bench.ask(inference, "a", 1)) == [HUNG]
    with pytest.raises(HungError, match="hung 4 times on cpu and did not come back; set another 'runtime'"):
        inference.run_many([picture(1)], "a")
    assert sum(bool(model.calls) for model in models) == MOST_HUNG + 1


def test_hangs_that_come_back_do_not_add_up(bench: Bench) -> None:
    models = [Model() for _ in range(2 * MOST_HUNG)]
    clock = Clock()
    inference = bench.start(*models, timeout_s=5.0, clock=clock)
    for model in models[:-1]:
        model.gate.clear()
        hung = bench.ask(inference, "a", 1)
        enter(model)
        clock.pass_by(6.0, inference)
        assert got(hung) == [HUNG]
        model.gate.set()
        assert model.closed.wait(PATIENCE_S)
    assert got(bench.ask(inference, "a", 1)) == [2.0]


def test_a_network_that_cannot_be_opened_again_is_an_error_for_all(bench: Bench) -> None:
    model = Model()
    model.gate.clear()
    inference = bench.start(model, timeout_s=0.1)
    hung = bench.ask(inference, "a", 1)
    enter(model)
    behind = bench.ask(inference, "b", 2)
    assert got(hung) == [HUNG]
    with pytest.raises(ModelError, match="no more models"):
        got(behind)
    with pytest.raises(ModelError, match="no more models"):
        inference.run_many([picture(1)], "c")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_picture_with_unusable_output_is_lost_alone(
    bench: Bench, bad: float, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(max_batch=4)
    inference = bench.start(model)

    def spoil(inputs: Inputs) -> Outputs:
        output = inputs[0] * 2
        output[inputs[0][:, 0] == 7, 1] = bad
        return [output]

    model.trick = spoil
    assert got(bench.ask(inference, "a", 1, 7, 2)) == [2.0, BAD_OUTPUT, 4.0]
    assert "its output 0 is not a number or infinite" in caplog.text


def test_large_numbers_are_no_bad_output_although_their_sum_is(bench: Bench) -> None:
    model = Model()
    model.trick = lambda inputs: [np.full((1, 4), 3e38, np.float32), np.full((1, 4), 6e4, np.float16)]
    assert got(bench.ask(bench.start(model), "a", 1)) == [pytest.approx(3e38)]


def test_whole_numbers_are_never_bad(bench: Bench) -> None:
    model = Model()
    model.trick = lambda inputs: [np.array([[3]])]
    assert got(bench.ask(bench.start(model), "a", 1)) == [3.0]


def test_a_network_that_gives_only_bad_outputs_is_an_error(bench: Bench) -> None:
    model = Model()
    model.trick = lambda inputs: [np.full((1, 2), np.nan, np.float32)]
    inference = bench.start(model)
    for _ in range(MOST_BAD - 1):
        assert got(bench.ask(inference, "a", 1)) == [BAD_OUTPUT]
    with pytest.raises(
        ModelError, match=rf"for {MOST_BAD} pictures on onnxruntime, cpu, f32; set 'precision: full'"
    ):
        got(bench.ask(inference, "a", 1))
    model.trick = None
    assert got(bench.ask(inference, "a", 1)) == [2.0]


def test_a_batch_without_room_is_halved_aloud_and_stays_so(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model(max_batch=8)
    model.gate.clear()

    def little_room(inputs: Inputs) -> Outputs:
        if len(inputs[0]) > 2:
            raise OutOfMemoryError("no room")
        return [inputs[0] * 2]

    model.trick = little_room
    inference = bench.start(model)
    first = bench.ask(inference, "s", 0)
    enter(model)
    rest = bench.ask(inference, "s", *range(1, 9))
    wait_for(inference, 8)
    model.gate.set()
    assert (got(first), got(rest)) == ([0.0], [2.0 * n for n in range(1, 9)])
    assert [len(call) for call in model.calls] == [1, 8, 4, 2, 2, 2, 2]
    with caplog.at_level(logging.WARNING):
        assert "no room for 8 pictures at once, from now on at most 4" in caplog.text
        assert "no room for 4 pictures at once, from now on at most 2" in caplog.text
    model.calls.clear()
    assert got(bench.ask(inference, "s", *range(4))) == [0.0, 2.0, 4.0, 6.0]
    assert all(len(call) <= 2 for call in model.calls)


def test_no_room_for_one_picture_is_an_error(bench: Bench) -> None:
    model = Model(max_batch=4)

    def no_room(inputs: Inputs) -> Outputs:
        raise OutOfMemoryError("'net.onnx' finds no room on cuda on cuda:0")

    model.trick = no_room
    with pytest.raises(ModelError, match="finds no room on cuda"):
        got(bench.ask(bench.start(model), "a", 1, 2))


@pytest.mark.parametrize("kind", [ModelError, AssertionError])
def test_one_picture_that_fails_does_not_take_the_batch_with_it(bench: Bench, kind: type[Exception]) -> None:
    model = Model(max_batch=4)
    model.gate.clear()

    def picky(inputs: Inputs) -> Outputs:
        if (inputs[0] == 2).any():
            raise kind("I do not like 2")
        return [inputs[0] * 2]

    model.trick = picky
    inference = bench.start(model)
    first = bench.ask(inference, "s", 0)
    enter(model)
    futures = [bench.ask(inference, f"s{n}", n) for n in (1, 2, 3)]
    wait_for(inference, 3)
    model.gate.set()
    assert got(first) == [0.0]
    assert (got(futures[0]), got(futures[2])) == ([2.0], [6.0])
    with pytest.raises(ModelError, match="I do not like 2"):
        got(futures[1])


def test_an_unexpected_exception_is_an_answer_too(bench: Bench) -> None:
    model = Model()

    def fall(inputs: Inputs) -> Outputs:
        raise ZeroDivisionError("by zero")

    model.trick = fall
    inference = bench.start(model)
    with pytest.raises(ModelError, match="the network failed: ZeroDivisionError: by zero"):
        got(bench.ask(inference, "a", 1))
    model.trick = None
    assert got(bench.ask(inference, "a", 1)) == [2.0]


def test_outputs_that_belong_to_no_single_picture_end_batches(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """As those of a suppression inside the network, which numbers the boxes of the whole batch."""
    model = Model(max_batch=4)
    model.gate.clear()
    model.trick = lambda inputs: [np.repeat(inputs[0][:1], 7, axis=0)]
    inference = bench.start(model)
    first = bench.ask(inference, "s", 0)
    enter(model)
    rest = bench.ask(inference, "s", 1, 2)
    wait_for(inference, 2)
    model.gate.set()
    got(first)
    again = bench.ask(inference, "s", 3, 4)
    results: Sequence[Any] = [*rest.result(PATIENCE_S), *again.result(PATIENCE_S)]
    assert [(one[0].shape, one[0][0, 0]) for one in results] == [((7, 2), n) for n in (1.0, 2.0, 3.0, 4.0)]
    assert [len(call) for call in model.calls] == [1, 2, 1, 1, 1, 1]
    assert "outputs [7, 2] cannot be divided among 2 pictures; no more batches" in caplog.text


def test_closing_ends_the_threads_and_frees_the_network(bench: Bench) -> None:
    before = threading.active_count()
    model = Model(parallel=3)
    inference = bench.start(model)
    inference.close()
    inference.close()
    assert model.closed.is_set()
    assert threading.active_count() <= before  # others may end meanwhile
    with pytest.raises(ModelError, match=r"'net\.onnx' is closed"):
        inference.run_many([picture(1)], "a")


def test_who_waits_when_it_is_closed_gets_an_error(bench: Bench) -> None:
    model = Model()
    model.gate.clear()
    inference = bench.start(model)
    running = bench.ask(inference, "a", 1)
    enter(model)
    waiting = bench.ask(inference, "b", 2)
    wait_for(inference, 1)
    closing = bench.pool.submit(inference.close)
    with pytest.raises(ModelError, match="is closed"):
        got(waiting)
    model.gate.set()
    assert got(running) == [2.0]
    closing.result(PATIENCE_S)
    assert model.closed.is_set()

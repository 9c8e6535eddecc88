"""Damaged bytes: neither FFmpeg nor we crash or hang, and the next good connection counts."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.http import HttpServer, Request, body
from tests.streams.sources.fuzz_child import PICTURES, bases, mutated
from tests.streams.sources.network.rig import SOURCE, Running, record

ROOT = Path(__file__).parents[3]
SEED = int(os.environ.get("SIGHTLINE_FUZZ_SEED", "4"))
HANG_S = 30.0


class Child:
    """The process that reads, watched: a case that takes too long is told from one that kills it."""

    def __init__(self, first: int, last: int) -> None:
        command = [sys.executable, "-m", "tests.streams.sources.fuzz_child", str(SEED), str(first), str(last)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._buffer = b""

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield what it tells; raises TimeoutError when it tells nothing for too long."""
        assert self._process.stdout is not None
        while True:
            if not select.select([self._process.stdout], [], [], HANG_S)[0]:
                raise TimeoutError
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                return
            *whole, self._buffer = (self._buffer + part).split(b"\n")
            yield from (json.loads(line) for line in whole)

    def end(self) -> tuple[int, str]:
        """End it; return its exit code (negative: the signal) and the last of what it said on stderr."""
        if self._process.poll() is None:
            try:
                self._process.wait(HANG_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        said = self._process.communicate()[1].decode(errors="replace")
        return self._process.returncode, said[-2000:]


def run(cases: int) -> tuple[list[str], list[dict[str, Any]]]:
    """Run the cases 0 to `cases` - 1; return the failures, and what was told of all that ended."""
    failures: list[str] = []
    told: list[dict[str, Any]] = []
    case = -1
    while case < cases - 1:
        child = Child(case + 1, cases - 1)
        problem = "ended"
        try:
            for line in child.lines():
                case = line.get("begin", case)
                if "end" in line:
                    told.append(line)
                elif "good" in line and line["frames"] != PICTURES:
                    failures.append(f"after case {case} good {line['good']} gave {line['frames']} frames")
        except TimeoutError:
            problem = f"hung for {HANG_S:.0f} s"
        code, said = child.end()
        if code or problem != "ended":
            failures.append(f"seed {SEED} case {case} {problem} (exit {code}): {said}")
            if len(failures) > 5:
                break
        elif case < cases - 1:
            failures.append(f"seed {SEED}: ended after case {case} without a word")
            break
    return failures, told


def test_damaged_bytes_neither_crash_nor_hang() -> None:
    failures, told = run(200)
    assert not failures
    assert len(told) == 200


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_thousand_damaged_streams() -> None:
    start_s = time.monotonic()
    failures, told = run(10_000)
    record(
        "fuzz", cases=len(told), seconds=round(time.monotonic() - start_s), failures=failures,
        slowest_s=max(line["seconds"] for line in told), frames=sum(line["frames"] for line in told),
        reasons=dict(Counter(line["reason"] for line in told).most_common()),
    )  # fmt: skip
    assert not failures
    assert len(told) == 10_000


@pytest.mark.slow
def test_a_stream_counts_on_after_damage() -> None:
    known = bases()
    served = 0

    def video(request: Request) -> None:
        nonlocal served
        served += 1
        if served <= 10:
            _, _, data, content_type = mutated(SEED, served, known)
            body(data, content_type, length=False)(request)
        else:
            body(known["ts"].data, known["ts"].content_type, length=False, bytes_per_s=50_000)(request)

    with HttpServer({"/video": video}) as server:
        # Said to be live: a damaged header may claim a length, and a recording that has played is over.
        running = Running(server.url("/video"), options=SOURCE.model_copy(update={"live": True}))
        running.plays(30.0, frames=1)
        deadline_s = time.monotonic() + 30
        while served <= 10:
            assert time.monotonic() < deadline_s, running.status
            time.sleep(0.01)
        running.plays(10.0, frames=PICTURES)
        running.stop(5.0)
    assert running.stream.ledger.entry().in_flight == 0

"""The ledger: captured = finished + dropped + in flight."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger import Ledger

FATES = st.sampled_from(["finish", "capture:newer frame", "motion:error"])


@given(st.lists(FATES, max_size=50), st.integers(0, 10))
def test_the_books_balance_whatever_happens(fates: list[str], in_flight: int) -> None:
    ledger = Ledger()
    for _ in range(len(fates) + in_flight):
        ledger.capture()
    for fate in fates:
        stage, _, cause = fate.partition(":")
        ledger.drop(stage, cause) if cause else ledger.finish()
    entry = ledger.entry()
    dropped = sum(n for causes in entry.dropped.values() for n in causes.values())
    assert entry.in_flight == in_flight
    assert entry.captured == entry.finished + dropped + entry.in_flight
    assert entry.finished == fates.count("finish")


def test_drops_are_listed_by_stage_and_cause() -> None:
    ledger = Ledger()
    ledger.drop("output", "stream failed", 3)
    ledger.drop("capture", "newer frame")
    ledger.drop("capture", "newer frame")
    ledger.drop("capture", "nothing", 0)
    assert ledger.entry().dropped == {"capture": {"newer frame": 2}, "output": {"stream failed": 3}}


def test_threads_may_write_at_once() -> None:
    ledger = Ledger()

    def work() -> None:
        for _ in range(2000):
            ledger.capture()
            ledger.finish()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (ledger.entry().captured, ledger.entry().in_flight) == (8000, 0)

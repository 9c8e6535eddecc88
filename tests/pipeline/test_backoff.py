from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.backoff import Backoff, KeeperOptions
from pipeline.condition import Reason

REASONS = st.sampled_from(list(Reason))


@given(st.lists(st.tuples(REASONS, st.floats(0, 1)), max_size=60))
def test_every_pause_is_within_the_upper_half_of_its_bound(failures: list[tuple[Reason, float]]) -> None:
    options = KeeperOptions(retry_s=0.5, retry_most_s=30, refused_retry_s=60)
    draws = iter([draw for _, draw in failures])
    backoff = Backoff(options, lambda: next(draws))
    for number, (reason, _) in enumerate(failures):
        bound_s = min(0.5 * 2.0**number, 30.0)
        if reason.is_refusal:
            bound_s = max(bound_s, 60.0)
        assert bound_s / 2 <= backoff.after(reason) <= bound_s
        assert backoff.failures == number + 1


@pytest.mark.parametrize(
    ("reason", "has_played", "pause_s"),
    [
        (Reason.NOT_FOUND, False, 60),
        (Reason.NOT_FOUND, True, 0.5),
        (Reason.NOT_MEDIA, True, 0.5),
        (Reason.UNAUTHORIZED, True, 60),
        (Reason.FORBIDDEN, True, 60),
        (Reason.CONNECTION_REFUSED, False, 0.5),
    ],
)
def test_what_has_played_is_looked_for_soon_but_no_account_is_locked(
    reason: Reason, has_played: bool, pause_s: float
) -> None:
    assert Backoff(KeeperOptions(), lambda: 1.0).after(reason, has_played=has_played) == pause_s


def test_a_success_begins_anew() -> None:
    backoff = Backoff(KeeperOptions(retry_s=1), lambda: 1.0)
    assert [backoff.after(Reason.CLOSED) for _ in range(3)] == [1, 2, 4]
    backoff.succeeded()
    assert backoff.after(Reason.CLOSED) == 1


def test_a_million_failures_are_no_overflow() -> None:
    backoff = Backoff(KeeperOptions(), lambda: 1.0)
    backoff._failures = 1_000_000
    assert backoff.after(Reason.NO_DATA) == 30


def test_bounds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"retry_most_s \(1\) is less than retry_s \(2\)"):
        KeeperOptions(retry_s=2, retry_most_s=1)

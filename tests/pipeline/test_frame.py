"""Gaps with no frame between them are told as one, however many there are."""

from __future__ import annotations

import pytest

from pipeline.frame import Gap, joined


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        (None, None, None),
        (Gap("no data", 1.0, 0.5, "silent"), None, Gap("no data", 1.0, 0.5, "silent")),
        (None, Gap("no data", 1.0, 0.5, "silent"), Gap("no data", 1.0, 0.5, "silent")),
        (Gap("a", 1.0, 0.5, "x"), Gap("a", 2.0, 0.25, "x"), Gap("a", 1.0, 0.75, "x")),
        (Gap("a", 1.0, 0.5, "x"), Gap("b", 2.0, None, "y"), Gap("a, b", 1.0, None, "x; y")),
        (Gap("a, b", 1.0, 0.5), Gap("b", 2.0, 0.5, "y"), Gap("a, b", 1.0, 1.0, "y")),
    ],
)
def test_two_gaps_are_one(first: Gap | None, second: Gap | None, together: Gap | None) -> None:
    assert joined(first, second) == together


def test_thousands_of_gaps_are_one_of_bounded_length() -> None:
    gap: Gap | None = None
    for k in range(5000):
        cause = ("decode error", "timestamp jump")[k % 2]
        gap = joined(gap, Gap(cause, float(k), 0.25, f"damaged ({k} pictures)"))
    assert gap is not None
    assert (gap.cause, gap.after_s, gap.seconds) == ("decode error, timestamp jump", 0.0, 1250.0)
    assert gap.detail.startswith("damaged (0 pictures); damaged (1 pictures)")
    assert gap.detail.endswith("; and more")
    assert len(gap.detail) < 500

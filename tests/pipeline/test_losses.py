"""Lost frames leave the batch, are counted, and are a gap of the frame that follows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FrameLost
from pipeline.frame import Gap
from pipeline.ledger import Ledger
from pipeline.losses import Losses
from tests.pipeline.parts import RATE_HZ, frame

HUNG = FrameLost("model hung", "no answer for 30 s")


def test_the_next_frame_of_the_batch_has_the_gap() -> None:
    losses = Losses(Ledger())
    batch = [frame(n) for n in range(4)]
    losses.begin(batch)
    losses.lose("onnx", batch[1], HUNG)
    assert losses.left == [batch[0], batch[2], batch[3]]
    assert batch[2].gap == Gap("model hung", 0.0, pytest.approx(0.1), "no answer for 30 s")
    assert batch[0].gap is batch[3].gap is None


def test_the_next_batch_has_the_gap_of_the_last_ones_end_with_what_they_had() -> None:
    ledger = Ledger()
    losses = Losses(ledger)
    first = [frame(n) for n in (0, 1, 5)]
    first[2].gap = Gap("decode error", 0.1, 0.3, "bad packet")
    losses.begin(first)
    losses.lose("onnx", first[1], HUNG)
    losses.lose("track", first[2], FrameLost("lost twice"))
    second = [frame(6), frame(7)]
    losses.begin(second)
    assert second[0].gap is not None
    assert second[0].gap.cause == "model hung, decode error, lost twice"
    assert second[0].gap.after_s == 0.0
    assert second[0].gap.seconds == pytest.approx(0.5)
    assert second[1].gap is None
    assert ledger.entry().dropped == {"onnx": {"model hung": 1}, "track": {"lost twice": 1}}


def test_a_loss_of_a_later_stage_hands_on_what_the_frame_was_told_before() -> None:
    losses = Losses(Ledger())
    batch = [frame(n) for n in range(3)]
    losses.begin(batch)
    losses.lose("onnx", batch[0], HUNG)
    assert batch[1].gap is not None
    losses.lose("track", batch[1], FrameLost("other"))
    assert batch[2].gap == Gap("model hung, other", None, pytest.approx(0.2), "no answer for 30 s")


def test_at_the_end_the_length_is_unknown() -> None:
    losses = Losses(Ledger())
    batch = [frame(0), frame(1)]
    losses.begin(batch)
    assert losses.at_the_end() is None
    losses.lose("onnx", batch[1], HUNG)
    assert losses.at_the_end() == Gap("model hung", 0.0, None, "no answer for 30 s")


def test_a_clock_that_began_anew_says_nothing_of_the_length() -> None:
    losses = Losses(Ledger())
    losses.begin([frame(5)])
    losses.lose("onnx", losses.left[0], HUNG)
    again = frame(0)
    losses.begin([again])
    assert again.gap == Gap("model hung", None, None, "no answer for 30 s")


@given(
    batches=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    lost=st.sets(st.integers(0, 30)),
    missing=st.sets(st.integers(1, 30)),
)
def test_no_media_time_is_lost_or_told_twice(batches: list[int], lost: set[int], missing: set[int]) -> None:
    """However frames are batched, gaps and kept frames add up to the whole span."""
    losses = Losses(Ledger())
    kept = []
    sequence = 0
    for size in batches:
        batch = []
        for _ in range(size):
            made = frame(sequence)
            if sequence in missing:  # three pictures of the source are missing before this one
                made = frame(sequence + 3)
                made.gap = Gap("decode error", None, 3 / RATE_HZ)
                sequence += 3
            batch.append(made)
            sequence += 1
        losses.begin(batch)
        for place, made in enumerate(batch):
            if (kept or place) and made.sequence in lost:
                losses.lose("onnx", made, HUNG)
        kept += losses.left
    assert kept
    for before, after in pairwise(kept):
        told = 0.0 if after.gap is None else (after.gap.seconds or 0.0)
        assert told == pytest.approx(after.moment.pts_s - before.moment.pts_s - 1 / RATE_HZ, abs=1e-9)

"""What the default method makes of boxes that were carried on from a detector's look, and not seen anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.objects import Tracks
from stages.track.sightline.settings import Settings
from stages.track.sightline.tracker import Sightline
from tests.stages.track.sightline.scenes import box, checked, seen

STEP_S = 1 / 25
START = 300.0


def watch(every: int, frames: int, there: Callable[[int], bool], **settings: float) -> list[Tracks]:
    """Tracks of one who stands, id 1, and one who walks, id 2, where every k-th of the frames is looked at.

    Args:
        every: k.
        frames: how many.
        there: at which frames the walking one's box is.
        settings: of the tracker.
    """
    tracker = Sightline(Settings(**settings))  # type: ignore[arg-type]
    history = []
    for k in range(frames):
        boxes = [box(100), box(START + 2 * k)] if there(k) else [box(100)]
        history.append(checked(tracker.update(seen(boxes), k * STEP_S, carried_s=k % every * STEP_S)))
    assert all(1 in tracks.id for tracks in history[2:])
    return history


def with_the_walker(history: list[Tracks]) -> list[int]:
    return [k for k, tracks in enumerate(history) if 2 in tracks.id]


def test_who_is_lost_between_looks_is_reported_until_the_next_look() -> None:
    """No look has said that it is gone. It is where it was going."""
    history = watch(10, 40, lambda k: k <= 21)
    assert with_the_walker(history) == list(range(2, 30))
    for k in range(22, 30):
        row = history[k].id.tolist().index(2)
        assert history[k].predicted[row]
        assert history[k].missed_s[row] == pytest.approx((k - 21) * STEP_S)
        assert history[k].xyxy[row, [0, 2]].mean() == pytest.approx(START + 2 * k, abs=5)


def test_who_was_lost_and_is_seen_by_the_next_look_is_the_same() -> None:
    assert with_the_walker(watch(10, 40, lambda k: not 22 <= k < 30)) == list(range(2, 40))


def test_whom_the_latest_look_did_not_see_is_reported_for_no_longer_than_always() -> None:
    assert with_the_walker(watch(10, 40, lambda k: k < 20)) == list(range(2, 22))


def test_looks_may_be_so_far_apart_that_a_prediction_is_worth_nothing() -> None:
    """Half a second is 12 frames."""
    assert with_the_walker(watch(50, 100, lambda k: k <= 60)) == list(range(2, 73))


def test_who_wants_no_predictions_gets_none() -> None:
    assert with_the_walker(watch(10, 40, lambda k: k <= 21, report_predicted_s=0.0)) == list(range(2, 22))

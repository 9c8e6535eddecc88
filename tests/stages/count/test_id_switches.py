"""Ids that change exactly on the line: real paths, cut where they meet it."""

import numpy as np
import pytest

from pipeline.objects import Tracks
from pipeline.plugin import StageContext, StreamInfo
from stages.count.stage import CountStage
from tests.stages.count.mot import NAMES, Truth, truth_of
from tests.stages.count.seen import frame_at

GAP_S = 0.2


def counts(truth: Truth, handover_s: float, cut_at: dict[int, float]) -> list[tuple[int, str]]:
    """All counts of two upright lines; who is cut is unseen for a while and then has a new id."""
    lines = {
        f"at {share}": {"start": [share, 0], "end": [share, 1], "anchor": "center"} for share in (0.35, 0.65)
    }
    stage = CountStage(
        CountStage.Options.model_validate({"lines": lines, "handover_s": handover_s}), StageContext("cam")
    )
    stage.open(StreamInfo("cam", "file:cam", "run", truth.width, truth.height))
    events = []
    for number in np.unique(truth.frame).tolist():
        rows = np.flatnonzero(truth.frame == number)
        time_s, people = number / truth.rate_hz, truth.id[rows]
        begin = np.array([cut_at.get(person, np.inf) for person in people.tolist()])
        there = (time_s < begin) | (time_s >= begin + GAP_S)
        ids = (people + np.where(time_s >= begin, 10_000, 0))[there]
        n, boxes = len(ids), truth.xyxy[rows[there]]
        tracks = Tracks(ids, boxes, np.ones(n), np.full(n, "person"), np.arange(n), np.zeros(n))
        frame = frame_at(time_s, tracks=tracks)
        frame.sequence = number
        stage.process(frame)
        events += frame.events
    events += stage.finish()
    return sorted((event.track_id % 10_000, event.data["line"] + event.data["direction"]) for event in events)


@pytest.mark.slow
def test_real_people_whose_ids_change_on_the_line():
    """Measured: of 91 counts of paths that are cut on a line 81 stay, 33 without hand-over; none is new."""
    whole_n = kept_n = kept_without_n = 0
    for name in NAMES:
        truth = truth_of(name)
        whole = counts(truth, 0.0, {})
        cut_at = crossing_times(truth, {person for person, _ in whole})
        kept, without = counts(truth, 1.0, cut_at), counts(truth, 0.0, cut_at)
        assert not set(kept) - set(whole), f"{name}: somebody is counted who was not there"
        assert len(kept) == len(set(kept)), f"{name}: somebody is counted twice"
        whole_n, kept_n, kept_without_n = (
            whole_n + len(whole),
            kept_n + len(kept),
            kept_without_n + len(without),
        )
    assert kept_n > 0.7 * whole_n
    assert kept_without_n < 0.4 * whole_n


def crossing_times(truth: Truth, people: set[int]) -> dict[int, float]:
    """When each of these people first is nearest to one of the lines, less half of the gap."""
    times = {}
    for person in people:
        rows = np.flatnonzero(truth.id == person)
        x = (truth.tlwh[rows, 0] + truth.tlwh[rows, 2] / 2)[:, None] / truth.width
        sides = x > [0.35, 0.65]
        changes = np.flatnonzero((sides[1:] != sides[:-1]).any(axis=1))
        if len(changes):
            times[person] = float(truth.frame[rows[changes[0] + 1]] / truth.rate_hz - GAP_S / 2)
    return times

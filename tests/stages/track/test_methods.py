"""Every tracking method by its name."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from pipeline.objects import Detections, Tracks
from stages.track.methods import METHODS, Tracker, make_tracker
from stages.track.sightline.tracker import Sightline
from tests.stages.track.sightline.scenes import DT, box, faces, glimpse, links, seen

all_methods = pytest.mark.parametrize("method", METHODS)


def two_who_cross(frames: int, looks: bool) -> list[Detections]:
    rng, face = np.random.default_rng(0), faces(2)
    return [
        seen([box(100 + 5 * k), box(400 - 5 * k, 230)], glimpse(face, rng) if looks else None)
        for k in range(frames)
    ]


def play(tracker: Tracker, frames: list[Detections]) -> list[Tracks]:
    return [tracker.update(table, k * DT) for k, table in enumerate(frames)]


@all_methods
@pytest.mark.parametrize("looks", [False, True], ids=["boxes only", "with looks"])
def test_each_follows_two_objects_for_sixty_frames(method: str, looks: bool) -> None:
    history = play(make_tracker(method), two_who_cross(60, looks))
    for tracks in history[3:]:
        assert links(tracks) == {0: 1, 1: 2}
        assert tracks.label.tolist() == ["person"] * 2


def test_there_are_these() -> None:
    assert list(METHODS) == ["sightline", "deepsort", "sort", "bytetrack", "ocsort", "botsort"]
    assert isinstance(make_tracker(), Sightline)


@all_methods
def test_each_takes_detections_time_and_camera(method: str) -> None:
    wanted = inspect.signature(Tracker.update).parameters
    given = inspect.signature(type(make_tracker(method)).update).parameters
    assert list(wanted) == list(given)[: len(wanted)]
    assert given["camera"].kind is inspect.Parameter.KEYWORD_ONLY
    assert all(given[name].default is not inspect.Parameter.empty for name in set(given) - set(wanted))


@all_methods
def test_each_takes_frames_without_detections(method: str) -> None:
    tracker = make_tracker(method)
    assert len(tracker.update(Detections.empty(), 0.0)) == 0
    assert len(tracker.update(Detections.empty(), 1.0, camera=np.eye(2, 3))) == 0


@pytest.mark.parametrize("method", ["deep sort", "", "Sightline"])
def test_an_unknown_method_names_the_known(method: str) -> None:
    with pytest.raises(ValueError, match=f"unknown tracking method '{method}'; known: sightline, deepsort,"):
        make_tracker(method)


@all_methods
def test_a_setting_reaches_the_tracker(method: str) -> None:
    tracker = make_tracker(method, n_init=6)
    play(tracker, [Detections.empty()] * 10)  # tracks of the very first frames need no probation in SORT
    late = [tracker.update(seen([box(100)]), (10 + k) * DT) for k in range(8)]
    assert [len(tracks) for tracks in late[:5]] == [0] * 5
    assert len(late[-1]) == 1


@all_methods
def test_a_setting_that_the_method_does_not_have_is_refused(method: str) -> None:
    with pytest.raises(TypeError, match="no_such_setting"):
        make_tracker(method, no_such_setting=1)


@all_methods
def test_two_of_a_method_share_nothing(method: str) -> None:
    frames = two_who_cross(30, looks=True)
    alone = play(make_tracker(method), frames)
    one, other = make_tracker(method), make_tracker(method)
    for k, table in enumerate(frames):
        other.update(seen([box(700 + k), box(900), box(50)], faces(3, seed=1)), k * DT)
        tracks = one.update(table, k * DT)
        np.testing.assert_array_equal(tracks.id, alone[k].id)
        np.testing.assert_array_equal(tracks.xyxy, alone[k].xyxy)

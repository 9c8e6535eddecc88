"""Tables of detections and tracks: validated at the door, selected by masks, convertible."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from pipeline.objects import Detections, Tracks

BOXES = np.array([[0, 0, 10, 10], [5, 5, 20, 30], [1, 2, 3, 4]], np.float32)


def detections(**changes: Any) -> Detections:
    columns: dict[str, Any] = {"xyxy": BOXES, "score": [0.9, 0.5, 0.1], "label": ["car", "person", "car"]}
    return Detections(**{**columns, **changes})


def tracks(**changes: Any) -> Tracks:
    columns: dict[str, Any] = {
        "id": [4, 7, 9],
        "xyxy": BOXES,
        "score": [0.9, 0.5, 0.1],
        "label": ["car", "person", "car"],
        "detection": [1, -1, 0],
        "missed_s": [0.0, 0.2, 0.0],
    }
    return Tracks(**{**columns, **changes})


@pytest.mark.parametrize(
    ("make", "changes", "says"),
    [
        (detections, {"xyxy": BOXES[:, :3]}, "(N, 4), got (3, 3)"),
        (detections, {"xyxy": BOXES[0]}, "(N, 4), got (4,)"),
        (detections, {"score": [0.5]}, "score must have shape (3,)"),
        (detections, {"score": [0.5, 1.5, 0.1]}, "within 0..1"),
        (detections, {"score": [0.5, np.nan, 0.1]}, "within 0..1"),
        (detections, {"label": ["car"]}, "label must have shape (3,)"),
        (detections, {"embedding": np.zeros((2, 8))}, "embedding must have shape (3, D), got (2, 8)"),
        (
            detections,
            {"keypoints": np.zeros((3, 17, 2))},
            "keypoints must have shape (3, K, 3), got",
        ),
        (detections, {"keypoints": np.full((3, 1, 3), 1.5)}, "scores of keypoints must be within 0..1"),
        (detections, {"keypoints": np.full((3, 1, 3), np.nan)}, "keypoints must be finite, got nan"),
        (detections, {"corners": np.zeros((3, 4))}, "corners must have shape (3, 4, 2), got (3, 4)"),
        (detections, {"corners": np.full((3, 4, 2), np.inf)}, "corners must be finite, got inf"),
        (
            detections,
            {"outline": [np.zeros((5, 2))]},
            "outline must have shape (3,) like",
        ),
        (detections, {"outline": [np.zeros((5, 3))] * 3}, "each outline must have shape (P, 2), got (5, 3)"),
        (detections, {"outline": [np.full((5, 2), np.nan)] * 3}, "each outline must be finite"),
        (detections, {"xyxy": [[0, 0, np.inf, 1]] * 3}, "finite"),
        (detections, {"xyxy": [[9, 0, 1, 1]] * 3}, "(left, top, right, bottom)"),
        (tracks, {"id": [1, 1, 2]}, "unique within a frame, got [1, 1, 2]"),
        (tracks, {"detection": [0, 1]}, "detection must have shape (3,)"),
        (tracks, {"missed_s": [0.0]}, "missed_s must have shape (3,)"),
    ],
)
def test_wrong_columns_are_refused_with_wanted_and_actual(
    make: Any, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        make(**changes)


def test_a_mask_is_the_filter_language() -> None:
    table = detections(embedding=np.eye(3, 5))
    cars = table[table.label == "car"]
    assert cars.score.tolist() == pytest.approx([0.9, 0.1])
    assert cars.embedding is not None
    assert cars.embedding.shape == (2, 5)
    assert len(table[[1]]) == 1
    assert len(table[:2]) == 2
    assert len(table[np.zeros(3, bool)]) == 0


def test_what_is_seen_of_an_object_goes_with_its_row() -> None:
    table = detections(
        keypoints=np.arange(3)[:, None, None] * np.array([[[10, 20, 0.5]]]),
        corners=np.arange(24).reshape(3, 4, 2),
        outline=[np.full((4, 2), 1), np.empty((0, 2)), np.full((4, 2), 3)],
    )
    for rows in ([2], slice(2, 3), table.score == np.float32(0.1)):
        last = table[rows]
        assert last.keypoints is not None
        assert last.corners is not None
        assert last.outline is not None
        assert last.keypoints.tolist() == [[[20.0, 40.0, 1.0]]]
        assert last.corners[0, 0].tolist() == [16.0, 17.0]
        assert [polygon.tolist() for polygon in last.outline] == [[[3.0, 3.0]] * 4]
    described = table.with_embedding(np.ones((3, 2), np.float32))
    assert described.embedding is not None
    assert described.corners is table.corners
    assert len(Detections.empty()[np.zeros(0, bool)]) == 0


def test_outlines_of_one_length_stay_one_array_each() -> None:
    """numpy would make one array of all of them."""
    outline = detections(outline=np.zeros((3, 5, 2))).outline
    assert outline is not None
    assert outline.shape == (3,)
    assert outline[0].dtype == np.float32


def test_empty_tables_are_tables() -> None:
    assert len(Detections.empty()) == len(Tracks.empty()) == 0
    assert Detections.empty().xyxy.shape == (0, 4)


def test_a_track_says_whether_it_was_seen() -> None:
    assert tracks().predicted.tolist() == [False, True, False]


def test_the_way_to_supervision_and_back_keeps_everything() -> None:
    pytest.importorskip("supervision")
    table = detections()
    back = Detections.from_supervision(table.to_supervision())
    np.testing.assert_array_equal(back.xyxy, table.xyxy)
    np.testing.assert_allclose(back.score, table.score)
    assert back.label.tolist() == table.label.tolist()
    assert tracks().to_supervision().tracker_id.tolist() == [4, 7, 9]


def test_supervision_without_names_or_confidence() -> None:
    supervision = pytest.importorskip("supervision")
    bare = supervision.Detections(xyxy=BOXES, class_id=np.array([2, 0, 2]))
    table = Detections.from_supervision(bare, names={2: "car"})
    assert table.label.tolist() == ["car", "0", "car"]
    assert table.score.tolist() == [1.0, 1.0, 1.0]


def test_columns_known_to_be_right_are_taken_as_they_are() -> None:
    """For hot loops: no check, no copy, and the same table otherwise."""
    checked = Detections(np.array([[1, 2, 3, 4]]), np.array([0.5]), np.array(["car"]))
    xyxy = checked.xyxy
    taken = Detections.unchecked(xyxy=xyxy, score=checked.score, label=checked.label, embedding=None)
    assert taken.xyxy is xyxy
    assert len(taken) == 1
    assert taken[[0]].label.tolist() == ["car"]
    assert taken.embedding is None
    with pytest.raises(FrozenInstanceError):
        taken.score = checked.score  # type: ignore[misc]


def test_attributes_go_with_their_row_and_from_detections_to_tracks() -> None:
    seen = detections(attributes=[{"colour": "red"}, {}, {"colour": "blue", "kind": "van"}])
    assert seen[[2]].attributes.tolist() == [{"colour": "blue", "kind": "van"}]
    tracks = Tracks(
        np.array([5, 6]),
        np.zeros((2, 4)),
        np.ones(2),
        np.array(["car", "car"]),
        np.array([2, -1]),
        np.zeros(2),
    )
    assert tracks.with_attributes(detections()) is tracks
    handed_on = tracks.with_attributes(seen)
    assert handed_on.attributes.tolist() == [{"colour": "blue", "kind": "van"}, {}]
    assert handed_on[handed_on.predicted].attributes.tolist() == [{}]


@pytest.mark.parametrize("told", [[{}], [{}, {}, {"colour": 3}], [{}, {}, "red"]])
def test_attributes_that_are_none_are_refused(told) -> None:
    with pytest.raises(ValueError, match="attributes must"):
        detections(attributes=told)

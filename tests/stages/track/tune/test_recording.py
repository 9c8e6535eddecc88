from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import StageError
from pipeline.objects import Detections, Tracks
from stages.track.methods import make_tracker
from stages.track.tune.recording import Recording
from tests.stages.track.tune.scenes import LOOKS, crowd, recording, table, walk


def test_rows_lie_frame_by_frame() -> None:
    made = recording([walk(100, 0.0, 0.2), walk(300, 0.1, 0.2)])
    assert (made.frames, len(made), made.seconds) == (3, 5, pytest.approx(0.2))
    assert made.start.tolist() == [0, 1, 3, 5]
    assert made.frame_of.tolist() == [0, 1, 1, 2, 2]
    assert made.time_of.tolist() == pytest.approx([0.0, 0.1, 0.1, 0.2, 0.2])
    assert made.table(made.rows_of(1)).xyxy[:, 1].tolist() == [100, 300]


def test_a_recording_without_a_detection() -> None:
    made = Recording.of([0.0, 0.1], [Detections.empty()] * 2, 640, 360)
    assert (len(made), made.frames) == (0, 2)
    assert made.track(make_tracker("deepsort")).tolist() == []


def test_embeddings_are_kept_and_must_keep_their_length() -> None:
    box = [(0.0, 0.0, 9.0, 9.0)]
    one = table(box, [0.5], [[1.0] * LOOKS])
    made = Recording.of([0.0, 0.1, 0.2], [one, Detections.empty(), one], 640, 360)
    assert made.embedding is not None
    assert made.embedding.shape == (2, LOOKS)
    assert made.nbytes > made.embedding.nbytes
    other = Detections(one.xyxy, one.score, one.label, np.ones((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"\[3, 16\]"):
        Recording.of([0.0, 0.1], [one, other], 640, 360)


@pytest.mark.parametrize("method", ["deepsort", "sightline"])
def test_each_detection_learns_its_id(method: str) -> None:
    made = crowd(3, 3, rate_hz=10)
    id_of = made.track(make_tracker(method)).reshape(-1, 3)
    assert (id_of[-1] > 0).all()
    assert len(set(id_of[-1].tolist())) == 3
    shown = np.ones(len(made), np.bool_)
    shown[1::3] = False  # the second walker is never seen
    assert (made.track(make_tracker(method), shown).reshape(-1, 3)[:, 1] == 0).all()
    assert (made.track(make_tracker(method), shown).reshape(-1, 3)[-1, [0, 2]] > 0).all()


def test_a_tracker_that_refuses_is_named_with_the_time() -> None:
    class Refusing:
        def update(self, detections: Detections, pts_s: float, *, camera: object = None) -> Tracks:
            raise ValueError("no more")

    with pytest.raises(StageError, match=r"refuses the picture at 0.00 s: no more"):
        recording([walk(100, 0.0, 0.2)]).track(Refusing())

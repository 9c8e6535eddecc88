from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.picture import BgrPicture, U8Array
from pipeline.plugin import StageContext
from pipeline.registry import load_plugin
from stages.draw import stage as draw_stage
from stages.draw.stage import MAX_TRAIL_POINTS, DrawStage

SHOW_NOTHING = {
    "boxes": False,
    "outlines": False,
    "poses": False,
    "ids": False,
    "labels": False,
    "trails_s": 0,
    "lines": False,
    "counts": False,
}
LINES = {"gate": ((50.0, 180.0), (590.0, 180.0))}
COUNTS = {"gate": {"down": {"car": 2, "truck": 1}, "up": {}}}


def stage(**options) -> DrawStage:
    return DrawStage(DrawStage.Options(**options), StageContext("cam"))


def tracks(*rows: tuple[int, float, float], label: str = "car", seen: bool = True) -> Tracks:
    """Boxes of 60 x 40 px whose top left corners lie at (x, y), from (id, x, y)."""
    n = len(rows)
    xyxy = np.array([[x, y, x + 60, y + 40] for _, x, y in rows], np.float32).reshape(-1, 4)
    detection = np.arange(n) if seen else np.full(n, -1)
    ids = np.array([track_id for track_id, _, _ in rows], np.int64)
    return Tracks(ids, xyxy, np.full(n, 0.5), np.full(n, label), detection, np.zeros(n))


def frame(pts_s: float = 0.0, found: Tracks | None = None, **fields) -> Frame:
    picture = BgrPicture(np.full((360, 640, 3), 90, np.uint8))
    return Frame("cam", "run", 0, Moment(pts_s, 0, Clock.FILE), picture, tracks=found, **fields)


def drawn(passing: Frame, drawing: DrawStage | None = None, **options) -> U8Array:
    (drawing or stage(**options)).process(passing)
    return passing.drawn()


def changed(passing: Frame, **options) -> np.ndarray:
    return (drawn(passing, **options) != 90).any(axis=2)


def test_it_is_registered():
    assert load_plugin("stage", "draw") is DrawStage


def test_nothing_is_painted_until_somebody_looks(monkeypatch):
    painted = []
    monkeypatch.setattr(draw_stage.FrameOverlay, "paint", lambda overlay, canvas: painted.append(canvas))
    drawing = stage()
    frames = [frame(i / 10, tracks((7, 100 + i, 100)), lines=LINES, counts=COUNTS) for i in range(5)]
    for passing in frames:
        drawing.process(passing)
    assert painted == []
    frames[3].drawn()
    frames[3].drawn()
    assert len(painted) == 1


def test_the_picture_itself_stays_as_it_is():
    passing = frame(found=tracks((7, 100, 100)), lines=LINES, counts=COUNTS)
    assert (drawn(passing) != 90).any()
    assert (passing.picture.bgr() == 90).all()


def test_the_canvas_changes_where_the_box_is_and_nowhere_else():
    image = changed(frame(found=tracks((7, 100, 100))))
    assert image[100, 130]
    assert image[140, 130]
    assert not image[105:135, 105:155].any()
    image[80:145, 95:165] = False
    assert not image.any()


def test_an_overlay_does_not_know_of_later_frames():
    drawing = stage()
    first = frame(0.0, tracks((7, 100, 100)))
    drawing.process(first)
    for i in range(1, 20):
        drawing.process(frame(i / 10, tracks((7, 100 + 10 * i, 100), (8, 300, 200))))
    assert np.array_equal(first.drawn(), drawn(frame(0.0, tracks((7, 100, 100)))))
    with pytest.raises(FrozenInstanceError):
        first.overlay.trails = {}


def test_it_is_deterministic():
    def run() -> list[bytes]:
        drawing = stage()
        frames = [frame(i / 10, tracks((7, 100 + 9 * i, 100)), lines=LINES, counts=COUNTS) for i in range(10)]
        return [drawn(passing, drawing).tobytes() for passing in frames]

    assert run() == run()


@pytest.mark.parametrize(
    "option",
    [{"boxes": True}, {"ids": True}, {"labels": True}, {"scores": True}, {"lines": True}, {"counts": True}],
)
def test_each_option_shows_something(option):
    assert not changed(frame(found=tracks((7, 100, 100)), lines=LINES, counts=COUNTS), **SHOW_NOTHING).any()
    shown = frame(found=tracks((7, 100, 100)), lines=LINES, counts=COUNTS)
    assert changed(shown, **(SHOW_NOTHING | option)).any()


def test_detections_are_shown_where_nothing_tracks():
    found = Detections(np.array([[100, 100, 160, 140]], np.float32), np.array([0.5]), np.array(["car"]))
    image = changed(frame(detections=found))
    assert image[100, 130]
    assert not changed(frame(detections=found), **(SHOW_NOTHING | {"ids": True})).any(), "they have no ids"


def shaped(**columns) -> Detections:
    """A detection with a box of 60 x 40 px at (100, 100), and what else is seen of it."""
    xyxy = np.array([[100, 100, 160, 140]], np.float32)
    return Detections(xyxy, np.array([0.5]), np.array(["car"]), **columns)


TRIANGLE = [np.array([[130, 102], [158, 138], [102, 138]], np.float32)]
DIAMOND = np.array([[[130, 100], [160, 120], [130, 140], [100, 120]]], np.float32)
POSE = np.zeros((1, 17, 3), np.float32)
POSE[0, 5], POSE[0, 6], POSE[0, 9] = (110, 120, 0.9), (150, 120, 0.9), (130, 138, 0.1)


@pytest.mark.parametrize("tracked", [True, False])
def test_outlines_are_tinted(tracked):
    found = tracks((7, 100, 100)) if tracked else None
    passing = frame(found=found, detections=shaped(outline=TRIANGLE))
    image = changed(passing, **(SHOW_NOTHING | {"outlines": True}))
    assert image[125, 130]
    assert not image[105, 105]
    image[101:140, 101:160] = False
    assert not image.any()
    assert not changed(frame(found=found, detections=shaped(outline=TRIANGLE)), **SHOW_NOTHING).any()


@pytest.mark.parametrize("tracked", [True, False])
def test_turned_boxes_are_drawn_turned(tracked):
    found = tracks((7, 100, 100)) if tracked else None
    image = changed(
        frame(found=found, detections=shaped(corners=DIAMOND)), **(SHOW_NOTHING | {"boxes": True})
    )
    assert image[110, 115]
    assert not image[102:106, 102:108].any()


@pytest.mark.parametrize("tracked", [True, False])
def test_poses_show_the_sure_points_and_the_limbs_between_them(tracked):
    found = tracks((7, 100, 100)) if tracked else None
    image = changed(frame(found=found, detections=shaped(keypoints=POSE)), **(SHOW_NOTHING | {"poses": True}))
    assert image[120, 110]
    assert image[120, 130], "from shoulder to shoulder"
    assert not image[130:, :].any()


def test_points_of_other_models_are_shown_without_limbs():
    points = POSE[:, :7].copy()
    image = changed(frame(detections=shaped(keypoints=points)), **(SHOW_NOTHING | {"poses": True}))
    assert image[120, 110]
    assert not image[120, 130]


def test_predicted_tracks_have_no_shape():
    found = tracks((7, 100, 100), seen=False)
    table = shaped(outline=TRIANGLE, keypoints=POSE, corners=DIAMOND)
    image = changed(
        frame(found=found, detections=table), **(SHOW_NOTHING | {"outlines": True, "poses": True})
    )
    assert not image.any()
    boxes = {"boxes": True, "outlines": False, "poses": False}
    dashed = changed(frame(found=found, detections=table), **(SHOW_NOTHING | boxes))
    assert np.array_equal(dashed, changed(frame(found=found), **(SHOW_NOTHING | boxes)))


def test_shapes_far_outside_and_without_points():
    far = shaped(
        outline=[np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6]], np.float32)],
        keypoints=np.full((1, 17, 3), [1e6, -1e6, 1.0], np.float32),
        corners=np.array([[[-1e6, 0], [1e6, 0], [1e6, 50], [-1e6, 50]]], np.float32),
    )
    assert changed(frame(detections=far)).any()
    for points in (0, 1, 2):
        nothing = shaped(outline=[np.full((points, 2), 120, np.float32)])
        assert not changed(frame(detections=nothing), **(SHOW_NOTHING | {"outlines": True})).any()


def test_tracks_without_their_detections_are_drawn_as_ever():
    """A stage between tracker and drawing may have changed the table."""
    plain = drawn(frame(found=tracks((7, 100, 100), (8, 300, 100))))
    assert np.array_equal(
        plain, drawn(frame(found=tracks((7, 100, 100), (8, 300, 100)), detections=shaped()))
    )


def test_tracks_hide_detections():
    found = Detections(np.array([[300, 200, 360, 240]], np.float32), np.array([0.5]), np.array(["car"]))
    image = changed(frame(found=tracks((7, 100, 100)), detections=found))
    assert image[100, 130]
    assert not image[180:250, 290:370].any()


def test_predicted_tracks_look_different():
    options = SHOW_NOTHING | {"boxes": True}
    seen = changed(frame(found=tracks((7, 100, 100))), **options)
    predicted = changed(frame(found=tracks((7, 100, 100), seen=False)), **options)
    assert 0 < predicted.sum() < 0.7 * seen.sum()


@pytest.mark.parametrize("at", [(-30, 100), (610, 100), (100, -20), (100, 340), (-5, -5)])
def test_boxes_partly_outside_the_picture(at):
    assert changed(frame(found=tracks((7, *at)))).any()


@pytest.mark.parametrize("at", [(-500, 100), (5000, 100), (100, -300), (100, 4000), (1e9, -1e9)])
def test_boxes_wholly_outside_the_picture_leave_no_tag(at):
    assert not changed(frame(found=tracks((7, *at)))).any()


def test_labels_in_any_script():
    for label in ("Fußgänger", "自動車", "🚗", ""):
        assert changed(frame(found=tracks((7, 100, 100), label=label))).any()


def trail_of(passing: Frame, track_id: int) -> list[tuple[float, float, float]]:
    return list(passing.overlay.trails.get(track_id, ()))


def test_trails_hold_the_bottom_centres_of_the_last_seconds():
    drawing = stage(trails_s=0.25)
    for i in range(6):
        passing = frame(i * 0.125, tracks((7, 100 + 10 * i, 100)))
        drawing.process(passing)
    assert trail_of(passing, 7) == [(0.375, 160, 140), (0.5, 170, 140), (0.625, 180, 140)]


def test_predicted_positions_leave_no_trail():
    drawing = stage()
    drawing.process(frame(0.0, tracks((7, 100, 100))))
    passing = frame(0.1, tracks((7, 110, 100), seen=False))
    drawing.process(passing)
    assert trail_of(passing, 7) == [(0.0, 130, 140)]


def test_trails_of_the_gone_end_and_are_dropped():
    drawing = stage(trails_s=1.0)
    drawing.process(frame(0.0, tracks((7, 100, 100))))
    for pts_s, kept in ((0.5, 1), (1.0, 1), (1.1, 0)):
        passing = frame(pts_s, tracks())
        drawing.process(passing)
        assert len(passing.overlay.trails) == kept


def test_trails_are_bounded():
    drawing = stage(trails_s=60)
    for i in range(MAX_TRAIL_POINTS + 100):
        passing = frame(i / 1000, tracks((7, i % 500, 100)))
        drawing.process(passing)
    assert len(trail_of(passing, 7)) == MAX_TRAIL_POINTS

    drawing = stage(trails_s=1)
    for i in range(3000):
        passing = frame(i / 10, tracks((i, 100, 100)))
        drawing.process(passing)
    assert len(passing.overlay.trails) <= 11


def test_the_panel_adds_up_the_classes():
    def panel(counts) -> bytes:
        return drawn(frame(counts=counts)).tobytes()

    assert panel(COUNTS) == panel({"gate": {"down": {"moving": 3}, "up": {}}})
    assert panel(COUNTS) != panel({"gate": {"down": {"moving": 4}, "up": {}}})


def test_the_lines_tags_are_painted_over_the_objects():
    options = {"trails_s": 0}
    objects = tracks(*[(x + 1000 * y, x, y) for x in range(0, 640, 70) for y in range(0, 360, 20)])
    empty = drawn(frame(lines=LINES, counts=COUNTS), **options).astype(int)
    crowded = drawn(frame(found=objects, lines=LINES, counts=COUNTS), **options).astype(int)
    letters = (empty > 200).all(axis=2)
    assert letters.sum() > 100
    assert np.abs(crowded - empty)[letters].max() <= 60


def test_tags_stay_where_they_are_while_numbers_grow():
    lines = {"gate": ((100.0, 20.0), (100.0, 300.0))}  # beside the panel

    def beside_the_panel(number: int) -> bytes:
        counts = {"gate": {"in": {"car": number}, "out": {}}}
        return drawn(frame(lines=lines, counts=counts))[:, 97:].tobytes()  # where the panel with 9999 ends

    assert beside_the_panel(0) == beside_the_panel(9999)


@pytest.mark.parametrize("options", [{"trails_s": -1}, {"trails_s": 61}, {"colour": "red"}, {"boxes": "x"}])
def test_options_that_are_wrong(options):
    with pytest.raises(ValidationError):
        DrawStage.Options(**options)


def test_a_new_run_begins_without_the_trails_of_the_old():
    drawing = stage(trails_s=10)
    drawing.process(frame(1.0, tracks((7, 100, 100))))
    passing = frame(0.0, tracks((7, 300, 200)))
    passing.run = "second run"
    drawing.process(passing)
    assert trail_of(passing, 7) == [(0.0, 330.0, 240.0)]


def test_what_is_known_of_a_track_is_written_at_its_box():
    nothing = {**SHOW_NOTHING, "boxes": False}
    found = tracks((7, 100, 100), (8, 300, 100))
    shown = changed(frame(found=found, remarks={7: "52 km/h"}), **nothing)
    assert shown[80:100, 100:200].any()
    assert not shown[:, 290:400].any(), "nothing is known of the other"
    assert not changed(frame(found=found, remarks={7: "52 km/h"}), **nothing, remarks=False).any()
    assert not changed(frame(found=found), **nothing).any()

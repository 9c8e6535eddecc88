"""Frames of one stream: who is hidden in which, and that nothing leads back to what was there."""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.picture import BgrPicture
from pipeline.privacy import veil as module
from pipeline.privacy.boxes import head_of
from pipeline.privacy.options import PrivacyOptions
from pipeline.privacy.veil import Veil, Veils

WIDTH, HEIGHT, RATE_HZ = 160, 120, 10.0
PERSON = (40, 30, 60, 80)
PEOPLE = PrivacyOptions(labels=("person",), margin=0.0)


def detections(*found: tuple[str, Sequence[float]]) -> Detections:
    n = len(found)
    boxes = np.array([xyxy for _, xyxy in found], np.float32).reshape(n, 4)
    return Detections(boxes, np.ones(n, np.float32), np.array([label for label, _ in found], np.str_))


def track(label: str, xyxy: Sequence[float], *, detection: int, missed_s: float = 0.0) -> Tracks:
    return Tracks(
        np.array([7]),
        np.array([xyxy], np.float32),
        np.ones(1, np.float32),
        np.array([label]),
        np.array([detection]),
        np.array([missed_s], np.float32),
    )


def frame(number: int, found: Detections | None = None, **others: object) -> Frame:
    """A grey picture, never black, so that what is masked shows."""
    pts_s = number / RATE_HZ
    picture = BgrPicture(np.full((HEIGHT, WIDTH, 3), 100, np.uint8))
    moment = Moment(pts_s, round(pts_s * 1e9), Clock.FILE, 0)
    return Frame("gate", "run", number, moment, picture, detections=found, **others)  # type: ignore[arg-type]


def hidden(shown: Frame) -> tuple[int, int, int, int] | None:
    """The rectangle around all that is black."""
    rows, columns = np.nonzero(shown.picture.bgr()[..., 0] == 0)
    if not len(rows):
        return None
    return columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1


def show(options: PrivacyOptions, frames: Sequence[Frame]) -> list[tuple[int, int, int, int] | None]:
    veil = Veil(options, "gate")
    return [hidden(one.frame()) for each in frames for one in veil.look(each)] + [
        hidden(one.frame()) for one in veil.rest()
    ]


def test_boxes_of_the_labels_asked_for() -> None:
    found = detections(("person", PERSON), ("car", (100, 10, 150, 50)))
    assert show(PEOPLE, [frame(0, found)]) == [PERSON]
    assert show(PrivacyOptions(labels=("*",), margin=0.0), [frame(0, found)]) == [(40, 10, 150, 80)]
    assert show(PrivacyOptions(labels=("cat",)), [frame(0, found)]) == [None]


def test_a_margin_is_a_share_of_the_box() -> None:
    assert show(
        PrivacyOptions(labels=("person",), margin=0.2), [frame(0, detections(("person", PERSON)))]
    ) == [(36, 20, 64, 90)]


def test_heads_are_the_upper_part() -> None:
    options = PrivacyOptions(heads=("person",), margin=0.0)
    assert show(options, [frame(0, detections(("person", PERSON)))]) == [(40, 30, 60, 44)]


def test_a_face_that_is_not_on_top_is_hidden_too() -> None:
    points = np.zeros((17, 3), np.float32)
    points[:3] = [[58, 76, 0.9], [56, 74, 0.9], [59, 75, 0.9]]
    left, top, right, bottom = head_of(np.array(PERSON), points)
    assert (left, top) == (40, 30)
    assert right > 60
    assert bottom > 80


def test_a_track_of_another_class_than_its_detection_and_one_that_is_only_predicted() -> None:
    seen = frame(0, detections(("car", PERSON)), tracks=track("person", PERSON, detection=0))
    assert show(PEOPLE, [seen]) == [PERSON]
    predicted = frame(0, detections(), tracks=track("person", PERSON, detection=-1, missed_s=1.0))
    assert show(PEOPLE, [predicted]) == [(38, 24, 62, 86)]  # a tenth wider after a second


def test_who_is_missed_stays_hidden() -> None:
    found = detections(("person", PERSON))
    frames = [
        frame(0, found),
        frame(1, found),
        frame(2, detections()),
        frame(3, None),
        frame(30, detections()),
    ]
    shown = show(PEOPLE, frames)
    assert shown[:2] == [PERSON, PERSON]
    assert shown[2] == (38, 28, 62, 82)
    assert shown[3] == (38, 28, 62, 82)
    assert shown[4] is None


def test_a_carried_box_is_wider() -> None:
    assert show(PEOPLE, [frame(0, detections(("person", PERSON)), carried_s=1.0)]) == [(38, 24, 62, 86)]


def test_pictures_that_wait_are_hidden_before_somebody_is_found() -> None:
    found = detections(("person", PERSON))
    frames = [frame(n, found if n >= 6 else detections()) for n in range(10)]
    late = show(PEOPLE, frames)
    assert late[:6] == [None] * 6
    ahead = show(PrivacyOptions(labels=("person",), margin=0.0, ahead_s=0.3), frames)
    assert len(ahead) == 10
    assert ahead[:3] == [None] * 3
    assert ahead[3] == (38, 28, 62, 82)
    assert all(box is not None for box in ahead[3:])


def test_frames_wait_for_media_time_and_come_in_order() -> None:
    veil = Veil(PrivacyOptions(labels=("person",), ahead_s=0.25), "gate")
    came = [[one.frame().sequence for one in veil.look(frame(n))] for n in range(6)]
    assert came == [[], [], [], [0], [1], [2]]
    assert [one.frame().sequence for one in veil.rest()] == [3, 4, 5]
    assert veil.rest() == []


def test_media_time_that_begins_anew_lets_out_what_waited() -> None:
    veil = Veil(PrivacyOptions(labels=("person",), ahead_s=1.0), "gate")
    for n in (100, 101):
        veil.look(frame(n))
    assert [one.frame().sequence for one in veil.look(frame(0))] == [100, 101]


def test_another_recording_or_size_begins_anew() -> None:
    """Boxes of another clock, or in px of another picture, say nothing."""
    found = detections(("person", PERSON))
    back = [frame(100, found), frame(101, found), frame(0, detections()), frame(1, detections())]
    assert show(PEOPLE, back) == [PERSON, PERSON, None, None]
    smaller = frame(102, detections())
    smaller.picture = BgrPicture(np.full((HEIGHT // 2, WIDTH // 2, 3), 100, np.uint8))
    ahead = PEOPLE.model_copy(update={"ahead_s": 1.0})
    assert show(ahead, [frame(100, found), frame(101, found), smaller]) == [PERSON, PERSON, None]


def test_what_waits_is_bounded_and_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 3 * frame(0).picture.nbytes)
    veil = Veil(PrivacyOptions(labels=("person",), ahead_s=5.0), "gate")
    with caplog.at_level(logging.WARNING):
        came = [[one.frame().sequence for one in veil.look(frame(n))] for n in range(6)]
    assert came == [[], [], [], [0], [1], [2]]
    assert len(caplog.messages) == 1
    assert "stream 'gate'" in caplog.messages[0]
    assert "0.30 s only" in caplog.messages[0]


def test_areas_hide_all_while_the_camera_looks_elsewhere() -> None:
    area = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
    frames = [frame(0), frame(1, suspended="moved"), frame(2, suspended="covered")]
    corner, everything = (0, 0, 81, 61), (0, 0, WIDTH, HEIGHT)
    assert show(PrivacyOptions(areas=(area,)), frames) == [corner, everything, corner]
    assert show(PEOPLE, frames) == [None] * 3


def test_too_many_to_remember_hides_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.privacy.memory.MOST_OBJECTS", 1)
    found = detections(("person", PERSON), ("person", (100, 10, 120, 60)))
    assert show(PEOPLE, [frame(0, found)]) == [(0, 0, WIDTH, HEIGHT)]


class Square:
    """An overlay that paints a white pixel."""

    def paint(self, canvas: np.ndarray) -> None:
        canvas[0, 0] = 255


def reachable(start: object) -> set[int]:
    """The ids of all arrays that can be reached from an object."""
    found: set[int] = set()
    known: set[int] = set()
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if id(one) in known or isinstance(one, type) or type(one).__name__ in ("module", "function"):
            continue
        known.add(id(one))
        if isinstance(one, np.ndarray):
            found.add(one.__array_interface__["data"][0])
            if one.base is not None:
                waiting.append(one.base)
        waiting += gc.get_referents(one)
    return found


def test_nothing_leads_from_the_frame_to_what_is_hidden() -> None:
    found = detections(("person", PERSON)).with_embedding(np.ones((1, 8), np.float32))
    original = frame(0, found, overlay=Square())
    plain = original.drawn()
    (veiled,) = Veil(PEOPLE, "gate").look(original)
    shown = veiled.frame()
    raw = {array.__array_interface__["data"][0] for array in (original.picture.bgr(), plain)}
    assert raw <= reachable(original)
    assert not raw & reachable(shown)
    assert shown.detections is not None
    assert shown.detections.embedding is None
    drawn = shown.drawn()
    assert drawn[0, 0, 0] == 255
    assert hidden(shown) == PERSON
    assert (drawn[30:80, 40:60] == 0).all()
    assert original.picture.bgr()[50, 50, 0] == 100
    assert not raw & reachable(veiled)


def test_each_setting_hides_once() -> None:
    other = PrivacyOptions(labels=("person",), method="blur")
    veils = Veils([PEOPLE, other, PEOPLE, None, PrivacyOptions(labels=("person",), margin=0.0)], "gate")
    original = frame(0, detections(("person", PERSON)))
    veils.look(original)
    (first,), (same,), (third,), (raw,) = (
        veils.ready(one) for one in (PEOPLE, PEOPLE.model_copy(), other, None)
    )
    assert first.frame() is same.frame() is first.frame()
    assert third.frame() is not first.frame()
    assert raw.frame() is original
    veils.rest()
    assert veils.ready(PEOPLE) == veils.ready(None) == []


def test_without_anything_to_hide_the_frame_is_not_copied() -> None:
    original = frame(0, detections(("car", PERSON)))
    (veiled,) = Veil(PEOPLE, "gate").look(original)
    assert veiled.frame() is original

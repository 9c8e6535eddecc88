"""Events: ids that are UUIDv7 and repeatable, values that survive JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.event import Event, Producer, event_id
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment, iso_utc
from pipeline.picture import BgrPicture, U8Array

WHEN = Moment(12.5, 1_772_352_000_123_456_789, Clock.FILE, 0)
NAMES = st.text(max_size=8)


def frame(picture: U8Array | None = None) -> Frame:
    pixels = np.zeros((4, 6, 3), np.uint8) if picture is None else picture
    return Frame("gate", "run", 7, WHEN, BgrPicture(pixels))


@given(st.integers(0, 2**62), NAMES, NAMES, NAMES, NAMES)
def test_ids_are_uuid7_of_the_moment(time_ns: int, stream: str, run: str, kind: str, key: str) -> None:
    made = event_id(Moment(0.0, time_ns, Clock.FILE), stream, run, kind, key)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == time_ns // 1_000_000 % 2**48
    assert made == event_id(Moment(0.0, time_ns, Clock.FILE), stream, run, kind, key)


@pytest.mark.parametrize("index", range(4))
def test_ids_differ_in_each_part(index: int) -> None:
    parts = ["gate", "run", "line.crossing", "a:1"]
    other = [*parts[:index], parts[index] + "x", *parts[index + 1 :]]
    assert event_id(WHEN, *parts) != event_id(WHEN, *other)


def test_ids_do_not_join_neighbouring_parts() -> None:
    assert event_id(WHEN, "a", "bc", "k", "1") != event_id(WHEN, "ab", "c", "k", "1")


@given(
    st.one_of(st.none(), st.integers(0, 2**40)),
    st.one_of(st.none(), st.text()),
    st.one_of(st.none(), st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))),
    st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.none(), st.booleans())),
)
def test_events_survive_json(
    track_id: int | None, label: str | None, position: tuple[float, float] | None, data: dict[str, object]
) -> None:
    event = frame().event(
        "line.crossing",
        "gate:1:1",
        Producer("count", "gate", "c0ffee", "beef"),
        track_id=track_id,
        label=label,
        position=position,
        data=data,
        evidence={"trail": [[0.1, 2.0, 3.0]]},
    )
    values = event.to_dict()
    back = Event.from_dict(json.loads(json.dumps(values)))
    assert back.to_dict() == values
    assert back.id == event.id
    assert back.moment == event.moment


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_999_999_999, "1970-01-01T00:00:01.999Z"),
        (WHEN.time_ns, "2026-03-01T08:00:00.123Z"),
        (1_774_746_000_000_000_000, "2026-03-29T01:00:00.000Z"),
        (-1_000_000, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_shown_in_utc_whatever_the_zone(time_ns: int, text: str) -> None:
    assert iso_utc(time_ns) == text


@given(st.floats(-1e5, 1e5))
def test_both_clocks_move_together(seconds: float) -> None:
    moved = WHEN.shifted(seconds)
    assert moved.pts_s - WHEN.pts_s == pytest.approx(seconds, abs=1e-6)
    assert (moved.time_ns - WHEN.time_ns) / 1e9 == pytest.approx(seconds, abs=1e-6)


class Spy:
    def __init__(self) -> None:
        self.painted = 0

    def paint(self, canvas: U8Array) -> None:
        self.painted += 1
        canvas[0, 0] = 255


def test_drawing_is_lazy_done_once_and_on_a_copy() -> None:
    shown = frame()
    spy = Spy()
    shown.overlay = spy
    assert spy.painted == 0
    assert shown.drawn()[0, 0].tolist() == [255, 255, 255]
    assert shown.drawn() is shown.drawn()
    assert spy.painted == 1
    assert not shown.picture.bgr().any()
    with pytest.raises(ValueError, match="read-only"):
        shown.drawn()[0, 0] = 1


def test_without_an_overlay_the_drawn_picture_is_the_picture() -> None:
    plain = frame()
    assert plain.drawn() is plain.picture.bgr()

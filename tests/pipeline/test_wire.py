from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SightlineError
from pipeline.event import Event, Producer
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections, Tracks
from pipeline.wire import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    VERSION,
    BoxHeader,
    EventHeader,
    EventMessage,
    FrameHeader,
    FrameMessage,
    Message,
    PacketHeader,
    StatusHeader,
    WireError,
    decode,
    encode,
    printable,
)
from tests.pipeline.messages import make_event, make_frame, make_tracks

BUS = "0123456789abcdef"
JPEG = b"\xff\xd8\xff\xe0 picture"
COUNTS = {"main": {"in": {"car": 3, "Straßenbahn": 1}, "out": {}}}

text = st.text(max_size=20)
name = st.text("abcXYZ019_-", min_size=1, max_size=64)
finite = st.floats(-1e6, 1e6)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
moments = st.builds(
    Moment,
    pts_s=finite.map(lambda value: round(value, 6)),
    time_ns=st.integers(-(2**63), 2**63 - 1),
    clock=st.sampled_from(Clock),
    uncertainty_ns=st.none() | st.integers(0, 10**12),
)
events = st.builds(
    Event,
    id=st.uuids(),
    kind=st.text(min_size=1, max_size=30),
    stream=name,
    run=text,
    sequence=st.integers(0, 2**62),
    moment=moments,
    producer=st.builds(Producer, stage=text, name=text, config_hash=text, model_hash=st.none() | text),
    track_id=st.none() | st.integers(-(2**63), 2**63 - 1),
    label=st.none() | text,
    position=st.none() | st.tuples(finite, finite).map(lambda p: (round(p[0], 2), round(p[1], 2))),
    data=st.dictionaries(text, json_values, max_size=4),
    evidence=st.dictionaries(text, json_values, max_size=2),
)


def frame_message(**fields: Any) -> FrameMessage:
    frame = make_frame(5, counts=COUNTS, tracks=make_tracks(), **fields)
    return FrameMessage.of(frame, JPEG, quality=80, bus=BUS, n=41)


def event_message() -> EventMessage:
    return EventMessage(BUS, 17, make_event(3))


def altered(message: Message, **fields: Any) -> list[bytes]:
    """The message's parts with other header fields; `...` takes a field out."""
    topic, header, *payload = encode(message)
    changed = {**msgpack.unpackb(header), **fields}
    return [topic, msgpack.packb({k: v for k, v in changed.items() if v is not ...}), *payload]


@settings(max_examples=100, deadline=None)
@given(event=events, n=st.integers(0, 2**62))
def test_an_event_comes_back_as_it_was(event: Event, n: int) -> None:
    message = EventMessage(BUS, n, event)
    assert decode(encode(message)) == message


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(finite, finite, st.floats(0, 1e3), st.floats(0, 1), text), max_size=8),
    counts=st.none()
    | st.dictionaries(text, st.dictionaries(text, st.dictionaries(text, st.integers(0, 2**40)))),
    moment=moments,
)
def test_a_frame_comes_back_as_it_was_but_for_rounding(rows: list[Any], counts: Any, moment: Moment) -> None:
    labels = np.array([row[4].rstrip("\0") for row in rows], dtype=np.str_)  # numpy keeps no NUL at the end
    corners = np.array([(x, y, x + side, y + side) for x, y, side, _, _ in rows]).reshape(-1, 4)
    tracks = Tracks(
        np.arange(len(rows)),
        corners,
        [row[3] for row in rows],
        labels,
        np.full(len(rows), -1),
        np.zeros(len(rows)),
    )
    frame = make_frame(0, counts=counts, tracks=tracks)
    frame.moment = moment
    found = decode(encode(FrameMessage.of(frame, JPEG, quality=90, bus=BUS, n=0)))
    assert isinstance(found, FrameMessage)
    assert found.tracks is not None
    assert (found.counts, found.moment, found.jpeg) == (counts, moment, JPEG)
    np.testing.assert_allclose(found.tracks.xyxy, tracks.xyxy, atol=0.07)  # float32 near 1e6 px
    np.testing.assert_allclose(found.tracks.score, tracks.score, atol=0.0001)
    assert found.tracks.label.tolist() == labels.tolist()
    assert found.tracks.id.tolist() == list(range(len(rows)))


def make_detections(rows: int = 3) -> Detections:
    random = np.random.default_rng(rows)
    corner = random.uniform(0, 1e3, (rows, 2))
    return Detections(
        np.concatenate([corner, corner + 50], axis=1),
        random.uniform(0, 1, rows),
        np.array(["person", "Fußgänger", "car"] * rows)[:rows],
        keypoints=random.uniform(0, 1, (rows, 17, 3)) * [1e3, 1e3, 1],
        corners=random.uniform(-9, 1e3, (rows, 4, 2)),
        outline=[random.integers(0, 2000, (9 * row, 2)) for row in range(rows)],  # type: ignore[arg-type]
        attributes=[{"colour": "red"} if row else {} for row in range(rows)],  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_detections_travel_with_poses_turned_boxes_and_outlines(rows: int) -> None:
    sent = make_detections(rows)
    message = FrameMessage.of(
        make_frame(detections=sent, carried_s=0.25, suspended="moved"), JPEG, quality=80, bus=BUS, n=0
    )
    got = decode(encode(message))
    assert isinstance(got, FrameMessage)
    assert got.carried_s == 0.25
    assert got.suspended == "moved"
    found = got.detections
    assert found is not None
    assert found.label.tolist() == sent.label.tolist()
    for name in ("xyxy", "score", "keypoints", "corners"):
        np.testing.assert_allclose(
            getattr(found, name).reshape(-1), getattr(sent, name).reshape(-1), atol=0.006
        )
    assert found.outline is not None
    assert sent.outline is not None
    assert [one.tolist() for one in found.outline] == [one.tolist() for one in sent.outline]
    assert found.attributes is not None
    assert found.attributes.tolist() == [{}, {"colour": "red"}, {"colour": "red"}][:rows]


def test_attributes_travel_with_the_tracks() -> None:
    told = replace(make_tracks(2), attributes=[{"colour": "blue"}, {}])
    found = decode(encode(FrameMessage.of(make_frame(tracks=told), JPEG, quality=80, bus=BUS, n=0)))
    assert isinstance(found, FrameMessage)
    assert found.tracks is not None
    assert found.tracks.attributes is not None
    assert found.tracks.attributes.tolist() == [{"colour": "blue"}, {}]
    bare = decode(encode(FrameMessage.of(make_frame(tracks=make_tracks(2)), JPEG, quality=80, bus=BUS, n=0)))
    assert isinstance(bare, FrameMessage)
    assert bare.tracks is not None
    assert bare.tracks.attributes is None


def test_what_a_detector_does_not_give_is_nil() -> None:
    bare = Detections(np.array([[1, 2, 3, 4.0]]), np.array([0.5]), np.array(["car"]))
    message = FrameMessage.of(make_frame(detections=bare), JPEG, quality=80, bus=BUS, n=0)
    columns = msgpack.unpackb(encode(message)[1])["detections"]
    assert columns == {
        "xyxy": [[1.0, 2.0, 3.0, 4.0]], "score": [0.5], "label": ["car"],
        "keypoints": None, "corners": None, "outline": None, "attributes": None,
    }  # fmt: skip


def test_messages_of_earlier_senders_are_read() -> None:
    found = decode(altered(frame_message(), detections=..., carried_s=..., suspended=...))
    assert isinstance(found, FrameMessage)
    assert found.detections is None
    assert found.carried_s == 0
    assert found.suspended is None


@pytest.mark.slow
def test_a_crowd_of_outlines_does_not_burst_the_header() -> None:
    """As many as there can be: boxes travel, outlines are left out; a little fewer travel with them."""
    n = 3000
    boxes, outline = np.tile([1234.25, 1234.25, 1334.5, 1334.5], (n, 1)), [np.full((128, 2), 3000)] * n
    crowd = Detections(boxes, np.full(n, 0.123), np.full(n, "person"), outline=outline)  # type: ignore[arg-type]
    for rows, kept in ((n, False), (390, True)):
        message = FrameMessage.of(make_frame(detections=crowd[:rows]), JPEG, quality=80, bus=BUS, n=0)
        found = decode(encode(message))
        assert isinstance(found, FrameMessage)
        assert found.detections is not None
        assert len(found.detections) == rows
        assert (found.detections.outline is not None) is kept


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"score": [0.5, 0.5]}, "score must have shape"),
        ({"xyxy": [[1, 2, 3]]}, "detections.xyxy"),
        ({"keypoints": [[[1.0, 2.0]]]}, "detections.keypoints"),
        ({"keypoints": [[[1.0, 2.0, 7.0]]]}, "scores of keypoints"),
        ({"keypoints": [[[1.0, 2.0, 0.5]], []]}, "detections"),
        ({"corners": [[[1.0, 2.0]] * 3]}, "detections.corners"),
        ({"outline": [[[1.5, 2.5]]]}, "detections.outline"),
        ({"outline": []}, "outline must have shape"),
        ({"label": ["x" * 300]}, "detections.label"),
        ({"attributes": [{"colour": 3}]}, "detections.attributes"),
        ({"attributes": []}, "attributes must have shape"),
    ],
)
def test_detections_that_are_wrong_are_refused(columns: dict[str, Any], reason: str) -> None:
    bare = Detections(np.array([[1, 2, 3, 4.0]]), np.array([0.5]), np.array(["car"]))
    message = FrameMessage.of(make_frame(detections=bare), JPEG, quality=80, bus=BUS, n=0)
    sent = {**message.header()["detections"], **columns}
    with pytest.raises(WireError, match=reason):
        decode(altered(message, detections=sent))


def test_a_frame_without_tracker_and_counter_says_so() -> None:
    message = FrameMessage.of(make_frame(), JPEG, quality=80, bus=BUS, n=0)
    found = decode(encode(message))
    assert isinstance(found, FrameMessage)
    assert found.tracks is None
    assert found.counts is None
    empty = decode(encode(FrameMessage.of(make_frame(tracks=make_tracks(0)), JPEG, quality=80, bus=BUS, n=0)))
    assert isinstance(empty, FrameMessage)
    assert empty.tracks is not None
    assert len(empty.tracks) == 0


def test_the_header_of_an_event_is_the_event_and_four_fields() -> None:
    topic, header = encode(event_message())
    assert topic == b"event/gate"
    assert msgpack.unpackb(header) == {
        "v": 1, "type": "event", "bus": BUS, "n": 17, **make_event(3).to_dict(),
    }  # fmt: skip


def test_fields_and_labels_a_newer_sightline_adds_are_ignored() -> None:
    assert decode(altered(event_message(), mood="sunny", extra={"a": [1]})) == event_message()
    tracks = {**frame_message().header()["tracks"], "speed": [1.0, 2.0]}
    assert decode(altered(frame_message(), tracks=tracks)).header() == frame_message().header()


LATER = {"detections", "carried_s", "suspended"}
"""What the first senders of version 1 did not say."""


@pytest.mark.parametrize("base", [event_message(), frame_message()], ids=["event", "frame"])
def test_every_field_is_needed(base: Message) -> None:
    for field in base.header().keys() - LATER:
        with pytest.raises(WireError):
            decode(altered(base, **{field: ...}))


DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"v": 2}, "protocol version 2, this sightline reads version 1"),
        ({"v": True}, "protocol version True"),
        ({"v": "1\n\x1b[2J" + "x" * 999}, "protocol version '1"),
        ({"type": "mood"}, "unknown type 'mood'"),
        ({"type": ["event"]}, "unknown type"),
        ({"n": -1}, "field n: "),
        ({"n": 1.0}, "field n: "),
        ({"bus": "../etc"}, "field bus: "),
        ({"stream": ""}, "field stream: "),
        ({"stream": "other"}, "belongs on event/other"),
        ({"id": "no uuid"}, "field id: "),
        ({"kind": 3}, "field kind: "),
        ({"sequence": True}, "field sequence: "),
        ({"pts_s": float("nan")}, "field pts_s: .*finite"),
        ({"pts_s": "0"}, "field pts_s: "),
        ({"time_ns": 2**63}, "field time_ns: "),
        ({"clock": "sundial"}, "field clock: "),
        ({"position": [1.0]}, "field position: "),
        ({"position": [1.0, float("inf")]}, "field position"),
        ({"producer": {"stage": "count"}}, r"field producer\.name: "),
        ({"data": []}, "field data: "),
        ({"data": {"a": b"raw"}}, r"field data\.a: "),
        ({"data": {"a": float("nan")}}, r"field data\.a"),
        ({"data": {"a": DEEP}}, "field data"),
    ],
)
def test_an_event_message_that_breaks_the_protocol_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(WireError, match=reason) as caught:
        decode(altered(event_message(), **fields))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def columns(**changed: Any) -> dict[str, Any]:
    return {"tracks": {**frame_message().header()["tracks"], **changed}}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"width": 0}, "field width: "),
        ({"height": 70000}, "field height: "),
        ({"encoding": "png"}, "field encoding: "),
        ({"quality": 101}, "field quality: "),
        ({"counts": {"main": {"in": {"car": -1}}}}, r"field counts\.main\.in\.car: "),
        ({"counts": {"main": 3}}, r"field counts\.main: "),
        ({"tracks": {}}, r"field tracks\.id: "),
        (columns(id=[7]), "field tracks: .*shape"),
        (columns(id=[7, 7]), "field tracks: .*unique"),
        (columns(id=[7, 2**63]), r"field tracks\.id\.1: "),
        (columns(xyxy=[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]), r"field tracks\.xyxy\.1: "),
        (columns(xyxy=[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1e300]]), r"field tracks\.xyxy\.1"),
        (columns(xyxy=[[9.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]), "field tracks: .*left"),
        (columns(score=[0.5, 1.5]), "field tracks: .*0..1"),
        (columns(label=["car", "x" * 100_000]), r"field tracks\.label\.1: "),
    ],
)
def test_a_frame_message_that_breaks_the_protocol_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        decode(altered(frame_message(), **fields))


TOPIC, HEADER, _ = encode(frame_message())
EVENT_TOPIC, EVENT_HEADER = encode(event_message())


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "got 0"),
        ([TOPIC], "got 1"),
        ([TOPIC, HEADER, JPEG, b""], "got 4"),
        ([TOPIC, HEADER], "no JPEG"),
        ([TOPIC, HEADER, b"GIF89a"], "no JPEG"),
        ([EVENT_TOPIC, EVENT_HEADER, JPEG], "no payload"),
        ([TOPIC, b""], "no msgpack"),
        ([TOPIC, b"\xc1"], "no msgpack"),
        ([TOPIC, b"\x93\x01\x02\x03"], "no msgpack map but list"),
        ([TOPIC, HEADER + b"\x00", JPEG], "no msgpack"),
        ([TOPIC, b"\x81\xa1v\xa1\xff"], "no msgpack"),
        ([TOPIC, b"\x81\x01\x02"], "no msgpack"),
        ([TOPIC, b"\x91" * 5000], "no msgpack"),
        ([TOPIC, b"\xdd\x7f\xff\xff\xff"], "no msgpack"),
        ([TOPIC, (b"\xdd\x00\x0f\xff\xff" * 200_000)[:MAX_HEADER_BYTES]], "no msgpack"),
        ([TOPIC, b"\xd6\xff\x00\x00\x00\x00"], "no msgpack"),
        ([b"event/else", EVENT_HEADER], "belongs on event/gate"),
        ([b"\xff\xfe", EVENT_HEADER], "belongs on event/gate"),
        ([b"x" * 1025, EVENT_HEADER], "topic has 1025 bytes, allowed are 1024"),
        ([EVENT_TOPIC, bytes(MAX_HEADER_BYTES + 1)], "header has"),
        ([TOPIC, HEADER, bytes(MAX_PAYLOAD_BYTES + 1)], "payload has"),
    ],
)
def test_parts_that_are_no_message_are_refused(parts: list[bytes], reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        decode(parts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=4))
def test_arbitrary_bytes_raise_nothing_but_a_wire_error(parts: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode(parts)


header_values = json_values | st.binary(max_size=8) | st.just(float("nan")) | st.integers(0, 2**64 - 1)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_read_or_raises_a_wire_error(data: st.DataObject) -> None:
    base = data.draw(st.sampled_from([event_message(), frame_message()]))
    field = data.draw(st.sampled_from(sorted(base.header())))
    parts = altered(base, **{field: data.draw(header_values)})
    try:
        found = decode(parts)
    except WireError:
        return
    assert decode(encode(found)).header() == found.header()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_message_is_read_or_raises_a_wire_error(data: st.DataObject) -> None:
    parts = encode(data.draw(st.sampled_from([event_message(), frame_message()])))
    damaged = bytearray(parts[1])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode([parts[0], bytes(damaged), *parts[2:]])
    except WireError:
        return
    assert isinstance(found, EventMessage | FrameMessage)


@pytest.mark.parametrize(
    "value", [np.int64(3), b"raw", float("inf"), {1: 2}, "\ud800", 2**64, object(), "x" * MAX_HEADER_BYTES]
)
def test_an_event_the_protocol_cannot_carry_is_refused_by_the_sender(value: Any) -> None:
    with pytest.raises(WireError) as caught:
        encode(EventMessage(BUS, 0, make_event(data={"value": value})))
    assert isinstance(caught.value, SightlineError)
    assert str(caught.value).isprintable()


def test_text_from_outside_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u2028ü") == r"a\x1b[2Jb\nc\u2028ü"
    assert len(printable("x" * 1000, limit=80)) == 80


def test_the_documentation_lists_exactly_the_fields_that_travel() -> None:
    manual = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
    for title, schema, message in (
        ("Event header", EventHeader, event_message()),
        ("Frame header", FrameHeader, frame_message()),
        ("Packet header", PacketHeader, None),
        ("Status header", StatusHeader, None),
        ("Box header", BoxHeader, None),
    ):
        section = manual.split(f"### {title}")[1].split("\n#")[0]
        own = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
        common = re.findall(
            r"^\| `(\w+)` \|", manual.split("### Every header")[1].split("\n#")[0], flags=re.MULTILINE
        )
        assert set(common + own) == set(schema.model_fields)
        assert message is None or set(message.header()) == set(schema.model_fields)
    assert f"version {VERSION}" in manual


def test_ids_are_uuids_as_text() -> None:
    fields = msgpack.unpackb(encode(event_message())[1])
    assert UUID(fields["id"]).version == 7

"""States and packets on the wire: whatever comes, a message or one line that says what is wrong."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.moment import Clock, Moment
from pipeline.packet import Packet, PacketFormat
from pipeline.wire import BoxMessage, Message, PacketMessage, StatusMessage, WireError, decode, encode
from pipeline.wire_lines import format_message, json_line

BUS = "0123456789abcdef"
MOMENT = Moment(1.5, 1_772_352_000_000_000_000, Clock.ARRIVAL, 0)
FRAMES = {"captured": 9, "finished": 7, "in_flight": 1, "dropped": {"capture": {"newer frame": 1}}}
SOURCE = {
    "state": "lost",
    "reason": "no answer",
    "detail": "",
    "for_s": 1.5,
    "connections": 2,
    "failures": 1,
    "next_try_s": 0.5,
}


def status(**fields: Any) -> StatusMessage:
    known = {
        "bus": BUS, "n": 3, "stream": "gate", "run": "r", "moment": MOMENT, "box": "yard", "every_s": 2.0,
        "state": "running", "frames": FRAMES, "source": SOURCE, "width": 8, "height": 6,
        "captured_hz": 25.0, "age_ms": {"output": {"p50": 40.0, "p99": 80.0, "latest": 41.0}},
        "counts": {"main": {"in": {"car": 2}}}, "gaps": 1,
        "sinks": {"record": {"taken": 5, "lost": {"queue full": 2}, "waiting": 0, "error": "disk full"}},
    }  # fmt: skip
    return StatusMessage(**(known | fields))


def box(**fields: Any) -> BoxMessage:
    reliable = {"connected": ["shop"], "refused": 0, "peers": 1, "gone": 0, "strangers": 4}
    known = {
        "bus": BUS, "n": 0, "moment": MOMENT, "box": "yard", "every_s": 2.0, "streams": {"gate": "running"},
        "journal": {"newest": 4, "lost": 0, "trouble": None, "reliable": reliable},
        "sinks": {"mqtt": {"delivered": 3, "waiting": 1, "refused": 0, "failures": 2, "error": "refused"}},
        "sockets": {"events_strangers": 2, "frames_strangers": 1},
    }  # fmt: skip
    return BoxMessage(**(known | fields))


def packet() -> PacketMessage:
    form = PacketFormat("gate", "r", "h264", 8, 6, Fraction(1, 90000), b"\x01\x64", True, 90, 2)
    return PacketMessage(BUS, 0, form, Packet("gate", "r", 7, b"coded", 3000, None, 3000, True, MOMENT))


BASES: dict[str, Message] = {"status": status(), "box": box(), "packet": packet()}


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_what_is_sent_is_read(base: Message) -> None:
    assert decode(encode(base)) == base


@pytest.mark.parametrize("base", BASES.values(), ids=BASES)
def test_every_field_is_needed_and_new_ones_are_ignored(base: Message) -> None:
    topic, header, *rest = encode(base)
    fields = msgpack.unpackb(header)
    assert decode([topic, msgpack.packb(fields | {"mood": {"a": [1]}}), *rest]) == base
    for name in fields:
        with pytest.raises(WireError):
            decode([topic, msgpack.packb({k: v for k, v in fields.items() if k != name}), *rest])


def test_a_state_has_no_payload_and_a_packet_has_one() -> None:
    for base in (status(), box()):
        with pytest.raises(WireError, match="has no payload"):
            decode([*encode(base), b"x"])
    with pytest.raises(WireError, match="carries no packet"):
        decode(encode(packet())[:2])


@pytest.mark.parametrize(
    "fields",
    [
        {"state": ""},
        {"frames": FRAMES | {"captured": -1}},
        {"frames": FRAMES | {"dropped": {"capture": 3}}},
        {"source": {"state": "lost"}},
        {"captured_hz": -1.0},
        {"captured_hz": float("inf")},
        {"age_ms": {"output": {"p50": 1.0}}},
        {"counts": {"main": 3}},
        {"sinks": {"record": {"taken": 1}}},
        {"width": 0},
    ],
)
def test_a_state_that_cannot_be_is_refused_by_the_sender(fields: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="status message, field"):
        encode(status(**fields))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_read_or_raises_a_wire_error(data: st.DataObject) -> None:
    topic, header, *rest = encode(data.draw(st.sampled_from(list(BASES.values()))))
    fields = msgpack.unpackb(header)
    name = data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(json_values | st.binary(max_size=8))
    try:
        found = decode([topic, msgpack.packb(fields | {name: value}), *rest])
    except WireError:
        return
    assert decode(encode(found)).header() == found.header()
    assert format_message(found).isprintable()
    assert json_line(found).startswith("{")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_message_is_read_or_raises_a_wire_error(data: st.DataObject) -> None:
    topic, header, *rest = encode(data.draw(st.sampled_from(list(BASES.values()))))
    damaged = bytearray(header)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode([topic, bytes(damaged), *rest])
    except WireError:
        return
    assert found.topic.encode() == topic


def test_lines_for_people() -> None:
    assert format_message(status()) == (
        "2026-03-01T08:00:00.000Z  gate  running  source lost (no answer) for 2 s  7 of 9 frames  "
        "1 dropped at capture: newer frame  41 ms old  0 events  1 gaps  main: in 2  "
        "record: 5 packets, 2 lost (disk full)"
    )
    assert format_message(box()) == (
        "2026-03-01T08:00:00.000Z  box yard  up 0 s  1 of 1 streams running  journal 4  "
        "mqtt: 3 delivered, 1 wait (refused)  3 strangers not let in"
    )
    passed = {"events_boxes": 3, "events_programs": 2, "events_passed": 70, "frames_strangers": 1}
    assert format_message(box(stream="_hub", seconds=7.0, sockets=passed)) == (
        "2026-03-01T08:00:00.000Z  hub yard  up 7 s  events: 3 boxes, 2 programs, 70 passed on  "
        "1 strangers not let in"
    )

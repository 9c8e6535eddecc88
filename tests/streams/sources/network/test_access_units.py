"""Pieces become pictures: the same bytes, and with the last piece wherever that can be known."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.network.access_units import AccessUnit, AccessUnits, Torn
from tests.streams.sources.network.coded import ENCODERS, Codec, coded

START = b"\0\0\0\1"
PAYLOAD_BYTES = 200
H265 = {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none:keyint=20"}
STEADY = ["one slice", "slices", "refresh"]

Piece = tuple[bytes, int]


@cache
def pictures(encoder: str) -> list[bytes]:
    """The coded pictures, with start codes of four bytes throughout."""
    codec: Codec = "hevc" if encoder == "h265" else "h264"
    _, packets = coded(ENCODERS.get(encoder, H265), byte_stream=True, codec=codec, pictures=120)
    return [b"".join(START + unit for unit in units(packet)) for packet in packets]


def units(packet: bytes) -> list[bytes]:
    """The units of a picture without start codes of either length."""
    return [unit.removesuffix(b"\0") for unit in packet.split(b"\0\0\1") if unit.removesuffix(b"\0")]


def pieces(encoder: str, payload_bytes: int = PAYLOAD_BYTES) -> list[list[Piece]]:
    """What FFmpeg's depacketiser makes of each picture that was cut as RFC 6184 says (checked by hand)."""
    return [
        [piece for unit in units(picture) for piece in cut(unit, number, payload_bytes)]
        for number, picture in enumerate(pictures(encoder))
    ]


def cut(unit: bytes, pts: int, payload_bytes: int) -> Iterator[Piece]:
    if len(unit) <= payload_bytes:
        yield START + unit, pts
        return
    header, rest = unit[:1], unit[1:]
    for at in range(0, len(rest), payload_bytes - 2):
        fragment = rest[at : at + payload_bytes - 2]
        yield (fragment if at else START + header + fragment), pts


def assembled(units: AccessUnits, pieces: Sequence[Piece]) -> list[AccessUnit | Torn]:
    return [unit for piece, pts in pieces for unit in units.take(piece, pts, float(pts))]


@pytest.mark.parametrize("encoder", [*ENCODERS, "h265"])
def test_pictures_come_out_as_they_were(encoder: str) -> None:
    codec = "hevc" if encoder == "h265" else "h264"
    parts = AccessUnits(codec)
    found = assembled(parts, [piece for picture in pieces(encoder) for piece in picture])
    found += parts.finish()
    wanted = pictures(encoder)
    if encoder == "interlaced":  # FFmpeg's encoder puts both fields into one packet
        assert b"".join(unit.data for unit in found if isinstance(unit, AccessUnit)) == b"".join(wanted)
        return
    assert [unit.data for unit in found if isinstance(unit, AccessUnit)] == wanted
    assert [unit.pts for unit in found if isinstance(unit, AccessUnit)] == list(range(len(wanted)))
    assert not any(isinstance(unit, Torn) for unit in found)
    keys = [unit.pts for unit in found if isinstance(unit, AccessUnit) and unit.is_key]
    assert keys[0] == 0
    if encoder in ("one slice", "slices"):
        assert keys == list(range(0, 120, 20))


@pytest.mark.parametrize("encoder", STEADY)
def test_a_steady_camera_s_pictures_come_with_their_last_piece(encoder: str) -> None:
    parts = AccessUnits("h264")
    late = []
    for number, picture in enumerate(pieces(encoder)):
        done = assembled(parts, picture)
        if not any(isinstance(unit, AccessUnit) and unit.pts == number for unit in done):
            late.append(number)
    key_frames = [number for number in range(0, 120, 20) if encoder != "refresh"]
    # After two key frames and thirty others; a unit that fills its last fragment ends with the next one.
    assert [number for number in late if number > 40 and number not in key_frames] == [
        number for number in range(41, 120) if number not in key_frames and is_exact(encoder, number)
    ]


def is_exact(encoder: str, number: int) -> bool:
    """Whether the last unit of a picture fills its packets to the last byte."""
    last, _ = pieces(encoder)[number][-1]
    return len(last) in (PAYLOAD_BYTES - 2, PAYLOAD_BYTES + 3, PAYLOAD_BYTES + 4)


def test_slices_that_change_in_number_wait_for_the_next_picture() -> None:
    """Fewer slices make a picture late once; more of them tear it, once, and all others are late."""
    one, four = pieces("one slice"), pieces("slices")
    parts = AccessUnits("h264")
    begun = [piece for picture in four[:50] for piece in picture]
    assert not any(isinstance(unit, Torn) for unit in assembled(parts, begun))
    assert parts.is_early
    fewer = [(piece, pts + 100) for picture in one[:18] for piece, pts in picture]
    assert not any(isinstance(unit, Torn) for unit in assembled(parts, fewer))
    more = [
        (piece, pts + 200) for picture in [*one[:60], *four[21:40], *four[41:60]] for piece, pts in picture
    ]
    found = assembled(parts, more)
    assert [unit.reason for unit in found if isinstance(unit, Torn)] == [
        "a picture had more parts than those before it"
    ]
    assert not parts.is_early


def test_a_camera_that_cuts_otherwise_is_never_early() -> None:
    """Fragments that get longer: the first one that is shorter than the first of all says nothing."""
    parts = AccessUnits("h264")
    for number in range(100):
        first, middle, last = b"\x65\x88" + bytes([7] * 98), bytes([7] * 80), bytes([7] * 90)
        found = assembled(parts, [(START + first, number), (middle, number), (last, number)])
        assert [unit.pts for unit in found if isinstance(unit, AccessUnit)] == [number - 1] * (number > 0)
    assert not parts.is_early


def test_lost_packets_are_told_once_a_picture() -> None:
    parts = AccessUnits("h264")
    picture = pieces("one slice")[0]
    orphans = [piece for piece in picture if not piece[0].startswith(START)]
    assert len(orphans) > 1
    assert assembled(parts, orphans) == [Torn("packets were lost on the way")]


def test_a_picture_without_end_is_thrown_away() -> None:
    parts = AccessUnits("h264")
    found = assembled(parts, [(START + b"\x67" + bytes(8), 0)])
    for _ in range(40):
        found += parts.take(b"\7" * (1 << 20), 0, 0.0)
    assert found[0] == Torn("a picture has over 32 MiB")
    assert len(found) == 2  # and what still follows belongs to nothing


@given(seed=st.integers(0, 10_000), share=st.floats(0.01, 0.6), encoder=st.sampled_from([*STEADY, "h265"]))
def test_whatever_is_lost_no_piece_comes_twice(seed: int, share: float, encoder: str) -> None:
    random_ = random.Random(seed)
    sent = [piece for picture in pieces(encoder)[:80] for piece in picture if random_.random() > share]
    parts = AccessUnits("hevc" if encoder == "h265" else "h264")
    found = assembled(parts, sent)
    found += parts.finish()
    data = b"".join(unit.data for unit in found if isinstance(unit, AccessUnit))
    everything = b"".join(piece for piece, _ in sent)
    assert len(data) <= len(everything)
    rest = iter(everything)
    assert all(byte in rest for byte in data[:2000])  # a subsequence: in order, each byte once


@given(st.lists(st.tuples(st.binary(max_size=40), st.one_of(st.none(), st.integers(0, 5))), max_size=60))
def test_nonsense_does_no_harm(nonsense: list[tuple[bytes, int | None]]) -> None:
    for codec in ("h264", "hevc"):
        parts = AccessUnits(codec)
        for data, pts in nonsense:
            for begun in (data, START + data):
                list(parts.take(begun, pts, 0.0))
        list(parts.finish())

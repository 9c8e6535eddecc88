from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SinkError
from streams.sinks.live.hls.muxer import Head, Piece
from streams.sinks.live.hls.playlist import playlist_of
from streams.sinks.live.hls.service import lengths_of
from streams.sinks.live.hls.window import Lengths, Window
from streams.sinks.live.options import LiveOptions

HEAD = Head(b"head", "avc1.640015", 320, 240)
LENGTHS = Lengths(2.0, 2, 0.3)
STEP_S = 0.04


def piece(number: int, *, every: int = 25, step_s: float = STEP_S, size: int = 100) -> Piece:
    return Piece(b"p" * size, step_s, number % every == 0, 10**18 + round(number * step_s * 1e9))


def filled(pieces: int, keep: int = 5, most_bytes: int = 10**6, every: int = 25) -> Window:
    window = Window(keep, most_bytes)
    window.start(LENGTHS)
    window.add_head(HEAD)
    for number in range(pieces):
        window.add(piece(number, every=every))
    return window


def test_before_the_start_there_is_nothing() -> None:
    with pytest.raises(SinkError, match="no pictures yet"):
        _ = Window(3, 1000).lengths


def test_a_playlist() -> None:
    window = Window(4, 10**6)
    window.start(Lengths(0.5, 1, 0.25))
    window.add_head(HEAD)
    for number in range(8):
        window.add(piece(number, every=5, step_s=0.1))
    assert playlist_of(window, "?token=a").splitlines() == [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:1",
        "#EXT-X-PART-INF:PART-TARGET=0.250",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.750,HOLD-BACK=3.0",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        '#EXT-X-MAP:URI="head-0.mp4?token=a"',
        "#EXT-X-PROGRAM-DATE-TIME:2001-09-09T01:46:40.000Z",
        '#EXT-X-PART:DURATION=0.20000,URI="part-0-0.m4s?token=a",INDEPENDENT=YES',
        '#EXT-X-PART:DURATION=0.20000,URI="part-0-1.m4s?token=a"',
        '#EXT-X-PART:DURATION=0.10000,URI="part-0-2.m4s?token=a"',
        "#EXTINF:0.50000,",
        "segment-0.m4s?token=a",
        "#EXT-X-PROGRAM-DATE-TIME:2001-09-09T01:46:40.500Z",
        '#EXT-X-PART:DURATION=0.20000,URI="part-1-0.m4s?token=a",INDEPENDENT=YES',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part-1-1.m4s?token=a"',
    ]
    window.end()
    assert playlist_of(window).splitlines()[-4:] == [
        '#EXT-X-PART:DURATION=0.10000,URI="part-1-1.m4s"',
        "#EXTINF:0.30000,",
        "segment-1.m4s",
        "#EXT-X-ENDLIST",
    ]


def test_another_format_is_a_break_that_is_counted_when_it_is_gone() -> None:
    window = filled(60)
    window.add_head(HEAD)
    for number in range(50):
        window.add(piece(number))
    text = playlist_of(window)
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert text.index("#EXT-X-DISCONTINUITY\n") < text.index("head-1.mp4") < text.index("part-2-0.m4s")
    for number in range(50 * 8):
        window.add(piece(number))
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1" in playlist_of(window)
    assert list(window.heads) == [1]


def test_numbers_go_on_when_it_was_emptied() -> None:
    window = filled(120)
    last = window.segments[-1].number
    window.clear()
    assert (len(window.segments), window.heads) == (0, {})
    window.start(LENGTHS)
    window.add_head(HEAD)
    window.add(piece(0))
    assert (window.segments[0].number, window.segments[0].breaks, window.segments[0].head) == (
        last + 1,
        True,
        1,
    )


def test_segments_end_at_key_frames_or_when_they_must() -> None:
    assert [segment.duration_s for segment in filled(201).segments][:4] == pytest.approx([2.0] * 4)
    without = filled(201, every=10_000)
    assert max(segment.duration_s for segment in without.segments) < 2.5
    assert [segment.parts[0].is_independent for segment in without.segments if segment.parts][1:] == [
        False
    ] * 3


def test_a_part_is_there_as_soon_as_no_other_picture_fits_into_it() -> None:
    assert filled(6).next_part() == (0, 0)
    assert filled(7).next_part() == (0, 1)
    assert filled(7).part(0, 0) == b"p" * 700
    assert filled(7).part(0, 1) is None


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ((0, None), True),
        ((1, None), False),
        ((1, 0), True),
        ((1, 3), False),
        ((0, 99), True),
        ((2, 0), False),
    ],
)
def test_what_a_request_waits_for(asked: tuple[int, int | None], there: bool) -> None:
    window = filled(51 + 8)
    assert window.has(*asked) is there
    window.end()
    assert window.has(*asked)


def test_bytes_are_bounded_whatever_is_kept() -> None:
    window = filled(2000, keep=50, most_bytes=20_000)
    assert sum(len(segment.data()) for segment in window.segments) <= 20_000
    one = filled(2000, keep=50, most_bytes=10)
    assert len(one.segments) == 1


pieces = st.lists(
    st.tuples(st.floats(0.001, 1.0), st.booleans(), st.integers(0, 50)), min_size=1, max_size=300
)


@given(pieces, st.integers(3, 8))
def test_whatever_comes_the_playlist_stays_true(made: list[tuple[float, bool, int]], keep: int) -> None:
    window = Window(keep, 2000)
    window.start(Lengths(1.0, 3, 0.5))
    window.add_head(HEAD)
    told: dict[int, str] = {}
    for duration_s, is_key, size in made:
        window.add(Piece(b"x" * size, duration_s, is_key, 10**18))
        numbers = [segment.number for segment in window.segments]
        assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
        assert len(numbers) <= keep + 1
        for segment in window.segments:
            assert round(segment.duration_s) <= 3  # RFC 8216, 4.4.3.1
            assert all(
                part.duration_s <= max(0.5, *[0.0, *[d for d, _, _ in made]]) for part in segment.parts
            )
            if segment.is_complete:  # what a player has been told does not change
                data = f"{segment.duration_s} {len(segment.parts)} {len(segment.data())}"
                assert told.setdefault(segment.number, data) == data
        text = playlist_of(window)
        assert text.startswith("#EXTM3U\n")
        assert f"#EXT-X-MEDIA-SEQUENCE:{numbers[0]}\n" in text


@pytest.mark.parametrize(
    ("rhythm", "step_s", "wanted"),
    [
        ((0.0, 0.0), 0.0, (2, 0.3)),
        ((1.0, 0.04), 0.0, (2, 0.3)),
        ((1.5, 0.04), 0.0, (3, 0.3)),  # two of them
        ((4.0, 0.04), 0.0, (4, 0.3)),
        ((60.0, 0.04), 0.0, (10, 0.3)),  # longer ones end without a key frame
        ((1.0, 0.5), 0.0, (2, 0.6)),
        ((0.0, 0.0), 1.0, (2, 1.2)),
        ((0.0, 0.0), 7.0, (2, 2.0)),
    ],
)
def test_lengths_fit_the_camera(
    rhythm: tuple[float, float], step_s: float, wanted: tuple[int, float]
) -> None:
    lengths = lengths_of(LiveOptions(), rhythm, step_s)
    assert (lengths.target_s, lengths.part_s) == pytest.approx(wanted)

"""What is kept for another decoder, and what of its pictures was shown already."""

from __future__ import annotations

from typing import Any

import av
import pytest
from av.video.frame import VideoFrame

from streams.sources import replay
from streams.sources.replay import Replay


def packet(number: int, *, key: bool = False, size: int = 10) -> Any:
    made: Any = av.Packet(bytes(size))
    made.pts, made.is_keyframe = number, key
    return made


def frame(pts: int | None, dts: int | None = None) -> VideoFrame:
    made = VideoFrame(2, 2, "gray")
    made.pts, made.dts = pts, dts
    return made


def played(packets: int, key_every: int, late: int, *, keys_told: bool = True) -> Replay:
    """A decoder that shows each picture `late` packets after its own."""
    kept = Replay(all_keys=not keys_told)
    for number in range(packets):
        kept.take(packet(number, key=keys_told and number % key_every == 0))
        kept.shown([frame(number - late)] if number >= late else [])
    return kept


def numbers(kept: Replay) -> list[int]:
    return [one.pts for one in kept.packets]


@pytest.mark.parametrize("late", [0, 2, 16])
@pytest.mark.parametrize("key_every", [1, 7, 50, 1000])
@pytest.mark.parametrize("packets", [1, 40, 100, 333])
def test_what_is_owed_can_be_decoded_from_what_is_kept(packets: int, key_every: int, late: int) -> None:
    kept = played(packets, key_every, late)
    first = numbers(kept)[0]
    assert first % key_every == 0
    assert first <= max(0, packets - late)
    assert len(numbers(kept)) <= 33 + 2 * key_every
    assert numbers(kept) == list(range(first, packets))
    owed = kept.owed(frame(number) for number in numbers(kept))
    assert [one.pts for one in owed] == list(range(max(0, packets - late), packets))


def test_nothing_is_let_go_before_it_is_shown() -> None:
    kept = Replay()
    for number in range(200):
        kept.take(packet(number, key=True))
    assert numbers(kept) == list(range(200))


def test_codecs_of_key_frames_only_need_not_say_so() -> None:
    assert numbers(played(100, 1, 0, keys_told=False)) == list(range(67, 100))


def test_nothing_is_kept_before_a_key_frame() -> None:
    kept = Replay()
    kept.take(packet(0))
    assert not kept.has_begun
    assert not kept.packets
    kept.take(packet(1, key=True))
    kept.take(packet(2))
    assert kept.has_begun
    assert numbers(kept) == [1, 2]


def test_pictures_before_the_last_one_shown_are_not_owed() -> None:
    """A key frame's leading pictures, for want of what they are built on, may come out or not."""
    kept = Replay()
    kept.shown([frame(4), frame(5)])
    assert [one.pts for one in kept.owed(map(frame, [2, 3, 5, 6, 7]))] == [6, 7]


def test_frames_that_come_late_are_still_compared() -> None:
    kept = Replay()
    kept.shown(list(map(frame, range(6))))
    assert kept.owed(map(frame, [0, 1])) == []
    assert [one.pts for one in kept.owed(map(frame, [4, 5, 6]))] == [6]
    assert [one.pts for one in kept.owed(map(frame, [5]))] == [5]  # a clock that was set back


def test_without_presentation_times_decoding_times_count_and_none_are_never_the_same() -> None:
    kept = Replay()
    kept.shown([frame(None, 1), frame(None, 2), frame(None, None)])
    owed = kept.owed([frame(None, 2), frame(2, 2), frame(None, None)])
    assert [(one.pts, one.dts) for one in owed] == [(2, 2), (None, None)]


@pytest.mark.parametrize(("packets", "size"), [(1200, 1), (70, 1 << 20)])
def test_a_stretch_without_key_frames_is_bounded(packets: int, size: int) -> None:
    kept = Replay()
    for number in range(packets):
        kept.take(packet(number, key=number == 0, size=size))
        kept.shown([frame(number)])
    assert not kept.packets
    assert kept.has_begun
    kept.take(packet(packets, key=True))
    kept.take(packet(packets + 1))
    assert numbers(kept) == [packets, packets + 1]


def test_what_was_shown_is_bounded() -> None:
    kept = Replay()
    for number in range(5000):
        kept.shown([frame(number)])
    assert len(kept._shown) == replay._MOST_PACKETS + 2 * replay._DEEPEST

"""H.264's numbers tell of lost pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.network.h264 import FrameNumbers
from tests.streams.sources.network.coded import ENCODERS, coded


@pytest.mark.parametrize("byte_stream", [True, False])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_nothing_is_missing_where_nothing_was_lost(encoder: str, byte_stream: bool) -> None:
    extradata, pictures = coded(ENCODERS[encoder], byte_stream=byte_stream)
    numbers = FrameNumbers(extradata)
    assert [k for k, data in enumerate(pictures) if numbers.is_after_loss(data)] == []


@pytest.mark.parametrize("byte_stream", [True, False])
@pytest.mark.parametrize("encoder", ["camera", "slices", "refresh", "interlaced"])
@pytest.mark.parametrize("lost", [1, 5, 18, 20, 33])
def test_each_lost_picture_is_missed_by_its_follower(encoder: str, byte_stream: bool, lost: int) -> None:
    extradata, pictures = coded(ENCODERS[encoder], byte_stream=byte_stream)
    numbers = FrameNumbers(extradata)
    left = [(k, data) for k, data in enumerate(pictures) if k != lost]
    assert [k for k, data in left if numbers.is_after_loss(data)] == [lost + 1]


def test_joining_in_the_middle_is_no_loss() -> None:
    extradata, pictures = coded(ENCODERS["camera"], byte_stream=False)
    numbers = FrameNumbers(extradata)
    assert not any(numbers.is_after_loss(data) for data in pictures[7:])


@given(st.one_of(st.none(), st.binary(max_size=200)), st.lists(st.binary(max_size=200), max_size=20))
def test_nonsense_does_no_harm(extradata: bytes | None, pictures: list[bytes]) -> None:
    numbers = FrameNumbers(extradata)
    for data in pictures:
        numbers.is_after_loss(data)
        numbers.is_after_loss(b"\0\0\0\1\x67" + data)
        numbers.is_after_loss(b"\0\0\1\x41" + data)

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import SinkError
from pipeline.moment import Clock, Moment
from pipeline.packet import Packet
from pipeline.picture import U8Array
from streams.sinks.encoder import Encoder, Encoding, Pace, fitted, scaled
from streams.sinks.stub import stub_picture


def moment(pts_s: float) -> Moment:
    return Moment(pts_s, round(pts_s * 1e9), Clock.FILE)


def pictures(count: int, width: int = 320, height: int = 240) -> list[U8Array]:
    small = np.random.default_rng(7).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    large = small.repeat(8, 0).repeat(8, 1)
    return [np.roll(large, 4 * number, 1) for number in range(count)]


def decoded(codec: str, packets: list[Packet]) -> list[av.VideoFrame]:
    decoder = av.CodecContext.create(codec, "r")
    found = []
    for packet in packets:
        copy = av.Packet(packet.data)
        copy.pts, copy.time_base = packet.pts, Fraction(1, 90_000)
        found += decoder.decode(copy)
    return [*found, *decoder.decode(None)]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_each_picture_is_a_packet_at_once_and_key_frames_can_be_joined_at(codec: str) -> None:
    encoder = Encoder("gate", "run", 320, 240, Encoding(codec=codec, keyframe_s=0.2))
    shown = pictures(12)
    packets = [
        encoder.encode(picture, moment(0.04 * number), key=number == 8)
        for number, picture in enumerate(shown)
    ]
    assert [packet.sequence for packet in packets if packet.is_key] == [0, 5, 8]
    assert [packet.pts for packet in packets] == [round(3600 * number) for number in range(12)]
    assert all(packet.dts == packet.pts for packet in packets)
    for first in (0, 5, 8):  # without anything but the packets
        back = decoded(codec, packets[first:])
        assert [frame.pts for frame in back] == [packet.pts for packet in packets[first:]]
        for frame, picture in zip(back, shown[first:], strict=True):
            assert np.abs(frame.to_ndarray(format="bgr24").astype(int) - picture).mean() < 8


def test_the_bit_rate_is_met() -> None:
    rng = np.random.default_rng(3)
    encoder = Encoder("gate", "run", 320, 240, Encoding(bitrate_kbps=400, rate_hz=20))
    noise = [rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(60)]
    size = sum(len(encoder.encode(noise[number], moment(0.05 * number)).data) for number in range(60))
    assert 300 < size * 8 / 3 / 1000 < 480


def test_media_time_that_does_not_go_on_is_refused() -> None:
    encoder = Encoder("gate", "run", 64, 64, Encoding())
    encoder.encode(pictures(1)[0], moment(2.0))
    with pytest.raises(SinkError, match=r"stream 'gate'.*from 2\.0+ to 1\.0+ s"):
        encoder.encode(pictures(1)[0], moment(1.0))


def test_odd_sizes_lose_a_pixel_and_other_sizes_are_fitted_in() -> None:
    encoder = Encoder("gate", "run", 321, 241, Encoding(crf=10))
    assert (encoder.form.width, encoder.form.height) == (320, 240)
    odd = np.full((241, 321, 3), 200, np.uint8)
    tall = np.full((480, 320, 3), 200, np.uint8)
    packets = [encoder.encode(odd, moment(0)), encoder.encode(tall, moment(1), key=True)]
    whole, barred = (frame.to_ndarray(format="bgr24") for frame in decoded("h264", packets))
    assert whole.min() > 190
    assert barred[:, :70].max() < 20
    assert barred[:, 90:230].min() > 180


@pytest.mark.parametrize(
    ("size", "most", "wanted"),
    [
        ((1920, 1080), None, (1920, 1080)),
        ((1920, 1080), (1280, 1280), (1280, 720)),
        ((1080, 1920), (1280, 720), (404, 720)),
        ((320, 240), (1280, 720), (320, 240)),
        ((4000, 10), (100, 100), (100, 16)),
    ],
)
def test_sizes(size: tuple[int, int], most: tuple[int, int] | None, wanted: tuple[int, int]) -> None:
    assert scaled(*size, most) == wanted


@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 90),
    half_width=st.integers(8, 40),
    half_height=st.integers(8, 40),
)
@settings(max_examples=60, deadline=None)
def test_a_fitted_picture_has_the_size_and_keeps_its_light(
    rows: int, columns: int, half_width: int, half_height: int
) -> None:
    width, height = 2 * half_width, 2 * half_height
    result = fitted(np.full((rows, columns, 3), 99, np.uint8), width, height)
    assert result.shape == (height, width, 3)
    assert set(np.unique(result)) <= {0, 99}
    assert (result == 99).any()


@pytest.mark.parametrize(
    ("given_hz", "most_hz", "wanted"), [(30, 10, 20), (25, 10, 20), (25, 25, 50), (10, 25, 20), (30, 29, 58)]
)
def test_the_rate_is_kept_on_the_mean(given_hz: int, most_hz: int, wanted: int) -> None:
    jitter = np.random.default_rng(1).uniform(-0.0002, 0.0002, 2 * given_hz)
    pace = Pace(most_hz)
    times = [number / given_hz + shake for number, shake in enumerate(jitter)]
    assert sum(map(pace.takes, times)) == pytest.approx(wanted, abs=1)


def test_a_clock_that_jumps_does_not_stop_the_pictures() -> None:
    pace = Pace(10)
    assert [pace.takes(time_s) for time_s in (50.0, 50.04, 60.0, 60.04, 0.0, 0.04, 0.1)] == [
        True, False, True, False, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("size", [(64, 48), (640, 360), (1080, 1920)])
@pytest.mark.parametrize("since_ns", [None, 1_800_000_000_000_000_000])
def test_the_stub_says_something_in_any_size(size: tuple[int, int], since_ns: int | None) -> None:
    picture = stub_picture(*size, "Nordtür", since_ns)
    assert picture.shape == (size[1], size[0], 3)
    assert np.count_nonzero(picture.max(axis=2) > 150) > 10
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    assert (border == picture[0, 0]).all()

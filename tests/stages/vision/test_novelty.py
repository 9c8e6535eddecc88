"""A camera that hangs against a scene that stands still, both through a real encoder."""

import io
from collections.abc import Iterable

import av
import numpy as np
import pytest

from stages.vision.novelty import Novelty
from tests.stages.vision.pictures import texture

SIZE = (384, 216)


def encoded(pictures: Iterable[np.ndarray], gop: int, options: dict[str, str]) -> list[np.ndarray]:
    """Rows of one picture in five, after x264."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *SIZE, "yuv420p", gop
        stream.options = {"preset": "ultrafast", **options}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, axis=2), format="bgr24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        return [
            frame.to_ndarray(format="gray")[5::10]
            for index, frame in enumerate(container.decode(video=0))
            if index % 5 == 0
        ]


def pictures(noise: float, count: int = 120) -> Iterable[np.ndarray]:
    rng = np.random.default_rng(2)
    place = 0.4 * texture(SIZE[1], SIZE[0], 3)
    frozen = np.clip(place + rng.normal(0, 2, place.shape), 0, 255).astype(np.uint8)
    for _ in range(count):
        picture = frozen if noise == 0 else np.clip(place + rng.normal(0, noise, place.shape), 0, 255)
        yield picture.astype(np.uint8)


def shares(rows: Iterable[np.ndarray]) -> list[float]:
    novelty = Novelty()
    return [novelty.update(each) for each in rows]


ENCODERS = [(10, {"crf": "28"}), (25, {"crf": "35"}), (40, {"crf": "30", "tune": "zerolatency"})]


@pytest.mark.parametrize(("gop", "options"), ENCODERS)
def test_a_picture_that_is_encoded_again_is_not_new(gop: int, options: dict[str, str]) -> None:
    assert max(shares(encoded(pictures(0), gop, options))[16:]) <= 0.03


@pytest.mark.parametrize(("gop", "options"), ENCODERS)
def test_a_still_night_is_new_at_each_key_frame_at_the_latest(gop: int, options: dict[str, str]) -> None:
    new = np.array(shares(encoded(pictures(0.8), gop, options))) > 0.03
    gaps = np.diff(np.flatnonzero(new))
    assert new[-1 - gop // 5 :].any()
    assert gaps.max() <= gop / 5 + 1


def test_it_forgets_and_bears_another_size() -> None:
    novelty, rows = Novelty(), np.zeros((20, 640), np.uint8)
    assert [novelty.update(rows) for _ in range(2)] == [1.0, 0.0]
    novelty.restart()
    assert novelty.update(rows) == 1.0
    assert novelty.update(np.zeros((10, 320), np.uint8)) == 1.0


def test_a_clock_in_a_picture_that_hangs_is_a_small_share() -> None:
    novelty = Novelty()
    rows = np.random.default_rng(1).integers(0, 255, (36, 1920), np.uint8)
    found = []
    for second in range(30):
        stamped = rows.copy()
        stamped[2, 400:700] = (second * 37) % 256
        found.append(novelty.update(stamped))
    assert max(found[1:]) <= 0.03

"""What hiding costs: milliseconds of CPU a 1080p picture, by what is hidden and how, and beside an encoder.

    python -m benchmarks.privacy [--pictures 60] [--rounds 3]

Pictures are real where there are any (../shared/data, traffic_a.mp4 scaled to 1080p), else noise. The boxes
are those of standing people, a quarter of the picture high. Most pictures are the decoder's planes, `BGR` is
one that came as such. A copy is within every row, as other sinks must still get the picture as it was.
`deciding` is what each frame costs that nobody looks at: which boxes, held and led back. Rows take turns in
each round; median of all.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections
from pipeline.picture import BgrPicture, YuvPicture
from pipeline.privacy.hide import hide, parts_of_areas, parts_of_boxes
from pipeline.privacy.options import Method, PrivacyOptions
from pipeline.privacy.veil import Veil

WIDTH, HEIGHT = 1920, 1080
FILM = Path(__file__).parents[2] / "shared/data/video/traffic_a.mp4"
AREA = ((0.05, 0.1), (0.5, 0.15), (0.45, 0.6), (0.1, 0.5))
"""A tenth to a fifth of the picture, not upright."""


def pictures(number: int) -> list[YuvPicture]:
    """Return so many 1080p pictures as a decoder leaves them."""
    if not FILM.exists():
        rng = np.random.default_rng(0)
        return [
            YuvPicture(*(rng.integers(16, 235, (HEIGHT // by, WIDTH // by), np.uint8) for by in (1, 2, 2)))
            for _ in range(number)
        ]
    made: list[YuvPicture] = []
    with av.open(str(FILM)) as container:
        for frame in container.decode(video=0):
            bgr = cv2.resize(frame.to_ndarray(format="bgr24"), (WIDTH, HEIGHT))
            packed = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)
            y, u, v = np.split(packed, [WIDTH * HEIGHT, WIDTH * HEIGHT * 5 // 4])
            half = (HEIGHT // 2, WIDTH // 2)
            made.append(YuvPicture(y.reshape(HEIGHT, WIDTH), u.reshape(half), v.reshape(half)))
            if len(made) == number:
                break
    return made


def people(number: int, seed: int = 0) -> np.ndarray:
    """Return boxes (number, 4) xyxy px."""
    rng = np.random.default_rng(seed)
    left, top = rng.uniform(0, WIDTH - 110, number), rng.uniform(0, HEIGHT - 270, number)
    return np.stack([left, top, left + 110, top + 270], axis=1)


def fresh(picture: YuvPicture) -> YuvPicture:
    """Return the same picture, none of whose conversions has been made."""
    planes = picture.planes()
    return picture.with_planes(planes.y, planes.u, planes.v)


def deciding(number: int) -> Callable[[YuvPicture], object]:
    """Return what decides for frames with so many people who walk, one of ten missed in each picture."""
    veil = Veil(PrivacyOptions(labels=("person",)), "bench")
    boxes = people(number).astype(np.float32)
    rng = np.random.default_rng(1)
    count = 0

    def look(picture: YuvPicture) -> object:
        nonlocal count
        count += 1
        seen = rng.random(number) > 0.1
        found = Detections.unchecked(
            xyxy=(boxes + np.float32(count % 100))[seen],
            score=np.ones(seen.sum(), np.float32),
            label=np.full(seen.sum(), "person"),
        )
        moment = Moment(count / 25, count * 40_000_000, Clock.FILE, 0)
        return veil.look(Frame("bench", "run", count, moment, picture, detections=found))

    return look


def encoder() -> Callable[[YuvPicture], object]:
    """Return x264 as the sink `video` uses it, for comparison."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = (
        WIDTH,
        HEIGHT,
        "yuv420p",
        Fraction(1, 1_000_000),
    )
    codec.options = {"preset": "superfast", "crf": "23", "bf": "0", "threads": "1"}
    count = 0

    def encode(picture: YuvPicture) -> object:
        nonlocal count
        count += 40_000
        planes = picture.planes()
        packed = np.concatenate([planes.y.ravel(), planes.u.ravel(), planes.v.ravel()])
        frame = av.VideoFrame.from_ndarray(packed.reshape(HEIGHT * 3 // 2, WIDTH), format="yuv420p")
        frame.pts = count
        return codec.encode(frame)

    return encode


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cv2.setNumThreads(1)  # as `sightline run` does
    shown = pictures(given.pictures)
    bgr = [BgrPicture(picture.bgr()) for picture in shown[:8]]
    parts = {
        "1 person": parts_of_boxes(people(1), WIDTH, HEIGHT),
        "10 people": parts_of_boxes(people(10), WIDTH, HEIGHT),
        "50 people": parts_of_boxes(people(50), WIDTH, HEIGHT),
        "an area": parts_of_areas([AREA], [], WIDTH, HEIGHT),
        "all but an area": parts_of_areas([], [AREA], WIDTH, HEIGHT),
    }
    rows: dict[tuple[str, str], Callable[[int], object]] = {}
    methods: tuple[Method, ...] = ("mask", "pixelate", "blur")
    for what, hidden in parts.items():
        for method in methods:

            def work(n: int, hidden: object = hidden, method: Method = method) -> object:
                return hide(shown[n % len(shown)], hidden, method, 4)  # type: ignore[arg-type]

            rows[what, method] = work
    people10 = parts["10 people"]
    rows["10 people, BGR", "mask"] = lambda n: hide(bgr[n % len(bgr)], people10, "mask", 4)
    rows["10 people, BGR", "blur"] = lambda n: hide(bgr[n % len(bgr)], people10, "blur", 4)
    for number in (10, 50, 200):
        look = deciding(number)
        rows[f"deciding, {number} people", "any"] = lambda n, look=look: look(shown[n % len(shown)])  # type: ignore[misc]
    encode = encoder()
    rows["for comparison: planes to BGR", ""] = lambda n: fresh(shown[n % len(shown)]).bgr()
    rows["for comparison: x264 superfast", ""] = lambda n: encode(shown[n % len(shown)])
    spent: dict[tuple[str, str], list[float]] = {row: [] for row in rows}
    for _ in range(given.rounds):
        for row, do in rows.items():
            for n in range(given.pictures):
                begun_s = time.thread_time()
                do(n)
                spent[row].append((time.thread_time() - begun_s) * 1e3)
    print(f"{'':<34}{'method':<10}{'CPU ms':>13}{'99 %':>8}")
    for (what, method), times in spent.items():
        high = sorted(times)[int(len(times) * 0.99)]
        print(f"{what:<34}{method:<10}{statistics.median(times):>13.2f}{high:>8.2f}")


if __name__ == "__main__":
    main()

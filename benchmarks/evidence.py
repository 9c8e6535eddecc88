"""What the evidence of counts costs: audit strips per line and picture, crops per passage, bytes on the disk.

    python -m benchmarks.evidence [--pictures 800]

Pictures are 1080p noise in the decoder's planes, the worst that a JPEG encoder can get; each is looked at
(`strip_hz` above their rate), and closing and encoding the strips is within the time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import YuvPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.evidence.options import EvidenceOptions
from stages.count.evidence.part import EvidencePart
from stages.count.place import LinePlace
from stages.count.seen import Passage, Seen

WIDTH, HEIGHT, RATE_HZ = 1920, 1080, 25


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=800)
    pictures = parser.parse_args().pictures
    rng = np.random.default_rng(0)
    shown = [
        YuvPicture(*(rng.integers(16, 235, (HEIGHT // by, WIDTH // by), np.uint8) for by in (1, 2, 2)))
        for _ in range(8)
    ]
    print(f"{'':<12}{'ms a picture':>14}{'worst ms':>10}{'bytes a s':>11}")
    for lines in (1, 4, 20):
        spent, kept = strips(shown, lines, pictures)
        mean, worst = 1000 * sum(spent) / pictures, 1000 * max(spent)
        print(f"{lines:>3} lines   {mean:>14.3f}{worst:>10.2f}{kept * RATE_HZ / pictures:>11.0f}")
    for side in (100, 400):
        print(f"crop, {side} px{crop_ms(shown, side):>14.3f}")


def strips(shown: list[YuvPicture], lines: int, pictures: int) -> tuple[list[float], int]:
    """Return the seconds that each picture took, and the bytes that were written."""
    places = {
        f"line {number}": LinePlace((((10.0, 20.0 + 50 * number), (1900.0, 40.0 + 50 * number)),))
        for number in range(lines)
    }
    with tempfile.TemporaryDirectory() as folder:
        part = EvidencePart(
            EvidenceOptions(strip_hz=120), StageContext("cam", folder=Path(folder)), lambda: places
        )
        part.open(StreamInfo("cam", "noise", "run", WIDTH, HEIGHT))
        spent = []
        for number in range(pictures):
            seen = _seen(shown[number % len(shown)], number)
            began = time.perf_counter()
            part.update(seen)
            spent.append(time.perf_counter() - began)
        part.close()
        return spent, part.statistics()["bytes"]


def crop_ms(shown: list[YuvPicture], side: int) -> float:
    """Return the milliseconds that a passage takes."""
    place = LinePlace((((10.0, 500.0), (1900.0, 500.0)),))
    with tempfile.TemporaryDirectory() as folder:
        context = StageContext("cam", folder=Path(folder))
        part = EvidencePart(EvidenceOptions(strips=False), context, lambda: {"line": place})
        part.open(StreamInfo("cam", "noise", "run", WIDTH, HEIGHT))
        rounds = 200
        began = time.perf_counter()
        for number in range(rounds):
            seen = _seen(shown[number % len(shown)], number * RATE_HZ)
            seen.xyxy = np.array([[500.0, 300, 500 + side, 300 + side]])
            seen.passages.append(Passage("line", 1, 0))
            part.update(seen)
        return 1000 * (time.perf_counter() - began) / rounds


def _seen(picture: YuvPicture, number: int) -> Seen:
    moment = Moment(number / RATE_HZ, number * 1_000_000_000 // RATE_HZ, Clock.FILE)
    frame = Frame("cam", "run", number, moment, picture)
    return Seen(frame, moment.pts_s, [], [], [], np.zeros((0, 4)), [])


if __name__ == "__main__":
    main()

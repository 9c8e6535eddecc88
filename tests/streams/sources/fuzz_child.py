"""Reads damaged video over loopback, one case after another; a process of its own, which may be killed by it.

    python -m tests.streams.sources.fuzz_child SEED FIRST LAST

A case is made of its seed and number alone. Prints a line of JSON before and after each; after each hundred
it reads the undamaged videos, which must come in full.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.errors import SightlineError
from pipeline.frame import Frame
from streams.sources.network.options import NetworkOptions
from streams.sources.network.source import NetworkSource
from tests.servers.footage import encoded
from tests.servers.http import HttpServer, body

PICTURES = 25
GOOD_EVERY = 100


@dataclass(frozen=True)
class Base:
    """An undamaged video, and the MIME type it is served with."""

    data: bytes
    content_type: str


def bases() -> dict[str, Base]:
    """Return what is damaged: a video of each kind that comes over a network."""
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return {
        "ts": Base(encoded(PICTURES, key_every=5), "video/mp2t"),
        "mp4": Base(encoded(PICTURES, "mp4", key_every=5, options=fragments), "video/mp4"),
        "mjpeg": Base(
            encoded(PICTURES, "mpjpeg", codec="mjpeg"), "multipart/x-mixed-replace; boundary=ffmpeg"
        ),
    }


def flip(data: bytearray, rng: random.Random, other: bytes) -> None:
    for _ in range(rng.choice([1, 4, 16, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randrange(1, 2000))
    data[start:end] = rng.choice([rng.randbytes(end - start), bytes(end - start), b"\xff" * (end - start)])


def truncate(data: bytearray, rng: random.Random, other: bytes) -> None:
    del data[rng.randrange(1, len(data)) :]


def cut_out(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = rng.randrange(len(data))
    if start:
        del data[start : start + rng.randrange(1, 5000)]


def splice(data: bytearray, rng: random.Random, other: bytes) -> None:
    source = rng.choice([bytes(data), other])
    start, place = rng.randrange(len(source)), rng.randrange(len(data))
    data[place:place] = source[start : start + rng.randrange(1, 5000)]


MUTATIONS: Sequence[Callable[[bytearray, random.Random, bytes], None]] = (
    flip,
    flip,
    overwrite,
    truncate,
    cut_out,
    splice,
)


def mutated(seed: int, case: int, known: dict[str, Base]) -> tuple[str, bool, bytes, str]:
    """Return the name, whether it is served as live, the bytes and the MIME type of a case."""
    rng = random.Random(f"{seed}:{case}")
    name = rng.choice(list(known))
    data = bytearray(known[name].data)
    for _ in range(rng.randrange(1, 4)):
        rng.choice(MUTATIONS)(data, rng, known[rng.choice(list(known))].data)
    return name, rng.random() < 0.5, bytes(data), known[name].content_type


def outcome(server: HttpServer) -> tuple[int, str]:
    """Read what the server has; return the number of frames and the reason of the failure."""
    source = NetworkSource(server.url("/video"), NetworkOptions(timeout_s=2.0), "fuzz")
    frames = 0
    try:
        source.open()
        for item in source.read():
            frames += isinstance(item, Frame)
    except SightlineError as error:
        return frames, str(getattr(error, "reason", type(error).__name__))
    finally:
        source.close()
    return frames, ""


def tell(**line: object) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201


def main(seed: int, first: int, last: int) -> None:
    """Run the cases `first` to `last`, both included."""
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    known = bases()
    with HttpServer({}) as server:
        for case in range(first, last + 1):
            name, is_live, data, content_type = mutated(seed, case, known)
            tell(begin=case, video=name, live=is_live)
            server.routes["/video"] = body(data, content_type, length=not is_live, ranges=not is_live)
            start_s = time.monotonic()
            frames, reason = outcome(server)
            tell(end=case, frames=frames, reason=reason, seconds=round(time.monotonic() - start_s, 3))
            server.requests.clear()
            if case == last or case % GOOD_EVERY == GOOD_EVERY - 1:
                for good, base in known.items():
                    server.routes["/video"] = body(base.data, base.content_type, ranges=True)
                    tell(good=good, frames=outcome(server)[0])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""Raw pictures to another process on the same box: through shared memory, and by ZeroMQ over ipc.

    python -m benchmarks.raw_pictures [--seconds 5]

60 pictures of 1920x1080 a second. `hop` is from before the sender hands one over until the receiver has
looked at its pixels (every 4096th byte); `sender` and `receiver` are CPU time per picture, with that of
ZeroMQ's threads. `ring` is `bus.raw` and `sightline.subscribe_raw`, views or copies; `bare ring` announces
nothing but the place, the floor of this way; `ipc` is one ZeroMQ message.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import zmq

import sightline
from benchmarks.viewers import frame_now, paced
from pipeline.picture import BgrPicture, Picture, YuvPicture
from pipeline.raw import RawBus, RawOptions
from pipeline.shared_ring import RingPlace, RingReader, RingWriter

_RAW_HZ = 60
_SIZE = (1920, 1080)


def raw_picture(kind: str) -> Picture:
    """Return a picture of 1080p, planes or BGR."""
    rng = np.random.default_rng(2)
    width, height = _SIZE
    if kind == "planes":
        y, u, v = (rng.integers(0, 255, (height // part, width // part), np.uint8) for part in (1, 2, 2))
        return YuvPicture(y, u, v)
    small = rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return BgrPicture(np.asarray(cv2.resize(small, _SIZE), np.uint8))


def receive_raw(way: str, address: str) -> None:
    """Be the receiving process: say for each picture when its pixels could be looked at."""
    taken: list[tuple[int, int]] = []
    readers: list[RingReader] = []
    if way.startswith("ring"):
        with sightline.subscribe_raw(address, copy="copy" in way) as listener:
            print("ready", flush=True)
            begun_s = 0.0
            while (found := listener.receive(2.0)) is not None or not taken:
                if found is None:
                    continue
                begun_s = begun_s or time.process_time()
                planes = found.picture.planes()
                pixels = found.picture.bgr() if planes is None else planes.y
                int(pixels.ravel()[::4096].sum())
                if found.is_intact() or "copy" in way:
                    taken.append((found.message.sequence, time.monotonic_ns()))
    else:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger, socket.rcvtimeo, socket.rcvhwm = 0, 2000, 2
            socket.connect(address)
            socket.subscribe("")
            print("ready", flush=True)
            begun_s = 0.0
            while True:
                try:
                    header, body = socket.recv_multipart(copy=False)
                except zmq.Again:
                    if taken:
                        break
                    continue
                begun_s = begun_s or time.process_time()
                pixels = np.frombuffer(body.buffer, np.uint8)
                if "bare" in way:
                    segment, *numbers = body.bytes.decode().split()
                    readers = readers or [RingReader(segment)]
                    pixels = np.asarray(readers[0].view(RingPlace(segment, *map(int, numbers))))
                elif "JPEG" in way:
                    pixels = np.asarray(cv2.imdecode(pixels, cv2.IMREAD_COLOR))
                int(pixels.ravel()[::4096].sum())
                taken.append((int(header.bytes), time.monotonic_ns()))
    cpu_ms = (time.process_time() - begun_s) / len(taken) * 1e3
    print(json.dumps({"taken": taken, "cpu_ms": cpu_ms}), flush=True)


def send_raw(way: str, seconds: float) -> dict[str, Any]:
    """Send pictures one way; return what it cost."""
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/raw"
        kind = "planes" if "planes" in way else "bgr"
        picture = raw_picture(kind)
        started: dict[int, int] = {}
        context = zmq.Context()
        socket = context.socket(zmq.XPUB)
        socket.linger, socket.sndhwm = 0, 2
        bus: RawBus | None = None
        ring = RingWriter(6, 3 * _SIZE[0] * _SIZE[1])
        if way.startswith("ring"):
            bus = RawBus(RawOptions(address=address, picture=kind), "0" * 16)
        else:
            socket.bind(address)
        command = [sys.executable, "-m", "benchmarks.raw_pictures", "--receive", way, address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
            assert receiver.stdout is not None
            receiver.stdout.readline()
            time.sleep(0.5)
            frame = frame_now(0, picture)

            def send(n: int) -> None:
                started[n] = time.monotonic_ns()
                if bus is not None:
                    bus.publish(replace(frame, sequence=n))
                elif "bare" in way:
                    place = ring.write([picture.bgr()])
                    told = f"{place.segment} {place.offset} {place.generation} {place.size}"
                    socket.send_multipart([str(n).encode(), told.encode()], zmq.NOBLOCK)
                elif "JPEG" in way:
                    jpeg = cv2.imencode(".jpg", picture.bgr(), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
                    socket.send_multipart([str(n).encode(), jpeg.tobytes()], zmq.NOBLOCK)
                else:
                    socket.send_multipart([str(n).encode(), picture.bgr().data], zmq.NOBLOCK, copy=False)

            begun_s = time.process_time()
            sent = paced(_RAW_HZ, time.monotonic() + seconds, send)
            cpu_ms = (time.process_time() - begun_s) / sent * 1e3
            told = json.loads(receiver.stdout.readline())
        if bus is not None:
            bus.close()
        ring.close()
        socket.close()
        context.term()
    hops = sorted((at_ns - started[n]) / 1e6 for n, at_ns in told["taken"])
    return {
        "hop_ms": statistics.median(hops),
        "p99_ms": hops[int(len(hops) * 0.99)],
        "sender_ms": cpu_ms,
        "receiver_ms": told["cpu_ms"],
        "missing": sent - len(hops),
    }


_WAYS = (
    "ring, planes",
    "ring, planes, copy",
    "ring, bgr",
    "ring, bgr, copy",
    "bare ring, bgr",
    "ipc, BGR bytes",
    "ipc, JPEG",
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--receive", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    if asked.receive:
        receive_raw(*asked.receive)
        return
    print("| 1080p, 60/s | hop | 99 % | sender | receiver | missing |\n|---|---:|---:|---:|---:|---:|")
    for way in _WAYS:
        found = send_raw(way, asked.seconds)
        print(
            f"| {way} | {found['hop_ms']:.2f} ms | {found['p99_ms']:.2f} ms | "
            f"{found['sender_ms']:.2f} ms | {found['receiver_ms']:.2f} ms | {found['missing']} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""A viewer that is slower than its source.

    python -m benchmarks.viewers [--seconds 20]

Another process publishes 100 pictures a second (JPEG of about 155 KiB) and 200 events; this one works 50 ms
on each picture that it gets. `behind` is the age of a picture when it is handed out, `counted` how many it
knows to have missed of how many, the last column how much its memory grew. `ZeroMQ as it comes` is a plain
PUB and SUB with the default queues; the others are `Bus` and what `sightline.subscribe` returns.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zmq

from pipeline.bus import Bus
from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.hub import Ends, Hub
from pipeline.listen import Listener
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture, Picture
from pipeline.place import Place
from pipeline.wire import EventMessage, FrameMessage, Message, decode, encode

LARGE, SMALL = 480, 80
_WORK_S = 0.05
_PICTURES_HZ = 100
_EVENTS_HZ = 200


def noisy(side: int) -> BgrPicture:
    """Return a picture that has about a byte of JPEG for each of its side x side pixels."""
    rng = np.random.default_rng(1)
    return BgrPicture(rng.integers(0, 255, (side * 3 // 4, side * 4 // 3, 3), np.uint8))


def frame_now(sequence: int, picture: Picture) -> Frame:
    """Return a frame of this moment."""
    return Frame("gate", "run", sequence, Moment(sequence / 100, time.time_ns(), Clock.ARRIVAL, 0), picture)


def event_now(sequence: int) -> Event:
    """Return an event of this moment."""
    frame = frame_now(sequence, BgrPicture(np.zeros((2, 2, 3), np.uint8)))
    return frame.event("line.crossing", str(sequence), Producer("count", "main"), track_id=sequence)


def paced(hz: float, ends_s: float, do: Callable[[int], None]) -> int:
    """Do something so often; return how many times it was done."""
    begun_s, done = time.monotonic(), 0
    while time.monotonic() < ends_s:
        do(done)
        done += 1
        time.sleep(max(0.0, begun_s + done / hz - time.monotonic()))
    return done


def publish(kind: str, events: str, frames: str, seconds: float, side: int) -> None:
    """Be the publishing process."""
    picture = noisy(side)
    if kind == "plain":
        context = zmq.Context()
        sockets = [context.socket(zmq.PUB) for _ in range(2)]
        for opened, address in zip(sockets, (events, frames), strict=True):
            opened.linger = 0
            opened.bind(address)
        jpeg = cv2.imencode(".jpg", picture.bgr(), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()

        def send_frame(n: int) -> None:
            message = FrameMessage.of(frame_now(n, picture), jpeg, quality=80, bus="0" * 16, n=n)
            sockets[1].send_multipart(encode(message))

        def send_event(n: int) -> None:
            sockets[0].send_multipart(encode(EventMessage("0" * 16, n, event_now(n))))
    else:
        bus = Bus(*(Place(address, connects=kind == "hub") for address in (events, frames)))

        def send_frame(n: int) -> None:
            bus.publish_frame(frame_now(n, picture))

        def send_event(n: int) -> None:
            bus.publish_event(event_now(n))

    print("ready", flush=True)
    sys.stdin.readline()
    ends_s = time.monotonic() + seconds
    sent: dict[str, int] = {}
    other = threading.Thread(target=lambda: sent.update(events=paced(_EVENTS_HZ, ends_s, send_event)))
    other.start()
    sent["frames"] = paced(_PICTURES_HZ, ends_s, send_frame)
    other.join()
    print(json.dumps(sent), flush=True)
    sys.stdin.readline()
    os._exit(0)


def watch(kind: str, seconds: float, scheme: str, newest: bool, side: int = LARGE) -> dict[str, Any]:
    """Be the viewer; return what it saw."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        events, frames = (_address(scheme, folder, name) for name in ("events", "frames"))
        places = [events, frames]
        if kind == "hub":
            places = [_address(scheme, folder, f"box-{name}") for name in ("events", "frames")]
            ends = zip(("events", "frames"), places, (events, frames), strict=True)
            stack.enter_context(Hub({name: Ends(box, program) for name, box, program in ends}))
        command = [sys.executable, "-m", "benchmarks.viewers", "--publish", kind, *places]
        with subprocess.Popen(
            [*command, str(seconds), str(side)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as publisher:
            assert publisher.stdin is not None
            assert publisher.stdout is not None
            publisher.stdout.readline()
            if kind == "plain":
                found = _plain(events, frames, publisher)
            else:
                found = _listener(events, frames, publisher, newest=newest)
            publisher.stdin.write("end\n")
            publisher.stdin.flush()
    return found


class _Seen:
    """What a viewer saw; numbers are counted from the first that came, as a subscription takes a while."""

    def __init__(self) -> None:
        self.behind_s: list[float] = []
        self.kib: list[int] = []
        self.frames: list[int] = []
        self.events: list[int] = []

    def take(self, message: Message) -> None:
        """Note a message; work on it if it is a picture."""
        if isinstance(message, FrameMessage):
            self.frames.append(message.n)
            self.behind_s.append((time.time_ns() - message.moment.time_ns) / 1e9)
            self.kib.append(_resident_kib())
            time.sleep(_WORK_S)
        else:
            self.events.append(message.n)

    def told(self, sent: dict[str, int], counted: int) -> dict[str, Any]:
        """Return what there is to say of it."""
        early = self.kib[len(self.kib) // 5]
        return {
            "pictures": len(self.frames),
            "sent": sent["frames"],
            "median_s": statistics.median(self.behind_s),
            "most_s": max(self.behind_s),
            "counted": counted,
            "missed": self.frames[-1] - self.frames[0] + 1 - len(self.frames),
            "events": len(self.events),
            "events_missing": sent["events"] - self.events[0] - len(self.events),
            "grown_mib": (max(self.kib) - early) / 1024,
        }


def _listener(events: str, frames: str, publisher: subprocess.Popen[str], *, newest: bool) -> dict[str, Any]:
    seen = _Seen()
    with Listener([events, frames], ["event/", "frame/gate"], newest=newest) as listener:
        time.sleep(0.5)
        sent = _begin(publisher)
        quiet_s, early = 0.0, 0
        while quiet_s < 1.0 or sent.is_alive():
            received = listener.receive(0.2)
            quiet_s = 0.0 if received else quiet_s + 0.2
            if not seen.frames:  # what it replaced or missed before the first that it handed out
                early = listener.lost + listener.stale
            if received:
                seen.take(received.message)
        return seen.told(sent.sent, listener.lost + listener.stale - early)


def _plain(events: str, frames: str, publisher: subprocess.Popen[str]) -> dict[str, Any]:
    seen = _Seen()
    with zmq.Context() as context, context.socket(zmq.SUB) as one, context.socket(zmq.SUB) as other:
        poller = zmq.Poller()
        for opened, address in ((one, events), (other, frames)):
            opened.linger = 0
            opened.connect(address)
            opened.subscribe("")
            poller.register(opened, zmq.POLLIN)
        time.sleep(0.5)
        sent = _begin(publisher)
        quiet_s = 0.0
        while quiet_s < 1.0 or sent.is_alive():
            ready = dict(poller.poll(200))
            quiet_s = 0.0 if ready else quiet_s + 0.2
            if ready:
                seen.take(decode((one if one in ready else other).recv_multipart()))
        return seen.told(sent.sent, 0)


class _Sending(threading.Thread):
    """Waits for what the publisher says at its end."""

    def __init__(self, publisher: subprocess.Popen[str]) -> None:
        super().__init__()
        self._publisher = publisher
        self.sent: dict[str, int] = {}

    def run(self) -> None:
        assert self._publisher.stdout is not None
        self.sent = json.loads(self._publisher.stdout.readline())


def _begin(publisher: subprocess.Popen[str]) -> _Sending:
    assert publisher.stdin is not None
    publisher.stdin.write("go\n")
    publisher.stdin.flush()
    waiting = _Sending(publisher)
    waiting.start()
    return waiting


def _address(scheme: str, folder: str, name: str) -> str:
    if scheme == "ipc":
        return f"ipc://{folder}/{name}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


_VIEWERS: dict[str, tuple[str, str, bool, int]] = {
    "ZeroMQ as it comes, tcp": ("plain", "tcp", True, LARGE),
    "sightline, tcp": ("bus", "tcp", True, LARGE),
    "sightline, ipc": ("bus", "ipc", True, LARGE),
    "sightline, pictures of 5 KiB, tcp": ("bus", "tcp", True, SMALL),
    "sightline, pictures of 5 KiB, ipc": ("bus", "ipc", True, SMALL),
    "sightline, by way of a hub, tcp": ("hub", "tcp", True, LARGE),
    "sightline, newest=False, tcp": ("bus", "tcp", False, LARGE),
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--publish", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    if asked.publish:
        kind, events, frames, seconds, side = asked.publish
        publish(kind, events, frames, float(seconds), int(side))
        return
    print("| 50 ms a picture | handed out of | behind, median | most | counted | events missing | MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, (kind, scheme, newest, side) in _VIEWERS.items():
        found = watch(kind, asked.seconds, scheme, newest, side)
        print(
            f"| {name} | {found['pictures']} of {found['sent']} | {found['median_s'] * 1e3:.0f} ms | "
            f"{found['most_s'] * 1e3:.0f} ms | {found['counted']} of {found['missed']} | "
            f"{found['events_missing']} | {found['grown_mib']:+.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

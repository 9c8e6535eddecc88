"""What a hub costs: events and pictures from a box to a program, directly and through `sightline hub`.

    python -m benchmarks.hub

Box, hub and program are processes of their own on this machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from multiprocessing.synchronize import Event as Flag
from typing import Any

import zmq

from pipeline.bus import Bus
from pipeline.hub import Ends, Hub
from pipeline.place import Place
from pipeline.wire import EventMessage, encode
from tests.pipeline.messages import make_event, make_frame, noise

DIRECT = {"events": "tcp://127.0.0.1:26101", "frames": "tcp://127.0.0.1:26102"}
BOXES = {"events": "tcp://127.0.0.1:26103", "frames": "tcp://127.0.0.1:26104"}
PROGRAMS = {"events": "tcp://127.0.0.1:26105", "frames": "tcp://127.0.0.1:26106"}


def serve(over: Flag, answers: Any) -> None:
    """Run the hub; tell how much of the processor it took."""
    with Hub({name: Ends(BOXES[name], PROGRAMS[name]) for name in BOXES}) as hub:
        answers.put("ready")
        over.wait()
        used = os.times()
        answers.put((used.user + used.system, hub.statistics()["events"]["passed"]))


def receive(endpoint: str, topic: str, messages: int, answers: Any) -> None:
    """Take so many messages as they are; tell the rate, and how old each was when it came."""
    with zmq.Context() as context, context.socket(zmq.SUB) as program:
        program.linger, program.rcvhwm = 0, 200_000
        program.connect(endpoint)
        program.subscribe(topic)
        began, ages_ms = 0.0, []
        for number in range(messages):
            parts = program.recv_multipart()
            now = time.perf_counter()
            began = began or now
            if topic.startswith("frame/"):
                ages_ms.append(1e3 * (now - sent_at(parts[1])))
            elif number % 1000 == 0 and program.poll(5000) == 0:
                break
        answers.put((messages / (time.perf_counter() - began), ages_ms))


def sent_at(header: bytes) -> float:
    """Read the time of sending, which the box put in place of the media time."""
    import msgpack

    return float(msgpack.unpackb(header)["pts_s"])


def measured(
    place: dict[str, Any], endpoint: dict[str, str], events: int, frames: int
) -> tuple[float, list[float]]:
    """Return events a second flat out, and the ages of pictures sent at 50 Hz, ms."""
    answers: Any = multiprocessing.Queue()
    with Bus(place["events"], place["frames"]) as bus:
        program = multiprocessing.Process(
            target=receive, args=(endpoint["events"], "event/", events, answers)
        )
        program.start()
        while not bus.statistics()["events_subscriptions"]:
            time.sleep(0.01)
        event = make_event(data={"text": "x" * 400})
        parts = encode(EventMessage(bus._id, 0, event))
        publisher = bus._events
        assert publisher is not None
        for number in range(events):
            publisher.send("event/gate", lambda _: parts)
            if number % 200 == 0:
                time.sleep(0)  # let the others have the core
        rate, _ = answers.get()
        program.join()
        program = multiprocessing.Process(
            target=receive, args=(endpoint["frames"], "frame/", frames, answers)
        )
        program.start()
        while not bus.wants_frames("gate"):
            time.sleep(0.01)
        picture = noise(1, 1280, 720)
        for number in range(frames + 50):
            frame = make_frame(number, bgr=picture)
            frame.moment = frame.moment.shifted(time.perf_counter() - frame.moment.pts_s)
            bus.publish_frame(frame)
            time.sleep(0.02)
            if not program.is_alive():
                break
        _, ages_ms = answers.get()
        program.join()
    return rate, ages_ms


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--frames", type=int, default=200)
    chosen = parser.parse_args()
    rows = [("directly", *measured(DIRECT, DIRECT, chosen.events, chosen.frames))]
    over, answers = multiprocessing.Event(), multiprocessing.Queue()  # type: ignore[var-annotated]
    hub = multiprocessing.Process(target=serve, args=(over, answers))
    hub.start()
    answers.get()
    boxes = {name: Place(address, connects=True) for name, address in BOXES.items()}
    rows.append(("through the hub", *measured(boxes, PROGRAMS, chosen.events, chosen.frames)))
    over.set()
    cpu_s, passed = answers.get()
    hub.join()
    print("| | events/s | age of a picture with its JPEG made, ms: median | 99 % |")
    print("| --- | ---: | ---: | ---: |")
    for name, rate, ages_ms in rows:
        last = statistics.quantiles(ages_ms, n=100)[98]
        print(f"| {name} | {rate:,.0f} | {statistics.median(ages_ms):.1f} | {last:.1f} |")
    print(f"\nhub: {1e6 * cpu_s / passed:.1f} us of the processor an event (of {passed:,}; start included)")


if __name__ == "__main__":
    main()

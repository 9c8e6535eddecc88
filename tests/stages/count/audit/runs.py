"""Folders of runs, made by the evidence part itself from a drawn street."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.event import Event, Producer
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.picture import BgrPicture
from pipeline.plugin import StageContext, StreamInfo
from stages.count.audit.windows import Count, Strip, Window, windows_of
from stages.count.evidence.options import EvidenceOptions
from stages.count.evidence.part import EvidencePart
from stages.count.place import LinePlace
from stages.count.seen import Passage, Seen

WIDTH, HEIGHT = 160, 90
BEGIN_NS = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC
GATE = LinePlace((((0.0, 45.0), (160.0, 45.0)),), ("down", "up"))


def write_run(
    folder: Path, *, seconds: float = 10.0, crossings: int = 4, stream: str = "cam", line: str = "gate"
) -> list[Event]:
    """Write what a run leaves: evenly spread crossings of "gate", every other one upwards, at 10 Hz."""
    part = EvidencePart(
        EvidenceOptions(), StageContext(stream, "c0ffee", folder=folder), lambda: {line: GATE}
    )
    part.open(StreamInfo(stream, "street.mp4", "run", WIDTH, HEIGHT))
    due = [round((number + 0.5) * seconds * 10 / crossings) for number in range(crossings)]
    events: list[Event] = []
    for tick in range(round(seconds * 10)):
        bgr = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        number = min(range(crossings), key=lambda one: abs(due[one] - tick))
        x = 20 + 120 * number / max(crossings - 1, 1)
        near = abs(due[number] - tick) <= 2
        if near:
            bgr[35:55, int(x) - 10 : int(x) + 10] = (0, 0, 230)
        moment = Moment(tick / 10, BEGIN_NS + tick * 10**8, Clock.FILE)
        frame = Frame(stream, "run", tick, moment, BgrPicture(bgr))
        passes = tick in due
        boxes = np.array([[x - 10, 35, x + 10, 55]] if passes else np.zeros((0, 4)), float)
        ids = [number] if passes else []
        passages = [Passage(line, number, 0)] if passes else []
        part.update(Seen(frame, tick / 10, ids, ids, ids, boxes, ["car"] * len(ids), passages=passages))
        if passes:
            events += part.dress([_crossing(frame, number, x, line)])
    part.close()
    text = "".join(json.dumps(event.to_dict()) + "\n" for event in events)
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(text)
    return events


def counts_in(window: int, total: int, label: str = "car") -> list[Count]:
    """Return counts of one strip of a made-up run, see `made_windows`."""
    begin_ns = BEGIN_NS + window * 30 * 10**9
    return [
        Count(
            f"{window}-{number}",
            "cam",
            "gate",
            "down" if number % 2 else "up",
            label,
            begin_ns + number * 10**9,
            window * 30.0 + number,
        )
        for number in range(total)
    ]


def strip_at(window: int, picture: Path = Path("strip.jpg"), line: str = "gate") -> Strip:
    """Return the strip of half a minute, with a slit a second."""
    begin_ns = BEGIN_NS + window * 30 * 10**9
    times_ms = tuple(range(0, 30_000, 1000))
    return Strip("cam", line, begin_ns, begin_ns + 29 * 10**9, picture, 45, 1, times_ms, (), ("down", "up"))


def made_windows(*totals: int) -> list[Window]:
    """Return consecutive windows of half a minute with so many counts each."""
    strips = [strip_at(window) for window in range(len(totals))]
    return windows_of(
        strips, [count for window, total in enumerate(totals) for count in counts_in(window, total)]
    )


def _crossing(frame: Frame, number: int, x: float, line: str) -> Event:
    return frame.event(
        "line.crossing",
        f"{line}:{number}:1",
        Producer("count", line, "c0ffee"),
        track_id=number,
        label="car" if number % 3 else "bus",
        position=(x, 45.0),
        data={"line": line, "direction": "up" if number % 2 else "down", "label": "car"},
        evidence={"trail": []},
    )

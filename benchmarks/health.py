"""The tables of docs/health.md: what the stage `health` notices, what it takes for a fault, what it costs.

    python -m benchmarks.health [--only faults false cost]

Real footage from the shared data folder (SIGHTLINE_SHARED names it), played over and over, a picture a
second, with faults drawn into it (tests/stages/health/faults.py). The section `cost` wants a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from pipeline.event import Event
from pipeline.frame import Frame
from pipeline.plugin import StageContext, StreamInfo
from stages.health.options import HealthOptions
from stages.health.stage import HealthStage
from tests.stages.health import faults
from tests.stages.health.faults import Fault, Luma

DATA = Path(os.environ.get("SIGHTLINE_SHARED", Path(__file__).parents[2] / "shared")) / "data"
STANDING = {
    "car-detection": "video/car-detection.mp4",
    "traffic_a": "video/traffic_a.mp4",
    "TUD-Campus": "mot15/TUD-Campus/TUD-Campus.mp4",
    "TUD-Stadtmitte": "mot15/TUD-Stadtmitte/TUD-Stadtmitte.mp4",
}
MOVING = {
    "dashcam_motorway": "video/dashcam_motorway.mp4",
    "dashcam_vehicles": "video/dashcam_vehicles_720p.mp4",
    "faces (cuts)": "video/faces.mp4",
}
FAULTS: dict[str, tuple[Fault, str]] = {
    "shift 1.5 % right, 1.5 % down": (faults.panned(0.015, 0.015), ""),
    "shift 3 %": (faults.panned(0.03, 0.03), "moved"),
    "shift 10 %": (faults.panned(0.1, 0.0), "moved"),
    "shift 30 %": (faults.panned(0.3, 0.1), "moved"),
    "turn 2 deg": (faults.turned(2), ""),
    "turn 5 deg": (faults.turned(5), "moved"),
    "turn 20 deg": (faults.turned(20), "moved"),
    "zoom 1.2": (faults.turned(0, 1.2), "moved"),
    "upside down": (faults.turned(180), "moved"),
    "shift 10 %, with name and clock": (faults.stamped(faults.panned(0.1, 0.05)), "moved"),
    "blur 1 px": (faults.blurred(1), ""),
    "blur 2 px": (faults.blurred(2), "blurred"),
    "blur 3 px": (faults.blurred(3), "blurred"),
    "blur 5 px": (faults.blurred(5), "blurred"),
    "blur 15 px": (faults.blurred(15), "blurred"),
    "cloth over a third": (faults.clothed(0.33), ""),
    "cloth over two thirds": (faults.clothed(0.67), "covered"),
    "cloth": (faults.clothed(), "covered"),
    "cloth, with name and clock": (faults.stamped(faults.clothed()), "covered"),
    "spray": (faults.sprayed, "covered"),
    "dark": (faults.unlit, "dark"),
    "frozen": (faults.Stuck(), "frozen"),
    "frozen, the clock goes on": (faults.stamped(faults.Stuck()), "frozen"),
    "exposure x 0.35": (faults.dimmed(0.35), ""),
    "exposure x 1.8": (faults.dimmed(1.8), ""),
    "infra-red spot, inverted": (faults.infrared, ""),
    "rain": (faults.rainy, ""),
}


def stage_of(luma: Luma, **options: object) -> HealthStage:
    """Open a stage for pictures of this size, which keeps nothing."""
    stage = HealthStage(HealthOptions.model_validate(options), StageContext("bench"))
    stage.open(StreamInfo("bench", "bench://", "run", luma.shape[1], luma.shape[0]))
    return stage


def told(frames: Iterable[Frame], stage: HealthStage) -> list[tuple[float, Event]]:
    """Return the events, each with the media time at which it was told."""
    return [
        (frame.moment.pts_s, event) for frame in frames for event in (stage.process(frame), frame.events)[1]
    ]


def show_faults() -> None:
    """What each fault on each clip is taken for, and after how many seconds; it lasts from 60 to 180 s."""
    print("| fault | expected | " + " | ".join(STANDING) + " |")
    print("|---|---|" + "---|" * len(STANDING))
    clips = {name: faults.lumas(DATA / path, 12) for name, path in STANDING.items()}
    for name, (fault, expected) in FAULTS.items():
        cells = []
        for clip in clips.values():
            events = told(faults.broken(clip, fault, 60, 180, 260), stage_of(clip[0]))
            begins = {
                f"{event.data['problem']} {at_s - 60:.0f} s" + _figure(event)
                for at_s, event in events
                if event.data["state"] == "begin"
            }
            ends = [at_s - 180 for at_s, event in events if event.data["state"] == "end"]
            cells.append(", ".join(sorted(begins)) + (f", over {max(ends):.0f} s" if ends else "") or "-")
        print(f"| {name} | {expected or '-'} | " + " | ".join(cells) + " |", flush=True)


def _figure(event: Event) -> str:
    data = event.data
    if data["problem"] != "moved":
        return f" ({data['measure']:g})"
    return f" ({100 * data['measure']:.1f} %)" if data["recognised"] else " (not found)"


def show_false() -> None:
    """Problems told where there are none: each clip for ten minutes, every k-th picture a second."""
    print("| clip | view | problems in ten minutes |")
    print("|---|---|---|")
    for name, path in (STANDING | MOVING).items():
        for every in (5, 12, 25):
            clip = faults.lumas(DATA / path, every)
            stage = stage_of(clip[0])
            events = told(faults.looped(clip, 600), stage)
            problems = [event.data["problem"] for _, event in events if event.data["state"] == "begin"]
            view = stage.statistics()["view"]
            print(f"| {name}, every {every} | {view} | {', '.join(problems) or 'none'} |", flush=True)


def show_cost() -> None:
    """Milliseconds of CPU of each look in one thread, by what is seen."""
    cv2.setNumThreads(1)
    print("| pictures | state | median ms | mean ms |")
    print("|---|---|---:|---:|")
    small = faults.lumas(DATA / STANDING["traffic_a"], 12)
    for size in ((640, 360), (1920, 1080), (3840, 2160)):
        clip = [np.asarray(cv2.resize(luma, size), np.uint8) for luma in small]
        for state, fault in (
            ("well", faults.sound),
            ("moved 10 %", faults.panned(0.1)),
            ("not found", faults.turned(180)),
            ("covered", faults.clothed()),
        ):
            stage = stage_of(clip[0], every_s=1)
            frames = faults.broken(clip, fault, 30, 120, 120)
            spent = []
            for index, frame in enumerate(frames):
                start = time.thread_time()
                stage.process(frame)
                if index >= 45:
                    spent.append(1e3 * (time.thread_time() - start))
            print(
                f"| {size[0]} x {size[1]} | {state} | {statistics.median(spent):.2f} | "
                f"{statistics.fmean(spent):.2f} |",
                flush=True,
            )


def main() -> None:
    """Print the tables."""
    sections = {"faults": show_faults, "false": show_false, "cost": show_cost}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=sections, default=list(sections))
    for name in parser.parse_args().only:
        print(f"\n## {name}\n")
        sections[name]()


if __name__ == "__main__":
    main()

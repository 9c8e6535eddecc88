"""The tables of docs/spending.md: what looking less costs in accuracy, and what it saves.

    python -m benchmarks.spending [--only gate counts hota] [--settings every=1 every=5 budget.looks_hz=5]

Real networks and footage from the shared data folder (SIGHTLINE_SHARED names it): yolox_nano on
car-detection.mp4 (2 cars up, 2 down) and traffic_a.mp4 (12 vehicles); on TUD-Campus and TUD-Stadtmitte the
public detections of MOT15 and yolox_nano's people, looked at every k-th frame from each of the k possible
first frames. The section `gate` wants a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import yaml

from pipeline.config.load import load_config
from pipeline.engine import Engine
from pipeline.frame import Frame
from pipeline.moment import Clock, Moment
from pipeline.objects import Detections
from pipeline.picture import BgrPicture, Picture
from pipeline.plugin import StageContext, StreamInfo
from stages.detect.base import Detector
from stages.detect.onnx import OnnxDetector, OnnxOptions
from stages.detect.spend.options import DetectorOptions

PROJECT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SIGHTLINE_SHARED", PROJECT.parent / "shared")) / "data"
WEIGHTS = DATA / "weights/yolox_nano.onnx"
SETTINGS = (
    "off",
    "every=1",
    "every=2",
    "every=3",
    "every=5",
    "every=10",
    "budget.looks_hz=5",
    "regions=true",
)
CONTEXT = StageContext("bench")
_ROUNDS = 5
_REPEATS = 4
_STILL_HZ = Fraction(25, 2)

Spend = bool | dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """A clip whose crossings were counted by eye."""

    name: str
    truth: str
    line: dict[str, Any]
    options: dict[str, Any]


CLIPS = (
    Clip("car-detection", "2 + 2", {"start": [0, 0.5], "end": [1, 0.5], "anchor": "center"}, {}),
    Clip(
        "traffic_a",
        "12 + 0",
        {"start": [80, 250], "end": [440, 250], "units": "px"},
        {"labels": ["car", "truck", "bus"], "confidence": 0.3},
    ),
)


def main() -> None:
    """Measure what was asked for and print tables in markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(_SECTIONS), default=list(_SECTIONS))
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), metavar="KEY=VALUE")
    arguments = parser.parse_args()
    if not WEIGHTS.is_file():
        sys.exit(f"{WEIGHTS}: no such file; set SIGHTLINE_SHARED to the folder of the shared data")
    cv2.setNumThreads(1)  # as `sightline run` does
    for name in arguments.only:
        _SECTIONS[name](arguments.settings)


def spend_of(text: str) -> Spend:
    """Return the option `spend` that a setting names: `off`, `every=5`, `budget.looks_hz=5`."""
    if text == "off":
        return False
    key, _, value = text.partition("=")
    spend: Any = yaml.safe_load(value)
    for part in reversed(key.split(".")):
        spend = {part: spend}
    return dict(spend)


def gate(settings: Sequence[str]) -> None:  # noqa: ARG001 - the gate is there or it is not
    """Time a scene in which nothing moves: the first 53 frames of car-detection.mp4, forth and back.

    Each run is timed as a whole, what it costs once included; so a short one and a long one are shown.
    """
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        frames = _still(short, times=24)
        _repeat(short, long, times=_REPEATS)
        _gate_table(short, frames, every_look=True)
        _gate_table(long, frames * _REPEATS, every_look=False)


def _gate_table(clip: Path, frames: int, *, every_look: bool) -> None:
    tail: list[dict[str, Any]] = [{"track": {}}, {"count": {"lines": {"gate": CLIPS[0].line}}}]
    rows: dict[str, Callable[[], float]] = {
        "decoding alone (PyAV, one thread)": lambda: _decode_ms(clip, frames),
        "the engine, no stages": lambda: _engine_ms(clip, []),
        "onnx, track, count": lambda: _engine_ms(clip, [{"onnx": {"model": str(WEIGHTS)}}, *tail]),
    }
    # Side by side in each round, as the speed of a shared machine changes from minute to minute.
    rounds = [{name: measure() for name, measure in rows.items()} for _ in range(_ROUNDS)]
    if every_look:
        stages: list[dict[str, Any]] = [{"onnx": {"model": str(WEIGHTS), "spend": False}}, *tail]
        rounds[-1]["the same, `spend: false`"] = _engine_ms(clip, stages)
    print(f"### Nothing moves: {frames} frames ({float(frames / _STILL_HZ) / 60:.1f} minutes)\n")
    print("| | CPU ms a frame | x decoding | spread |\n|---|---:|---:|---:|")
    for name in rounds[-1]:
        spent_ms = [times[name] for times in rounds if name in times]
        ratios = [times[name] / next(iter(times.values())) for times in rounds if name in times]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"| {name} | {np.median(spent_ms):.2f} | {np.median(ratios):.2f} | {spread} |", flush=True)
    print()


def counts(settings: Sequence[str]) -> None:
    """Count vehicles with each setting."""
    print("\n### Counts\n\n| clip (truth) | spend | counted | looks | carried | unchanged | ms a frame |")
    print("|---|---|---|---:|---:|---:|---:|")
    for clip in CLIPS:
        for text in settings:
            options = {"model": str(WEIGHTS), "spend": spend_of(text), **clip.options}
            stages = [{"onnx": options}, {"track": {}}, {"count": {"lines": {"line": clip.line}}}]
            report = _run(DATA / f"video/{clip.name}.mp4", stages)
            found = [sum(labels.values()) for labels in report["counts"]["line"].values()]
            did = report["stages"].get("onnx", {})
            frames = report["frames"]["finished"]
            cells = [
                f"{clip.name} ({clip.truth})",
                f"`{text}`",
                " + ".join(map(str, found)),
                f"{did.get('looked', frames) + did.get('regions', 0)} of {frames}",
                str(did.get("carried", 0)),
                str(did.get("unchanged", 0)),
                f"{report['ms_per_frame']['onnx']:.1f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


def hota(settings: Sequence[str]) -> None:
    """Score people tracked with each setting, from each possible first look."""
    from stages.track.evaluate.motchallenge import MotSequence, read_sequences

    # Boxes that are given do not know of regions.
    settings = [text for text in settings if not text.startswith("regions")]
    sequences = read_sequences([DATA / "mot15"], names=["TUD-Campus", "TUD-Stadtmitte"])
    print("\n### HOTA\n\nMean over the first looks, lowest to highest\n")
    print(f"| sequence, detections | {' | '.join(f'`{text}`' for text in settings)} |")
    print(f"|---|{'---:|' * len(settings)}")
    for sequence in sequences:
        pictures = [] if sequence.pictures is None else list(sequence.pictures.read(sequence.frames))
        networks = people_of(WEIGHTS, pictures)

        def public(row: int, sequence: MotSequence = sequence) -> Any:
            return None if sequence.detections is None else sequence.detections.of(row + 1)

        def network(row: int, networks: Sequence[Any] = networks) -> Any:
            return networks[row]

        for name, of in (("public", public), ("yolox_nano", network)):
            cells = []
            for text in settings:
                spend = spend_of(text)
                every = spend.get("every", 1) if isinstance(spend, dict) else 1
                scores = [score_of(sequence, pictures, of, spend, first) for first in range(every)]
                spread = f" ({min(scores):.1f} to {max(scores):.1f})" if every > 1 else ""
                cells.append(f"{np.mean(scores):.1f}{spread}")
            print(f"| {sequence.name}, {name} | {' | '.join(cells)} |", flush=True)


_SECTIONS: dict[str, Callable[[Sequence[str]], None]] = {"gate": gate, "counts": counts, "hota": hota}


class Given(Detector):
    """Finds what it is told to."""

    Options = DetectorOptions

    def __init__(self, options: DetectorOptions, of: Callable[[], Detections]) -> None:
        super().__init__(options, CONTEXT)
        self._of = of

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """Return what there is at the present frame."""
        return [self._of() for _ in pictures]


def people_of(model: Path, pictures: Sequence[Any]) -> list[Detections]:
    """Return the people that a network finds in each of these BGR pictures."""
    detector = OnnxDetector(OnnxOptions(model=model, labels=("person",), spend=False), CONTEXT)
    frames = [Frame("bench", "run", 0, Moment(0.0, 0, Clock.FILE), BgrPicture(bgr)) for bgr in pictures]
    for frame in frames:
        detector.process_batch([frame])
    detector.close()
    return [Detections.empty() if frame.detections is None else frame.detections for frame in frames]


def score_of(
    sequence: Any, pictures: Sequence[Any], of: Callable[[int], Detections], spend: Spend, first: int = 0
) -> float:
    """Return HOTA when frame 0 is looked at, and then frame `first` and those that follow by the setting."""
    from stages.track.evaluate.scoring import score, summary
    from stages.track.stage import TrackOptions, TrackStage

    row = 0
    # A detector of its own for frame 0, so that the next look can be at any of the frames after it.
    detectors = [Given(DetectorOptions(spend=spend), lambda: of(row)) for _ in range(2)]
    tracker = TrackStage(TrackOptions(), CONTEXT)
    info = StreamInfo("bench", sequence.name, "run", pictures[0].shape[1], pictures[0].shape[0])
    rows = []
    for stage in (*detectors, tracker):
        stage.open(info)
    for row, bgr in enumerate(pictures):
        moment = Moment(sequence.pts_s(row + 1), 0, Clock.FILE)
        frame = Frame("bench", "run", row, moment, BgrPicture(bgr))
        detectors[0 if row < first else 1].process_batch([frame])
        tracker.process(frame)
        tracks = frame.tracks
        if tracks is not None and len(tracks):
            size = tracks.xyxy[:, 2:] - tracks.xyxy[:, :2]
            columns = [np.full(len(tracks), row + 1.0), tracks.id, tracks.xyxy[:, :2], size, tracks.score]
            rows.append(np.column_stack(columns).astype(np.float64))
    return float(summary(score(sequence, np.concatenate(rows))).hota)


def _still(path: Path, times: int) -> int:
    """Write the quiet beginning of car-detection.mp4 forth and back; return the number of frames."""
    with av.open(str(DATA / "video/car-detection.mp4")) as source:
        kept = [
            frame.to_ndarray(format="yuv420p")
            for frame, _ in zip(source.decode(video=0), range(53), strict=False)
        ]
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=_STILL_HZ, options={"crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 768, 432, "yuv420p"
        for array in _forth_and_back(kept, times):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="yuv420p")))
        target.mux(stream.encode())
    return len(kept) * times


def _repeat(path: Path, target: Path, times: int) -> None:
    """Write the packets of a clip several times, one after the other."""
    with av.open(str(target), "w") as out:
        for turn in range(times):
            with av.open(str(path)) as source:
                track = source.streams.video[0]
                if turn == 0:
                    copy = out.add_stream_from_template(track)
                length = round(track.frames / _STILL_HZ / (track.time_base or 1))
                for packet in source.demux(track):
                    if packet.pts is None or packet.dts is None:  # the last one, which is empty
                        continue
                    packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                    packet.stream = copy
                    out.mux(packet)


def _forth_and_back(kept: Sequence[Any], times: int) -> Iterator[Any]:
    for turn in range(times):
        yield from kept if turn % 2 == 0 else reversed(kept)


def _decode_ms(path: Path, frames: int) -> float:
    begun_s = time.process_time()
    with av.open(str(path)) as source:
        source.streams.video[0].thread_type = "NONE"
        seen = sum(1 for _ in source.decode(video=0))
    if seen != frames:
        sys.exit(f"{path}: {seen} frames decoded, {frames} written")
    return (time.process_time() - begun_s) / frames * 1e3


def _engine_ms(path: Path, stages: Sequence[dict[str, Any]]) -> float:
    """Return the CPU time of all threads per frame, without that of opening the network."""
    report = _run(path, stages)
    return float(report["cpu_s"]) / int(report["frames"]["finished"]) * 1e3


def _run(path: Path, stages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.yaml"
        plain = {"streams": {"bench": {"source": str(path)}}, "stages": list(stages), "sinks": []}
        config.write_text(yaml.safe_dump(plain))
        with Engine(load_config(str(config), out=Path(folder) / "out")) as engine:
            begun_s = time.process_time()
            report = engine.run()["streams"]["bench"]
            report["cpu_s"] = time.process_time() - begun_s
    if report["error"]:
        sys.exit(f"{path}: {report['error']}")
    return dict(report)


if __name__ == "__main__":
    main()

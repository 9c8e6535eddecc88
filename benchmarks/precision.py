"""What precision and smaller inputs cost in accuracy: real weights on real footage.

    python -m benchmarks.precision [--models yolox_nano.onnx ...] [--step 5] [--no-timing]

Each way of running a network is compared with ONNX Runtime in f32. `found again`: boxes of f32 (score 0.25)
that a box of the same class overlaps by IoU 0.5; `new`: boxes that f32 has not, per box of f32; `IoU`: mean
of the pairs. AP50: average precision of people at IoU 0.5 against MOT15's truth. ms: one thread, from the
planes to detections, median.

int8 is ONNX Runtime's static quantisation, convolutions only, per channel, calibrated on other clips than
those that are measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pipeline.errors import SightlineError
from pipeline.objects import Detections
from pipeline.picture import Picture
from pipeline.plugin import StageContext
from stages.detect.layouts.choose import choose_layout
from stages.detect.layouts.spec import Tensors
from stages.detect.onnx import OnnxDetector, OnnxOptions
from stages.detect.runtime.files import read_graph
from tests.shared_data import shared
from tests.stages.detect.footage import frames
from tests.stages.detect.people import Sequence as Labelled
from tests.stages.detect.people import average_precision
from tests.stages.detect.scenes import iou

MODELS = ("yolox_nano.onnx", "FastestDet.onnx", "nanodet_m_320.onnx")
CALIBRATION = ("video/dashcam_motorway.mp4", "video/faces.mp4", "video/car-detection.mp4")
PEOPLE = ("TUD-Stadtmitte", "TUD-Campus")
SURE = 0.25
LEAST = 0.02
TIMED = 60
_SILENT = 4
_PER_CHANNEL_OPSET = 13


@dataclass(frozen=True)
class Way:
    """One way of running a network."""

    label: str
    path: Path
    runtime: str = "onnxruntime"
    precision: str = "full"


@dataclass
class Seen:
    """What one way finds: people of each sequence by frame, and everything on all pictures."""

    people: dict[str, dict[int, Detections]]
    everything: list[Detections]
    ms: float


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--step", type=int, default=5, help="every so many frames of the labelled sequences")
    parser.add_argument("--no-timing", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)  # as `sightline run` does
    labelled = {name: Labelled.load(name) for name in PEOPLE}
    pictures = {
        name: [(n, p) for n, p in each.pictures() if n % arguments.step == 1]
        for name, each in labelled.items()
    }
    traffic = [p for at, p in enumerate(_pictures("video/traffic_a.mp4")) if at % 10 == 0]
    print(
        "| network | way | found again | new | IoU | AP50 Stadtmitte | AP50 Campus | ms |\n"
        "|---|---|---:|---:|---:|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            reference: Seen | None = None
            for way in ways(shared(f"weights/{model}"), Path(folder)):
                try:
                    seen = look(way, pictures, traffic, timing=not arguments.no_timing)
                except SightlineError as error:
                    print(f"| {model} | {way.label} | not here: {error} | | | | | |")
                    continue
                reference = reference or seen
                show(model, way, seen, reference, labelled)


def ways(path: Path, folder: Path) -> Iterator[Way]:
    """Yield the plain way first, then all others."""
    yield Way("f32, ONNX Runtime", path)
    yield Way("f32, OpenVINO", path, "openvino")
    yield Way("bf16, OpenVINO", path, "openvino", "bf16")
    small = quantised(path, folder)
    yield Way("int8, ONNX Runtime", small)
    yield Way("int8, OpenVINO", small, "openvino")
    for share in (3 / 4, 1 / 2):
        smaller = resized(path, folder, share)
        if smaller is not None:
            yield Way(f"f32, {smaller.stem.rpartition('_')[2]} px", smaller)


def look(
    way: Way,
    pictures: dict[str, list[tuple[int, Picture]]],
    traffic: Sequence[Picture],
    *,
    timing: bool,
) -> Seen:
    """Run one way over all pictures."""
    options = OnnxOptions(
        model=way.path, runtime=way.runtime, precision=way.precision, confidence=LEAST, parallel=1
    )
    detector = OnnxDetector(options, StageContext("benchmark"))
    people: dict[str, dict[int, Detections]] = {}
    everything = []
    for name, numbered in pictures.items():
        tables = {number: detector.detect([picture])[0] for number, picture in numbered}
        people[name] = {number: table[table.label == "person"] for number, table in tables.items()}
        everything += list(tables.values())
    everything += [detector.detect([picture])[0] for picture in traffic]
    ms = float("nan")
    if timing:
        sure = OnnxDetector(options.model_copy(update={"confidence": SURE}), StageContext("benchmark"))
        times = []
        for at in range(TIMED):
            picture = traffic[at % len(traffic)]
            picture._fitted = None  # as if it had just been decoded
            start = time.perf_counter()
            sure.detect([picture])
            times.append(time.perf_counter() - start)
        ms = float(np.median(times)) * 1e3
        sure.close()
    detector.close()
    return Seen(people, everything, ms)


def show(model: str, way: Way, seen: Seen, reference: Seen, labelled: dict[str, Labelled]) -> None:
    """Print one row of the table."""
    total = found = extra = 0
    overlaps: list[float] = []
    for theirs, plain in zip(seen.everything, reference.everything, strict=True):
        theirs, plain = theirs[theirs.score >= SURE], plain[plain.score >= SURE]
        same = iou(plain.xyxy.astype(float), theirs.xyxy.astype(float))
        same[plain.label[:, None] != theirs.label[None]] = 0
        pairs = 0
        while same.size and same.max() >= 0.5:
            row, column = np.unravel_index(same.argmax(), same.shape)
            overlaps.append(float(same[row, column]))
            same[row], same[:, column] = 0, 0
            pairs += 1
        total, found, extra = total + len(plain), found + pairs, extra + len(theirs) - pairs
    precise = [average_precision(seen.people[name], labelled[name].boxes) for name in PEOPLE]
    cells = [
        model.removesuffix(".onnx"),
        way.label,
        f"{found / total:.1%}",
        f"{extra / total:.1%}",
        f"{np.mean(overlaps):.3f}" if overlaps else "-",
        *(f"{value:.3f}" for value in precise),
        f"{seen.ms:.1f}",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def quantised(path: Path, folder: Path) -> Path:
    """Quantise a network to 8 bits with ONNX Runtime's own tools."""
    import onnx.version_converter
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    graph = read_graph(path)
    layout = choose_layout(graph, path.name)
    name = graph.inputs[0].name

    class Reader(CalibrationDataReader):
        """Hands out pictures as the network sees them."""

        def __init__(self) -> None:
            tensors = Tensors(layout.spec.sized(16, 9))
            self._inputs = [tensors.fill(picture)[0].copy() for picture in _calibration()]
            self._left = iter(self._inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            tensor = next(self._left, None)
            return None if tensor is None else {name: tensor}

    prepared, done = folder / f"{path.stem}_prepared.onnx", folder / f"{path.stem}_int8.onnx"
    onnxruntime.set_default_logger_severity(_SILENT)
    model = onnx.load(str(path))
    weights = {weight.name for weight in model.graph.initializer}
    for port in [port for port in model.graph.input if port.name in weights]:
        model.graph.input.remove(
            port
        )  # old exporters list weights as inputs, which keeps them from being folded
    newer = folder / f"{path.stem}_opset13.onnx"
    onnx.save(onnx.version_converter.convert_version(model, _PER_CHANNEL_OPSET), str(newer))
    quant_pre_process(str(newer), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(done),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return done


def resized(path: Path, folder: Path, share: float) -> Path | None:
    """Give the network a smaller input, where its graph has no sizes built in; None otherwise."""
    import onnx
    import onnxruntime

    model = onnx.load(str(path))
    sides = model.graph.input[0].type.tensor_type.shape.dim
    side = round(sides[3].dim_value * share / 32) * 32
    sides[2].dim_value = sides[3].dim_value = side
    del model.graph.value_info[:]
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _SILENT
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), settings)
        found = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, side, side), np.float32)})
    except Exception:  # ONNX Runtime's own exceptions have no common public base
        return None
    for output, array in zip(model.graph.output, found, strict=True):
        for length in array.shape:
            output.type.tensor_type.shape.dim.add().dim_value = length
    done = folder / f"{path.stem}_{side}.onnx"
    onnx.save(model, str(done))
    try:
        choose_layout(read_graph(done), done.name)
    except SightlineError:
        return None
    return done


def _calibration() -> Iterator[Picture]:
    for clip in CALIBRATION:
        for at, picture in enumerate(_pictures(clip)):
            if at % 15 == 0 and at < 450:
                yield picture


def _pictures(clip: str) -> Iterator[Picture]:
    return (frame.picture for frame in frames(shared(clip)))


if __name__ == "__main__":
    main()

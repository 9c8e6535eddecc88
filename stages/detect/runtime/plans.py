"""Which ways there are on this box to run a network as the options want it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stages.detect.runtime import ort, ov
from stages.detect.runtime.base import MissingRuntimeError, Precision, RuntimeName
from stages.detect.runtime.graph import Graph
from stages.detect.runtime.options import RuntimeOptions


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to run a network.

    Attributes:
        name: of the runtime.
        device: "cpu", "cuda:0", "gpu:0", "npu".
        precision: what it calculates in.
        full: True when that is what the file has, so that nothing is traded.
    """

    name: RuntimeName
    device: str
    precision: Precision
    full: bool

    def __str__(self) -> str:
        return f"{self.name} on {self.device}, {self.precision}"


def own_precision(graph: Graph) -> Precision:
    """Return what the file itself is made for."""
    if graph.is_quantised:
        return "int8"
    half = (
        graph.weights_dtype == "float16" and graph.producer != "openvino"
    )  # an .xml is compressed, not half
    return "f16" if half else "f32"


def plans(graph: Graph, options: RuntimeOptions, suffix: str = ".onnx") -> list[Plan]:
    """Return the ways to run a network, the plainest first; more than one only where something is `auto`.

    Args:
        graph: of the network.
        options: what is wanted.
        suffix: of its file; .xml is OpenVINO's own.

    Raises:
        MissingRuntimeError: if there is none; what is missing, and what to do.
    """
    own = own_precision(graph)
    if options.precision == "int8" and own != "int8":
        raise MissingRuntimeError(
            "precision: int8 needs a network that is quantised already, and this one is not; "
            "quantise it (onnxruntime.quantization) or set 'precision: full'"
        )
    places = list(_places(options, suffix))
    found = [
        Plan(name, device, precision, precision == own)
        for name, device in places
        for precision in _precisions(name, device, own, options.precision)
    ]
    if not found:
        tried = ", ".join(f"{name} on {device}" for name, device in places)
        raise MissingRuntimeError(
            f"precision: {options.precision} cannot be had here (tried {tried}); bf16 needs OpenVINO and a "
            f"processor that has it, f16 needs TensorRT or an Intel GPU; set 'precision: full' or auto"
        )
    return found


def _places(options: RuntimeOptions, suffix: str) -> Iterator[tuple[RuntimeName, str]]:
    """Yield runtime and device. What is named has to be there; of `auto` only what is there is yielded."""
    kind = options.device.partition(":")[0]
    wanted = options.runtime
    if suffix == ".xml":
        if wanted not in ("auto", "openvino"):
            raise MissingRuntimeError(
                f"an OpenVINO model (.xml) does not run on {wanted}; set 'runtime: openvino'"
            )
        wanted = "openvino"
    if wanted == "onnxruntime" and kind == "cuda":
        wanted = "cuda"
    if wanted in ("cuda", "tensorrt"):
        _refuse_unless(kind in ("auto", "cuda"), options)
        device = options.device if ":" in options.device else "cuda:0"
        ort.require(wanted)
        yield wanted, device
    elif wanted == "onnxruntime":
        _refuse_unless(kind in ("auto", "cpu"), options)
        yield "onnxruntime", "cpu"
    elif wanted == "openvino":
        _refuse_unless(kind != "cuda", options)
        yield from (("openvino", device) for device in ov.require(options.device))
    else:
        yield from _any_place(options, kind)


def _any_place(options: RuntimeOptions, kind: str) -> Iterator[tuple[RuntimeName, str]]:
    if kind in ("auto", "cpu"):
        yield "onnxruntime", "cpu"
    if kind == "cuda":
        ort.require("cuda")
    if kind == "cuda" or (kind == "auto" and ort.has("cuda")):
        # TensorRT builds its engine for minutes, so it has to be named.
        yield "cuda", options.device if ":" in options.device else "cuda:0"
    if kind in ("gpu", "npu") or (kind in ("auto", "cpu") and ov.is_installed()):
        yield from (("openvino", device) for device in ov.require(options.device))


def _refuse_unless(fits: bool, options: RuntimeOptions) -> None:
    if not fits:
        raise MissingRuntimeError(
            f"runtime: {options.runtime} does not run on device: {options.device}; set one of them to auto"
        )


def _precisions(name: RuntimeName, device: str, own: Precision, wanted: str) -> Sequence[Precision]:
    reduced: Sequence[Precision] = ()
    if own == "f32":
        if name == "openvino":
            reduced = ov.reduced_precisions(device)
        elif name == "tensorrt":
            reduced = ("f16", "bf16")
    if wanted == "full":
        return (own,)
    if wanted == "auto":
        return (own, *reduced)
    return tuple(precision for precision in (own, *reduced) if precision == wanted)

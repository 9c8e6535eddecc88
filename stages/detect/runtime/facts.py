"""What `sightline doctor` shows of runtimes: which are here, on what, and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from stages.detect.runtime import ort, ov
from stages.detect.runtime.base import MissingRuntimeError
from stages.detect.runtime.cache import remembered
from stages.detect.runtime.options import usable_cores

_MOST_SHOWN = 12


def describe() -> dict[str, str]:
    """Return the rows of the table: name -> finding."""
    rows = {
        "onnxruntime": _found(_onnxruntime),
        "cuda": _found(partial(_provider, "cuda")),
        "tensorrt": _found(partial(_provider, "tensorrt")),
        "openvino": _found(_openvino),
    }
    measured = list(remembered().values())[-_MOST_SHOWN:]
    for entry in reversed(measured):
        rows.setdefault(f"{entry.get('model', '?')} {entry.get('input', '')}".strip(), _measured(entry))
    return rows


def _found(look: Callable[[], str]) -> str:
    """Return what `look` finds; a broken package must not hide the others."""
    try:
        return look()
    except Exception as error:  # an import of native libraries may fail in any way
        return " ".join(f"broken: {type(error).__name__}: {error}".split())


def _onnxruntime() -> str:
    import onnxruntime

    cores = usable_cores()
    return f"{onnxruntime.__version__} on the cpu in f32, one thread a picture, {cores} at once"


def _provider(name: ort.GpuName) -> str:
    try:
        ort.require(name)
    except MissingRuntimeError as error:
        return str(error)
    if name == "tensorrt":
        return "built in, in f32, f16, bf16; its engine is built when 'runtime: tensorrt' is first used"
    return "built in, in f32 (TF32 off); whether a GPU can be used shows when a network is opened"


def _openvino() -> str:
    if not ov.is_installed():
        return 'not installed: pip install "sightline[openvino]"'
    try:
        number = version("openvino")
    except PackageNotFoundError:
        number = "of unknown version"
    told = [f"{device} in {', '.join(['f32', *ov.reduced_precisions(device)])}" for device in ov.devices()]
    return f"{number} on the {' and the '.join(told)}" if told else f"{number}, which finds no device"


def _measured(entry: dict[str, Any]) -> str:
    times = entry.get("ms")
    known = times if isinstance(times, dict) else {}
    table = "; ".join(f"{plan} {spent} ms" for plan, spent in known.items())
    return f"{entry.get('chosen', '?')} (measured: {table})"

"""From weights of ultralytics (.pt) to a file that other runtimes read, made once and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any, Literal

from pipeline.errors import ModelError
from stages.detect.models.cache import cache_folder, locked, made, unwritable
from stages.detect.models.kinds import check_weights
from stages.detect.models.store import sha256_of

Format = Literal["onnx", "openvino", "engine"]
Steps = Callable[[str], None]
"""Told what is being done, a few words each time."""

TIMEOUT_S = 900.0
"""An ONNX file takes some seconds, a TensorRT engine minutes."""

_MOST_EXPORTS = 32
_PACKAGES: dict[Format, tuple[str, ...]] = {
    "onnx": ("ultralytics", "torch", "onnx"),
    "openvino": ("ultralytics", "torch", "openvino"),
    "engine": ("ultralytics", "torch", "onnx", "tensorrt"),
}
_INSTALL: dict[Format, str] = {
    "onnx": 'pip install "sightline[yolo]"',
    "openvino": 'pip install "sightline[yolo]" openvino',
    "engine": 'pip install "sightline[yolo]" tensorrt',
}
_TOLD_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What is exported.

    Attributes:
        format: `onnx`; `openvino` (its IR); `engine` (TensorRT, for the GPU of this box only).
        width: of the input, px, a multiple of the network's stride (32 for most).
        height: of the input, px.
        batch: pictures at once; with `dynamic` the most.
        dynamic: whether batch, height and width are left open (ONNX; with engines up to the ones here).
        half: 16 bit floats; for ONNX on a GPU only.
        opset: version of ONNX's operators; None for the newest that ultralytics trusts.
        device: `cpu` or `cuda:N`, where it is traced.
    """

    format: Format = "onnx"
    width: int = 640
    height: int = 640
    batch: int = 1
    dynamic: bool = True
    half: bool = False
    opset: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not 32 <= value <= 4096 or value % 32:
                raise ModelError(f"export: {name} must be a multiple of 32 within 32..4096, found {value}")
        if not 1 <= self.batch <= 256:
            raise ModelError(f"export: batch must be within 1..256, found {self.batch}")


def export(
    weights: Path,
    settings: ExportSettings | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    progress: Steps | None = None,
    folder: Path | None = None,
) -> Path:
    """Return the export of these weights, made by ultralytics in a process of its own unless it is there.

    Kept by the content of the weights, the settings, and the versions of what makes it. torch is never
    imported here, and the weights are loaded by `weights_only`. The result is under the licence of
    ultralytics (AGPL-3.0), as its metadata say.

    Args:
        weights: a .pt file of ultralytics.
        settings: what is wanted; ONNX with open sizes by default.
        timeout_s: after which the process is ended.
        progress: told what is being done; by default a log line.
        folder: where exports are kept; `exports` in the cache by default.

    Returns:
        The .onnx or .engine file, or the .xml file with its .bin beside it.

    Raises:
        ModelError: if packages or a GPU are missing, the weights are none, or the export fails or hangs.
    """
    wanted = settings or ExportSettings()
    if weights.suffix.lower() != ".pt":
        raise ModelError(f"'{weights}' is no .pt file of ultralytics; only such are exported")
    check_weights(weights)
    versions = _versions(wanted)
    digest = sha256_of(weights)
    key = json.dumps({"sha256": digest, "versions": versions, **asdict(wanted)}, sort_keys=True)
    shelf = cache_folder() / "exports" if folder is None else folder
    place = shelf / f"{weights.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    found = _result(place, wanted.format)
    if found is not None:
        return found
    tell = progress or _log_step(weights)
    with locked(place.with_name(place.name + ".lock"), lambda: tell("waiting for another process")):
        found = _result(place, wanted.format)
        if found is None:
            _make(weights, wanted, key, place, timeout_s, tell)
            found = _result(place, wanted.format)
        if found is None:
            raise ModelError(f"'{weights}': the export to {wanted.format} left no file behind")
    _prune(shelf, keep=place)
    return found


def exports(folder: Path | None = None) -> list[Path]:
    """Return the folders of the exports that are kept, each with one network in it, oldest first."""
    shelf = cache_folder() / "exports" if folder is None else folder
    if not shelf.is_dir():
        return []
    found = [path for path in shelf.iterdir() if path.is_dir() and (path / "export.json").is_file()]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def _versions(settings: ExportSettings) -> dict[str, str]:
    """Return what the result depends on beside weights and settings."""
    versions: dict[str, str] = {}
    missing = []
    for package in _PACKAGES[settings.format]:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            missing.append(package)
    if missing:
        raise ModelError(
            f"export to {settings.format} needs {' and '.join(missing)}: {_INSTALL[settings.format]}"
        )
    if settings.format == "engine":
        versions["gpu"] = _gpu()
    if find_spec("onnxslim"):
        versions["onnxslim"] = version("onnxslim")
    return versions


def _gpu() -> str:
    """Return names and drivers of the GPUs here; an engine fits no other."""
    program = shutil.which("nvidia-smi")
    if program:
        query = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        with suppress(OSError, subprocess.SubprocessError):
            found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
            if found.stdout.strip():
                return "; ".join(found.stdout.strip().splitlines())
    raise ModelError("export to engine needs an NVIDIA GPU, and there is none here; export to onnx")


def _result(place: Path, format_: Format) -> Path | None:
    """Return the network in a finished export, None when there is none; marks it as used now."""
    pattern = {"onnx": "*.onnx", "engine": "*.engine", "openvino": "*/*.xml"}[format_]
    files = sorted(place.glob(pattern)) if (place / "export.json").is_file() else []
    if not files:
        return None
    with suppress(OSError):  # a cache that cannot be written can still be read
        os.utime(place)
    return files[0]


def _make(
    weights: Path, settings: ExportSettings, key: str, place: Path, timeout_s: float, tell: Steps
) -> None:
    with tempfile.TemporaryDirectory(prefix=".export-", dir=made(place.parent)) as temporary:
        work = Path(temporary)
        result = Path(temporary, "result")
        try:
            copy = work / weights.name
            shutil.copyfile(weights, copy)
            request = {"model": str(copy), "arguments": _arguments(settings)}
            answer = _ask(json.dumps(request), work, timeout_s, tell)
            if "path" not in answer:
                reason = _plain(answer["error"]).replace(str(copy), str(weights))
                raise ModelError(f"'{weights}' cannot be exported to {settings.format}: {reason}")
            made_at = Path(answer["path"])
            if settings.format == "onnx":
                check_weights(made_at)
            result.mkdir()
            made_at.rename(result / made_at.name)
            (result / "export.json").write_text(key + "\n", encoding="utf-8")
            if place.exists():  # an export without its network: somebody removed that
                shutil.rmtree(place)
            result.rename(place)
        except OSError as error:
            raise unwritable(place, error) from error


def _arguments(settings: ExportSettings) -> dict[str, Any]:
    return {
        "format": settings.format,
        "imgsz": [settings.height, settings.width],
        "batch": settings.batch,
        "dynamic": settings.dynamic,
        "device": settings.device.replace("cuda:", "") if settings.format != "openvino" else "cpu",
        **({"quantize": 16} if settings.half else {}),
        **({"opset": settings.opset} if settings.opset and settings.format != "openvino" else {}),
        # ONNX Runtime and TensorRT simplify the graph themselves.
        **({"simplify": find_spec("onnxslim") is not None} if settings.format != "openvino" else {}),
    }


def _ask(request: str, work: Path, timeout_s: float, tell: Steps) -> dict[str, str]:
    """Return the child's answer: `path` or `error`."""
    command = [sys.executable, "-P", "-m", "stages.detect.models.export_child", str(int(timeout_s) + 5)]
    log = work / "log"
    with log.open("wb") as errors:
        child = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=work,
            text=True,
            start_new_session=True,  # so that all it begins can be ended with it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 - for mypy
    lines: Queue[str | None] = Queue()
    Thread(target=_pass_on, args=(child.stdout, lines), name="export-child", daemon=True).start()
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(request)
            child.stdin.close()
        return _answer(lines, timeout_s, tell) or {"error": _last_words(log, child)}
    finally:
        _end(child)
        child.stdout.close()


def _pass_on(stream: IO[str], lines: Queue[str | None]) -> None:
    with suppress(ValueError):  # closed from outside
        for line in stream:
            lines.put(line)
    lines.put(None)


def _answer(lines: Queue[str | None], timeout_s: float, tell: Steps) -> dict[str, str] | None:
    until_s = time.monotonic() + timeout_s
    while True:
        try:
            line = lines.get(timeout=max(0.0, until_s - time.monotonic()))
        except Empty:
            return {"error": f"no answer within {timeout_s:g} s"}
        if line is None:
            return None
        said = json.loads(line)
        if "step" not in said:
            return {str(key): str(value) for key, value in said.items()}
        tell(said["step"])


def _last_words(log: Path, child: subprocess.Popen[str]) -> str:
    child.wait(10)
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    words = " ".join(text[-_TOLD_CHARACTERS:].split()) or "it said nothing"
    return f"the process ended with code {child.returncode}: {words}"


def _plain(text: str) -> str:
    """Return an error of ultralytics without its pictures, and not at any length."""
    words = " ".join(text.encode("ascii", "ignore").decode().split())
    return words if len(words) <= _TOLD_CHARACTERS else f"{words[:_TOLD_CHARACTERS]} ..."


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait(10)


def _prune(shelf: Path, keep: Path) -> None:
    """Remove the exports that were not used for longest, so that updates do not fill the disk."""
    old = [path for path in exports(shelf) if path != keep]
    for path in old[: max(0, len(old) + 1 - _MOST_EXPORTS)]:
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(path.name + ".lock").unlink(missing_ok=True)


def _log_step(weights: Path) -> Steps:
    log = logging.getLogger(__name__)
    begun = [False]

    def tell(step: str) -> None:
        if not begun[0]:
            begun[0] = True
            log.warning(f"{weights.name}: is exported once, which takes some seconds")
        log.info(f"{weights.name}: {step}")

    return tell

"""`sightline doctor`: what does this box have, and what will be used of it?"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import EntryPoint, entry_points

import typer

from pipeline.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Show this box's parts and versions, and which backend each detector will use.

    Example: sightline doctor --json > box.json
    """
    facts = examine()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for heading, rows in facts.items():
        typer.echo(heading)
        for name, value in rows.items():
            typer.echo(f"  {name + ':':<21} {value}")


def examine() -> dict[str, dict[str, str]]:
    """Return heading -> name -> finding, all as text."""
    from pipeline.report import versions

    lines, tables = _facts()
    return {
        "box": _box(),
        "versions": versions(),
        "decoding": {
            "ffmpeg libraries": _found(_ffmpeg),
            "hardware in FFmpeg": _found(_hardware_decoders),
            "used": _found(_decoding_used),
        },
        "live sources": {
            "video pages": _found(_pages),
            "screens": _package("mss", "screen"),
        },
        "inference": {
            "OpenCV on the CPU": "motion, colour, haar, hog, opencv-dnn",
            "onnx": "the runtimes below",
            "yolo": _found(_yolo),
            "torchvision": _found(_torchvision),
            **lines,
        },
        **tables,
        "plug-ins": _plugins(),
    }


def _found(look: Callable[[], str]) -> str:
    """Return what `look` finds; a broken package is a finding, too, and must not hide the others."""
    try:
        return look()
    except Exception as error:  # an import of native libraries may fail in any way
        return " ".join(f"broken: {type(error).__name__}: {error}".split())


def _box() -> dict[str, str]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": f"{usable} usable of {os.cpu_count()}",
        "disk here": _found(_disk),
        "gpu": _nvidia() or "none found (nvidia-smi is not there or lists none): everything runs on the CPU",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        rows["memory"] = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB"
    return rows


def _disk() -> str:
    disk = shutil.disk_usage(".")
    return f"{disk.free / 2**30:.0f} GiB free of {disk.total / 2**30:.0f} GiB"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - a kernel file, not a path of ours
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _nvidia() -> str | None:
    command = shutil.which("nvidia-smi")
    if not command:
        return None
    query = [command, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi failed: {error}"
    return "; ".join(found.stdout.strip().splitlines()) or None


def _ffmpeg() -> str:
    import av

    return ", ".join(f"{name} {'.'.join(map(str, v))}" for name, v in av.library_versions.items())


def _hardware_decoders() -> str:
    import av.codec.hwaccel

    return ", ".join(av.codec.hwaccel.hwdevices_available()) or "none"


def _package(name: str, extra: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f'not installed: pip install "sightline[{extra}]"'


def _pages() -> str:
    deno = (
        ""
        if shutil.which("deno")
        else "; YouTube itself also wants the JavaScript runtime deno, which is not there"
    )
    return _package("yt-dlp", "youtube") + deno


def _decoding_used() -> str:
    import av
    from av.codec.hwaccel import HWAccel, hwdevices_available

    working = []
    for device in hwdevices_available():
        with suppress(av.FFmpegError, RuntimeError, ValueError, OSError):
            context = av.CodecContext.create("h264", "r", HWAccel(device, allow_software_fallback=False))
            if context.is_hwaccel:
                working.append(device)
    if not working:
        return "software, one thread a stream (no device here decodes H.264)"
    return f"software, one thread a stream; 'hwaccel: {working[0]}' would work ({', '.join(working)})"


def _yolo() -> str:
    import importlib.util

    if not importlib.util.find_spec("ultralytics"):
        return 'not installed: pip install "sightline[yolo]" (AGPL-3.0, about 6 GB with torch)'
    return f"the runtimes below, by an export to ONNX; or {_torch()}"


def _torchvision() -> str:
    import importlib.util

    if not importlib.util.find_spec("torchvision"):
        return 'not installed: pip install "sightline[torchvision]"'
    return _torch()


def _torch() -> str:
    import torch

    if torch.cuda.is_available():
        return f"torch {torch.__version__} on {torch.cuda.get_device_name(0)}"
    return f"torch {torch.__version__} on the CPU (no usable CUDA device)"


def _facts() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Return what packages say of their own parts: entry points of the group `sightline.facts`.

    Each names a function that returns a line or a table of lines by name.

    Returns:
        The lines and the tables by the entry points' names.
    """
    entries = sorted(entry_points(group="sightline.facts"), key=lambda entry: entry.name)
    tables: dict[str, dict[str, str]] = {}
    lines: dict[str, str] = {}
    for entry in entries:
        said: list[object] = []
        complaint = _found(partial(_ask, entry, said))
        if said and isinstance(said[0], Mapping):
            tables[entry.name] = {str(name): str(line) for name, line in said[0].items()}
        else:
            lines[entry.name] = str(said[0]) if said else complaint
    return lines, tables


def _ask(entry: EntryPoint, said: list[object]) -> str:
    said.append(entry.load()())
    return ""


def _plugins() -> dict[str, str]:
    from pipeline.errors import ConfigError
    from pipeline.plugin import Kind
    from pipeline.registry import load_plugin, plugin_names

    kinds: tuple[Kind, ...] = ("source", "stage", "sink")
    rows: dict[str, str] = {}
    for kind in kinds:
        found = []
        for name in plugin_names(kind):
            try:
                load_plugin(kind, name)
                found.append(name)
            except ConfigError as error:
                found.append(f"{name} (broken: {error})")
        rows[f"{kind}s"] = ", ".join(found)
    return rows

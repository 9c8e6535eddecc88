"""Compiled twins of Python functions: chosen at import, where they were compiled from the present source.

A room that has some keeps them in a folder `kernels` with the module `compiled`, and marks each function that
has a twin with `@replaceable`. The function is the reference, and what runs where nothing was compiled; its
twin has the same name, arguments and meaning. `SIGHTLINE_PURE=1` in the environment keeps the functions.
"""

from __future__ import annotations

import importlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def digest(folder: Path) -> int | None:
    """Return a number for what the kernels' source files say; None where there are none, as in a wheel.

    The build hook loads this file by its path and compiles the number into the module.
    """
    value = None
    for path in sorted([*folder.glob("*.pyx"), *folder.glob("*.pxi")]):
        value = zlib.crc32(path.read_bytes(), value or 0)
    return value


class Twins:
    """The twins of one room.

    Args:
        package: the room's package of kernels, such as "stages.track.kernels".
        folder: where that lies.
        otherwise: what does the work where nothing was compiled ("numpy").

    Attributes:
        reference: twins' names and the functions that they stand for.
    """

    def __init__(self, package: str, folder: Path, otherwise: str) -> None:
        self.reference: dict[str, Callable[..., Any]] = {}
        self._compiled, reason = _chosen(package, folder)
        self._said = reason if self._compiled else f"{otherwise}{reason}"

    def replaceable(self, function: _Function) -> _Function:
        """Return the function's compiled twin where there is one, else the function itself."""
        self.reference[function.__name__] = function
        twin: _Function = getattr(self._compiled, function.__name__, function)
        return twin

    def are_compiled(self) -> bool:
        """Whether the twins are in use."""
        return self._compiled is not None

    def describe(self) -> str:
        """Say which of both is in use, and why: for `sightline doctor`."""
        return self._said


def _chosen(package: str, folder: Path) -> tuple[ModuleType | None, str]:
    """Return the compiled kernels, or None, and say why."""
    if os.environ.get("SIGHTLINE_PURE", "").lower() not in ("", "0", "no", "false"):
        return None, ", as SIGHTLINE_PURE asks for"
    try:
        compiled = importlib.import_module(f"{package}.compiled")
    except ImportError:
        return None, ": nothing was compiled at install; with a C compiler there, install again"
    if digest(folder) not in (None, compiled.SOURCE):
        return None, ": the source was changed after it was compiled; pip install -e . compiles it again"
    return compiled, "compiled"

"""The tracker's hot functions, compiled: one twin for each numpy function that is marked `@replaceable`.

The numpy functions are the reference, and what runs where nothing was compiled. A twin has the same name,
arguments and meaning; its last bits may differ. `SIGHTLINE_PURE=1` in the environment keeps numpy.

Twins hold the GIL: each runs for microseconds, and to give it up so often would cost more than it frees.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from stages.track.kernels.source import digest

_Function = TypeVar("_Function", bound=Callable[..., Any])

REFERENCE: dict[str, Callable[..., Any]] = {}
"""Twins' names and the numpy functions that they stand for."""


def _choose() -> tuple[ModuleType | None, str]:
    """Return the compiled kernels, or None, and say which of both it is and why."""
    if os.environ.get("SIGHTLINE_PURE", "").lower() not in ("", "0", "no", "false"):
        return None, "numpy, as SIGHTLINE_PURE asks for"
    try:
        import stages.track.kernels.compiled as compiled
    except ImportError:
        return None, "numpy: nothing was compiled at install; with a C compiler there, install again"
    if digest(Path(__file__).parent) not in (None, compiled.SOURCE):
        return None, "numpy: the source was changed after it was compiled; pip install -e . compiles it again"
    return compiled, "compiled"


_compiled, _reason = _choose()


def replaceable(function: _Function) -> _Function:
    """Return the function's compiled twin where there is one, else the function itself."""
    REFERENCE[function.__name__] = function
    twin: _Function = getattr(_compiled, function.__name__, function)
    return twin


def are_compiled() -> bool:
    """Whether the twins are in use."""
    return _compiled is not None


def describe() -> str:
    """Say which of both is in use, and why: for `sightline doctor`."""
    return _reason

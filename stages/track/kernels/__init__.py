"""The tracker's hot functions, compiled: one twin for each numpy function that is marked `@replaceable`.

The numpy functions are the reference and what runs where nothing was compiled. A twin has the same name,
arguments and meaning; its last bits may differ. `SIGHTLINE_PURE=1` in the environment keeps numpy.

Twins hold the GIL: each runs for microseconds, and to give it up so often would cost more than it frees.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

PURE = os.environ.get("SIGHTLINE_PURE", "").lower() not in ("", "0", "no", "false")
"""Whether numpy was asked for."""

REFERENCE: dict[str, Callable[..., Any]] = {}
"""Twins' names and the numpy functions that they stand for."""


def _load() -> ModuleType | None:
    try:
        from stages.track.kernels import compiled
    except ImportError:
        return None
    return compiled


_compiled = None if PURE else _load()


def replaceable(function: _Function) -> _Function:
    """Return the function's compiled twin where there is one, else the function itself."""
    REFERENCE[function.__name__] = function
    twin: _Function = getattr(_compiled, function.__name__, function)
    return twin


def describe() -> str:
    """Say which of both is in use, and why."""
    if _compiled is not None:
        stale = "; older than its source, build it again: pip install -e ." if _is_stale(_compiled) else ""
        return f"compiled (Cython){stale}"
    if PURE:
        return "numpy, as SIGHTLINE_PURE asks for"
    return "numpy: nothing was compiled at install; with a C compiler and Python's headers, install again"


def _is_stale(compiled: ModuleType) -> bool:
    """Whether a source was changed after the extension was built; installed wheels have no sources."""
    built = Path(compiled.__file__ or "")
    sources = [*built.parent.glob("*.pyx"), *built.parent.glob("*.pxi")]
    return any(source.stat().st_mtime > built.stat().st_mtime for source in sources)

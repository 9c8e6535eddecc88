"""The counting of stored paths, compiled: twins of functions in `stages.count.history`.

The Python functions are the reference, and what runs where nothing was compiled. A twin has the same name,
arguments and meaning. `SIGHTLINE_PURE=1` in the environment keeps Python. (The tracker's kernels, in
`stages.track.kernels`, work in the same way; rooms do not know each other.)

Twins of whole batches give up the GIL.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from stages.count.kernels.source import digest

_Function = TypeVar("_Function", bound=Callable[..., Any])

REFERENCE: dict[str, Callable[..., Any]] = {}
"""Twins' names and the Python functions that they stand for."""


def _choose() -> tuple[ModuleType | None, str]:
    """Return the compiled kernels, or None, and say which of both it is and why."""
    if os.environ.get("SIGHTLINE_PURE", "").lower() not in ("", "0", "no", "false"):
        return None, "Python, as SIGHTLINE_PURE asks for"
    try:
        import stages.count.kernels.compiled as compiled
    except ImportError:
        return None, "Python: nothing was compiled at install; with a C compiler there, install again"
    if digest(Path(__file__).parent) not in (None, compiled.SOURCE):
        return (
            None,
            "Python: the source has changed since it was compiled; pip install -e . compiles it again",
        )
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

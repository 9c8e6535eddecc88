"""Compiled or numpy: whoever must know can ask."""

from __future__ import annotations

import os

from stages.track import kernels


def test_in_ci_the_kernels_are_compiled() -> None:
    """Elsewhere a box without a compiler is welcome; there it would hide what was never tested."""
    if os.environ.get("CI") == "true" and not os.environ.get("SIGHTLINE_PURE"):
        assert kernels.are_compiled(), kernels.describe()


def test_it_says_which_of_both_is_in_use() -> None:
    assert kernels.describe().startswith("compiled" if kernels.are_compiled() else "numpy")


def test_a_function_without_a_twin_stays_itself() -> None:
    def nobody_compiled_this() -> None: ...

    try:
        assert kernels.replaceable(nobody_compiled_this) is nobody_compiled_this
    finally:
        del kernels.REFERENCE["nobody_compiled_this"]

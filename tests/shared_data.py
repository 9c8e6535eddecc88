"""Finds the footage, truth and weights that lie beside the project; a user's clone has none of it."""

import os
from pathlib import Path

import pytest

_DATA = Path(os.environ.get("SIGHTLINE_SHARED", Path(__file__).parents[2] / "shared")) / "data"


def shared(relative: str) -> Path:
    """Return the path of a shared file, or skip the test and say what is missing.

    In CI nothing may be missing: there a skip would hide a check that never ran.
    """
    path = _DATA / relative
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing, and CI must not skip what needs it")
        pytest.skip(f"needs {relative} from the project's shared data (set SIGHTLINE_SHARED to its folder)")
    return path

"""Whole trackers with the kernels and without: the same objects, ids and matches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.shared_data import shared

pytest.importorskip("stages.track.kernels.compiled", reason="nothing was compiled at install")

ROOT = Path(__file__).parents[4]


def run(pure: str, *command: str) -> str:
    """What a Python of its own says, with the kernels or without."""
    environment = {**os.environ, "SIGHTLINE_PURE": pure}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def assert_both_ways_the_same(what: str, folder: Path) -> None:
    play = "-m", "tests.stages.track.kernels.play", what
    assert run("0", *play, str(folder / "compiled.npz")) == "compiled"
    assert run("1", *play, str(folder / "pure.npz")).startswith("numpy")
    with np.load(folder / "compiled.npz") as ours, np.load(folder / "pure.npz") as theirs:
        assert set(ours.files) == set(theirs.files)
        for name in ours.files:
            assert len(ours[name]) > 50, name
            np.testing.assert_array_equal(ours[name][:, :3], theirs[name][:, :3], err_msg=name)
            np.testing.assert_allclose(ours[name][:, 3:], theirs[name][:, 3:], atol=1e-2, err_msg=name)


@pytest.mark.slow
def test_in_crowds_of_every_size_with_looks_and_labels(tmp_path: Path) -> None:
    assert_both_ways_the_same("crowds", tmp_path)


@pytest.mark.slow
def test_on_real_boxes(tmp_path: Path) -> None:
    assert_both_ways_the_same(str(shared("mot15")), tmp_path)


@pytest.mark.parametrize(
    ("pure", "said"), [("1", "numpy, as SIGHTLINE_PURE asks for"), ("", "compiled"), ("no", "compiled")]
)
def test_the_environment_decides(pure: str, said: str) -> None:
    assert run(pure, "-c", "from stages.track import kernels; print(kernels.describe())") == said


def test_a_kernel_of_another_state_of_the_source_is_not_used() -> None:
    """A pull that changes a kernel must not leave its older twin at work."""
    code = (
        "import pipeline.twins as twins; twins.digest = lambda folder: 1\n"
        "import stages.track.kernels as k; print(k.describe())"
    )
    assert run("0", "-c", code).startswith("numpy: the source was changed")

"""Installing: with a C compiler the kernels come along, without one nothing fails."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what an install reads, without anything that was built in the tree."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy)
    for name in ("pipeline", "stages", "streams", "configs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return copy


def install(project: Path, target: Path, *options: str, **environment: str) -> str:
    """What pip says while it installs the project, without its dependencies, into a folder."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-v", "--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(target), *options, str(project)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    said = done.stdout + done.stderr
    lacks = [what for what in ("No matching distribution found for", "No module named pip") if what in said]
    if lacks and os.environ.get("CI") != "true":
        pytest.skip(f"needs pip and a package index for the build's own tools: {lacks[0]}")
    assert not done.returncode, said
    return said


def kernels_in(target: Path) -> str:
    """What the installed tracker and counter say of their kernels, after a frame; one word if they agree."""
    code = (
        "import numpy as np; from pipeline.objects import Detections\n"
        "from stages.track import kernels; from stages.track.methods import make_tracker\n"
        "make_tracker().update(Detections(np.array([[0, 0, 9, 9.0]]), np.ones(1), np.array(['car'])), 1.0)\n"
        "import stages.count.history.follow; from stages.count import kernels as counter\n"
        "both = {kernels.describe(), counter.describe().replace('Python', 'numpy', 1)}\n"
        "print(' / '.join(sorted(both)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(target), "SIGHTLINE_PURE": ""}
    return subprocess.check_output(
        [sys.executable, "-c", code], cwd=target, env=environment, text=True
    ).strip()


@pytest.mark.skipif(
    not shutil.which("cc") and os.environ.get("CI") != "true", reason="needs a C compiler on this box"
)
def test_with_a_compiler_the_wheel_has_the_kernels(project: Path, tmp_path: Path) -> None:
    said = install(project, tmp_path)
    assert "sightline: kernels are compiled" in said
    assert kernels_in(tmp_path) == "compiled"
    assert not list(tmp_path.rglob("*.pyx"))
    assert not list(project.rglob("*.so")), "a build of a wheel leaves nothing in the tree"


@pytest.mark.parametrize("compiler", ["/bin/false", "/nowhere/cc", ""])
def test_without_a_compiler_it_is_installed_all_the_same(
    compiler: str, project: Path, tmp_path: Path
) -> None:
    nowhere = f"{Path(sys.executable).parent}"  # no cc and no gcc beside Python
    environment = {"CC": compiler} if compiler else {"PATH": nowhere}
    said = install(project, tmp_path, **environment)
    assert "sightline: kernels are NOT compiled, numpy does their work" in said
    assert kernels_in(tmp_path).startswith("numpy: nothing was compiled")


@pytest.mark.parametrize(("compiler", "compiled"), [("", True), ("/bin/false", False)])
def test_an_editable_install_has_them_beside_their_source_or_not_at_all(
    compiler: str, compiled: bool, project: Path, tmp_path: Path
) -> None:
    """Not at all: an older build must not stay at work, as it would not fit its source."""
    if compiled and not shutil.which("cc") and os.environ.get("CI") != "true":
        pytest.skip("needs a C compiler on this box")
    name = f"compiled{sysconfig.get_config_var('EXT_SUFFIX')}"
    beside = [project / room / "kernels" / name for room in ("stages/track", "stages/count")]
    for path in beside:
        path.write_bytes(b"of another day")
    try:
        install(project, tmp_path, "--editable", **({"CC": compiler} if compiler else {}))
        assert [path.exists() for path in beside] == [compiled, compiled]
        assert not compiled or kernels_in(project) == "compiled"
    finally:
        for built in project.rglob("*.so"):
            built.unlink()

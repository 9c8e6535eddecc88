"""Compiles the tracker's kernels while sightline is installed, where there is a C compiler.

Without one, or without Python's headers, or when anything else goes wrong, sightline is installed all the
same: the numpy functions that the kernels stand for do the work, slower. `sightline doctor` says which.
"""

from __future__ import annotations

import runpy
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("stages/track/kernels/compiled.pyx")
MODULE = "stages.track.kernels.compiled"
# Neither -march=native nor -ffast-math: a wheel must run on other boxes, and give the same results there.
FLAGS = ["-O3", "-g0", "-ffp-contract=off"]


class KernelsHook(BuildHookInterface[Any]):
    """Adds the compiled kernels to the wheel; an editable install gets them beside their source."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and never fail for it."""
        if self.target_name != "wheel":
            return
        self._folder = tempfile.mkdtemp(prefix="sightline-kernels-")
        name = f"compiled{sysconfig.get_config_var('EXT_SUFFIX')}"
        beside_source = Path(self.root, SOURCE).with_name(name)
        try:
            built = compile_kernels(Path(self.root), Path(self._folder))
        except (Exception, SystemExit) as error:  # a compiler fails in many ways, some of which end programs
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
            say(f"kernels are NOT compiled, numpy does their work, slower ({reason})")
            beside_source.unlink(missing_ok=True)  # an older one would not fit its source
            return
        say("kernels are compiled")
        if version == "editable":
            shutil.copy2(built, beside_source)
        else:
            build_data["force_include"][str(built)] = str(SOURCE.with_name(name))
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, *_: object) -> None:
        """Remove what the compiler left."""
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


def compile_kernels(root: Path, folder: Path) -> Path:
    """Return the compiled module, in `folder`."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    known_by = runpy.run_path(str(root / SOURCE.with_name("source.py")))["digest"]((root / SOURCE).parent)
    macros = [("SIGHTLINE_SOURCE", f"{known_by}L")]
    extension = Extension(MODULE, [str(root / SOURCE)], define_macros=macros, extra_compile_args=FLAGS)
    modules = cythonize([extension], build_dir=str(folder), quiet=True, force=True)
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))


def say(line: str) -> None:
    """Tell it where it is seen: pip shows this with -v, and in its log when something fails."""
    print(f"sightline: {line}", file=sys.stderr, flush=True)  # noqa: T201 - the log of a build

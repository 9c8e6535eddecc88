"""Compiles kernels while sightline is installed, where there is a C compiler: the tracker's, the counter's.

Without one, or without Python's headers, or when anything else goes wrong, sightline is installed all the
same: the Python functions that the kernels stand for do the work, slower. `sightline doctor` says which.
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

SOURCES = (Path("stages/track/kernels/compiled.pyx"), Path("stages/count/kernels/compiled.pyx"))
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
        places = [source.with_name(name) for source in SOURCES]
        try:
            built = [compile_kernels(Path(self.root), source, Path(self._folder)) for source in SOURCES]
        except (Exception, SystemExit) as error:  # a compiler fails in many ways, some of which end programs
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
            say(f"kernels are NOT compiled, numpy does their work, slower ({reason})")
            for place in places:
                Path(self.root, place).unlink(missing_ok=True)  # an older one would not fit its source
            return
        say("kernels are compiled")
        for module, place in zip(built, places, strict=True):
            if version == "editable":
                shutil.copy2(module, Path(self.root, place))
            else:
                build_data["force_include"][str(module)] = str(place)
                build_data["pure_python"] = False
                build_data["infer_tag"] = True

    def finalize(self, *_: object) -> None:
        """Remove what the compiler left."""
        shutil.rmtree(getattr(self, "_folder", ""), ignore_errors=True)


def compile_kernels(root: Path, source: Path, folder: Path) -> Path:
    """Return the compiled module of a source, a path relative to `root`; it lies in `folder`."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    name = ".".join(source.with_suffix("").parts)
    known_by = runpy.run_path(str(root / "pipeline/twins.py"))["digest"]((root / source).parent)
    macros = [("SIGHTLINE_SOURCE", f"{known_by}L")]
    extension = Extension(name, [str(root / source)], define_macros=macros, extra_compile_args=FLAGS)
    modules = cythonize([extension], build_dir=str(folder), quiet=True, force=True)
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "objects")
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(name))


def say(line: str) -> None:
    """Tell it where it is seen: pip shows this with -v, and in its log when something fails."""
    print(f"sightline: {line}", file=sys.stderr, flush=True)  # noqa: T201 - the log of a build

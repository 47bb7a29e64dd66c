"""Compiles what there is to compile, where that can be done; foldlog goes without it where it cannot.

A C compiler and Python's headers are not on every machine, so their absence is told and is no failure:
https://hatch.pypa.io/latest/plugins/build-hook/reference/
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CompileError, LinkError

MODULE = "foldlog.engine.compiled"
HERE = Path(__file__).parent


class CompilingHook(BuildHookInterface[Any]):
    """Puts the compiled module beside its source, and into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles before the wheel is put together, an editable one too."""
        del version
        if self.target_name != "wheel":
            return
        try:
            built = compiled()
        except (BaseError, CompileError, LinkError, OSError) as error:
            self.app.display_warning(f"{MODULE} is not compiled, commands go the long way: {error}")
            return
        build_data["pure_python"], build_data["infer_tag"] = False, True
        build_data["force_include"][str(built)] = str(built.relative_to(HERE))


def compiled() -> Path:
    """The module's file, compiled; an error of setuptools where that cannot be."""
    source = HERE.joinpath(*MODULE.split(".")).with_suffix(".pyx")
    with tempfile.TemporaryDirectory() as scratch:
        extension = Extension(MODULE, [str(source)], extra_compile_args=[] if sys.platform == "win32" else ["-O2"])
        command = build_ext(Distribution({"ext_modules": cythonize([extension], build_dir=scratch, quiet=True)}))
        command.build_temp, command.build_lib = scratch, str(HERE)
        command.ensure_finalized()
        command.run()
        return Path(command.get_ext_fullpath(MODULE))

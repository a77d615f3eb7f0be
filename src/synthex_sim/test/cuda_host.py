"""Runs CUDA kernels on the host, thread after thread, so that their arithmetic can be tested without a GPU.

    kernels = HostModule(cuda_source("noise"), tmp_path)
    kernels["draw_unit_normals"](grid, block, (array, numpy.uint32(3), ...))      # called like a CuPy RawKernel
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_SHIM = Path(__file__).parent / "cuda_host" / "shim.h"
_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(([^)]*)\)')


class HostModule:
    """Kernels of one CUDA C source, compiled with g++ and the shim header."""

    def __init__(self, source: str, folder: Path) -> None:
        """Compiles.

        Args:
            source: CUDA C text whose kernels are declared ``extern "C" __global__ void``.
            folder: where the library is written.

        Raises:
            pytest.skip.Exception: there is no g++ here.
            RuntimeError: the source does not compile; the message is the compiler's.
        """
        compiler = shutil.which("g++")
        if compiler is None:
            pytest.skip("no g++ to compile CUDA sources for the host")
        kernels = _KERNEL.findall(source)
        code, library = folder / "kernels.cpp", folder / "kernels.so"
        launchers = "\n".join(_launcher(name, parameters) for name, parameters in kernels)
        code.write_text(f'#include "{_SHIM}"\n{source}\n{launchers}\n', encoding="utf-8")
        options = ["-std=c++17", "-O2", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
        command = [compiler, *options, "-o", str(library), str(code)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"g++ cannot compile the CUDA source:\n{done.stderr}")
        self._library = ctypes.CDLL(str(library))
        self._names = {name for name, _ in kernels}

    def __getitem__(self, name: str) -> Any:
        """The kernel of that name, to be called as ``kernel(grid, block, arguments)``."""
        if name not in self._names:
            raise KeyError(f"no kernel '{name}'; there are {', '.join(sorted(self._names))}")
        launch = getattr(self._library, f"launch_{name}")
        launch.restype = None

        def run(grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
            sizes = (ctypes.c_uint * 6)(*(*grid, 1, 1, 1)[:3], *(*block, 1, 1, 1)[:3])
            launch(sizes, *(_as_c(argument) for argument in arguments))

        return run


def _launcher(name: str, parameters: str) -> str:
    names = ", ".join(parameter.split()[-1].lstrip("*&") for parameter in parameters.split(","))
    return (
        f'extern "C" void launch_{name}(const unsigned int* s, {parameters}) '
        f"{{ shim_launch(dim3(s[0], s[1], s[2]), dim3(s[3], s[4], s[5]), {name}, {names}); }}"
    )


def _as_c(argument: Any) -> Any:
    """A ctypes value: arrays by address, numpy scalars by value in their own type."""
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError("arrays for a kernel must be contiguous")
        return argument.ctypes.data_as(ctypes.c_void_p)
    if not isinstance(argument, np.generic):
        raise TypeError(f"give numbers as numpy scalars, so that their type is plain; got {type(argument).__name__}")
    return np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item())
